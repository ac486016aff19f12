"""A pytree and particles that tests of pruning share."""

import jax
import numpy as np

import meanfield as mf

RNG = np.random.default_rng(0)
TREE = {
    "dense": {"kernel": RNG.standard_cauchy((5, 4)).astype(np.float32), "bias": np.ones(4, np.float32)},
    "conv": {"kernel": RNG.standard_cauchy((3, 3, 2, 6)).astype(np.float32)},
    "step": np.int32(7),
}


def particles(width=40, dim=5, outputs=3, bias=False):
    network = mf.TwoLayer("relu", "squared", dim=dim, outputs=outputs, bias=bias)
    return network, network.init(jax.random.key(1), width)
