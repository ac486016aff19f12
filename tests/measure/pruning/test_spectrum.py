"""Singular values of large matrices, by a Gram matrix and where it cannot see."""

import jax
import numpy as np
import pytest

from meanfield.measure.pruning import spectrum

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (2, 60, 60)])
def test_gram_matrix_against_the_decomposition(shape, monkeypatch):
    monkeypatch.setattr(spectrum, "CHUNK", 1000)  # many blocks
    w = RNG.standard_normal(shape) * 1e200
    exact = np.linalg.svd(w / 1e200, compute_uv=False)
    found = spectrum.singular_values(w, large=0)
    np.testing.assert_allclose(found / 1e200, exact, rtol=1e-6)
    assert np.max(np.abs(found / 1e200 - exact)) > 0  # it was another way
    assert jax.config.read("jax_enable_x64") is False


def test_the_gram_matrix_is_left_where_it_cannot_see():
    """Singular values 1 ... 1e-12: below 1e-8 the Gram matrix holds rounding only, and the decomposition is done after all."""
    u, v = (np.linalg.qr(RNG.standard_normal((50, 50)))[0] for _ in range(2))
    exact = np.logspace(0, -12, 50)
    w = (u * exact) @ v
    np.testing.assert_allclose(spectrum.singular_values(w, large=0)[:30], exact[:30], rtol=1e-6)
    blind = np.sqrt(np.abs(np.linalg.eigvalsh(w.T @ w)[::-1]))
    assert np.max(np.abs(blind[:40] / exact[:40] - 1)) > 0.1
    assert (spectrum.singular_values(np.zeros((4, 3)), large=0) == 0).all()
