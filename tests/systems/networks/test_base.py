"""Particles of a network."""

import numpy as np

import meanfield as mf


def test_vectors_of_numpy_particles_keep_float64():
    particles = mf.Particles(np.full((1, 2), 1 + 1e-12), np.full((1, 1), 1e300))
    assert particles.vectors.dtype == np.float64 and particles.vectors[0].tolist() == [1 + 1e-12, 1 + 1e-12, 1e300]
