"""Dependence between particles: known solutions, brute force over pairs, coverage with power checks."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.measure import chaos, rates


def one_factor(rng, rho, shape):
    """Gaussian particles with correlation rho within a sample: (..., S, N)."""
    return np.sqrt(rho) * rng.standard_normal((*shape[:-1], 1)) + np.sqrt(1 - rho) * rng.standard_normal(shape)


# -- coupled error ------------------------------------------------------------------------------------------------------


def test_coupled_error_is_its_formula():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, 5, 4)), rng.standard_normal((2, 3, 9, 4))
    error = chaos.coupled_error(x, y)
    assert error.shape == (2, 3)
    for i, j in itertools.product(range(2), range(3)):
        np.testing.assert_allclose(error[i, j], np.mean([np.sum((x[i, j, k] - y[i, j, k]) ** 2) for k in range(5)]))
    assert (chaos.coupled_error(y[:, :, :5], y) == 0).all()
    huge = jnp.full((1, 3, 2), 1e8, jnp.float32)
    assert chaos.coupled_error(huge, np.asarray(huge, np.float64) + 0.5) == 0.5  # float64, whatever comes in


def test_coupled_error_has_the_rate_of_its_coupling():
    """Particles that see the empirical mean instead of its limit 0: E |x - y|^2 = D/N. 40 runs, five widths,
    D = 20: -1 within five standard errors, and -1/2 is not."""
    y = np.random.default_rng(0).standard_normal((40, 1600, 20))
    widths = [100, 200, 400, 800, 1600]
    errors = [chaos.coupled_error(y[:, :n] - y[:, :n].mean(axis=1, keepdims=True), y) for n in widths]
    fit = rates.rate(widths, np.stack(errors, axis=-1))
    half = (fit.interval[1] - fit.interval[0]) / 2
    assert abs(float(fit) + 1) < 2.5 * half < 0.5


# -- correlation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 4), (30, 7), (3, 2, 3), (12, 6, 2)])
def test_correlation_is_the_average_over_pairs(shape):
    x = np.random.default_rng(0).standard_normal(shape) * 3 + np.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2))
    z = x.reshape(*shape[:2], -1)

    def brute(z):
        covariance = sum(np.cov(z[:, :, d].T, ddof=1) for d in range(z.shape[2]))
        pairs = [covariance[i, j] for i, j in itertools.permutations(range(shape[1]), 2)]
        return np.mean(pairs) / np.mean(np.diag(covariance))

    found = chaos.correlation(x)
    np.testing.assert_allclose(found.value, brute(z), rtol=1e-9)
    assert float(found) == found.value and found.dof == shape[0] - 1
    without = np.array([brute(np.delete(z, s, axis=0)) for s in range(shape[0])])
    error = np.sqrt((shape[0] - 1) / shape[0] * np.sum((without - without.mean()) ** 2))
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-8)
    np.testing.assert_allclose(chaos.correlation(1e200 * x).interval, found.interval, rtol=1e-9)
    rotated = chaos.correlation(x + 5)
    np.testing.assert_allclose(rotated.interval, found.interval, rtol=1e-9)


@pytest.mark.long(1)
@pytest.mark.parametrize(("rho", "samples", "particles"), [(0.0, 50, 20), (0.5, 50, 20), (0.9, 200, 5), (0.0, 100, 200)])
def test_correlation_intervals_cover(rho, samples, particles):
    """2000 one-factor Gaussian systems: 95 % intervals cover 92 to 98 %; a correlation four standard errors away is covered by
    fewer than 1/4; the estimate is within five standard errors (plus the bias of a ratio, 2 rho (1 - rho) / S)."""
    rng = np.random.default_rng(1)
    found = [chaos.correlation(one_factor(rng, rho, (samples, particles))) for _ in range(2000)]
    low, high = np.array([f.interval for f in found]).T
    values = np.array([float(f) for f in found])
    spread = np.std(values, ddof=1)
    assert 0.92 < np.mean((low <= rho) & (rho <= high)) < 0.98
    away = rho + 4 * spread if rho == 0 else rho - 4 * spread
    assert np.mean((low <= away) & (away <= high)) < 0.25
    assert abs(values.mean() - rho) < 5 * spread / np.sqrt(2000) + 2 * rho * (1 - rho) / samples
    assert 0.9 < np.mean([f.standard_error for f in found]) / spread < 1.1


def test_correlation_of_several_coordinates():
    """Pooled over coordinates: covariances are summed before they are divided. Coordinate 1 has variance 9 and correlation .8,
    coordinate 2 variance 1 and correlation 0: (9 * .8 + 0) / 10. 400 samples; the mean of the correlations, .4, is outside."""
    rng = np.random.default_rng(2)
    x = np.stack([3 * one_factor(rng, 0.8, (400, 30)), one_factor(rng, 0.0, (400, 30))], axis=-1)
    found = chaos.correlation(x)
    assert abs(float(found) - 0.72) < 5 * found.standard_error
    assert abs(float(found) - 0.4) > 5 * found.standard_error


def test_shared_and_independent_noise():
    """The toy of De Bortoli et al. w <- w - gamma ((f - y) + lam w), f the mean of the w: with a y of its own for each particle
    the correlation is O(1/N), with a shared one the particles collapse. 200 runs of 50 particles, and 200 times of one run."""
    rng, gamma, lam = np.random.default_rng(0), 0.1, 1.0

    def runs(shared, keep):
        w, kept = rng.standard_normal((200, 50)), []
        for step in range(400):
            y = rng.standard_normal((200, 1 if shared else 50))
            w = w - gamma * (w.mean(axis=1, keepdims=True) - y + lam * w)
            if step >= 200:
                kept.append(w[0])
        return np.stack(kept) if keep == "times" else w

    assert abs(float(chaos.correlation(runs(False, "runs")))) < 0.05
    assert abs(float(chaos.correlation(runs(False, "times")))) < 0.05
    assert float(chaos.correlation(runs(True, "runs"))) > 0.999
    assert float(chaos.correlation(runs(True, "times"))) > 0.999


def test_correlation_at_its_ends():
    s = np.arange(4.0)
    same = chaos.correlation(np.stack([s, s], axis=1))
    assert float(same) == 1 and same.interval.tolist() == [1, 1] and same.standard_error == 0
    opposite = chaos.correlation(np.stack([s, -s], axis=1))
    assert float(opposite) == -1 and opposite.interval.tolist() == [-1, -1]
    single = chaos.correlation([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]])  # nothing is left without the first sample
    assert single.interval.tolist() == [-1, 1] and np.isnan(single.standard_error)


# -- fluctuations -------------------------------------------------------------------------------------------------------


def test_fluctuation_is_its_formula():
    x = np.random.default_rng(0).exponential(size=(2, 3, 7, 5))
    limit = np.array([[1.0], [2.0]])
    found = chaos.fluctuation(x, limit)
    np.testing.assert_allclose(found.values, np.sqrt(5) * (x.mean(-1) - limit[..., None]))
    np.testing.assert_allclose(found.variance.value, np.var(found.values, axis=-1, ddof=1))
    np.testing.assert_allclose(found.independent, np.var(x, axis=-2, ddof=1).mean(-1))
    np.testing.assert_allclose(found.ratio.value, found.variance.value / found.independent)
    without = np.stack([np.var(np.delete(found.values, r, axis=-1), axis=-1, ddof=1) for r in range(7)], axis=-1)
    np.testing.assert_allclose(found.variance.standard_error, np.sqrt(6 / 7 * 7 * np.var(without, axis=-1)), rtol=1e-9)
    each = [np.delete(x, r, axis=-2) for r in range(7)]
    ratios = np.stack([5 * np.var(y.mean(-1), axis=-1, ddof=1) / np.var(y, axis=-2, ddof=1).mean(-1) for y in each], axis=-1)
    np.testing.assert_allclose(found.ratio.standard_error, np.sqrt(6 * np.var(ratios, axis=-1)), rtol=1e-9)
    assert found.variance.interval.shape == found.ratio.interval.shape == (2, 3, 2) and found.ratio.dof == 6
    one = chaos.fluctuation(x[1, 2], 2.0)
    np.testing.assert_allclose(one.variance.interval, found.variance.interval[1, 2], rtol=1e-9)
    np.testing.assert_allclose(one.ratio.value, 1 + 4 * chaos.correlation(x[1, 2]).value, rtol=1e-9)
    scaled = chaos.fluctuation(1e-100 * x, 0.0)
    np.testing.assert_allclose(scaled.variance.interval, 1e-200 * found.variance.interval, rtol=1e-9)


def test_fluctuation_of_dependent_particles():
    """Correlation rho: the ratio is 1 + (N - 1) rho. 2000 times 30 runs of 40 particles; 1 is refused."""
    found = chaos.fluctuation(one_factor(np.random.default_rng(0), 0.1, (2000, 30, 40)), 0.0)
    low, high = found.ratio.interval.T
    assert 0.92 < np.mean((low <= 4.9) & (high >= 4.9)) < 0.97
    assert np.mean((low <= 1) & (high >= 1)) < 0.05


def test_fluctuation_of_constants():
    found = chaos.fluctuation(np.full((4, 3), 0.1), 0.0)
    variance = found.variance
    assert float(variance) == 0 == variance.standard_error and variance.interval.tolist() == [0, 0]
    assert np.isnan(float(found.ratio))
    identical = chaos.fluctuation(np.repeat(np.arange(5.0)[:, None], 8, axis=1), 2.0)
    np.testing.assert_allclose(identical.ratio.interval, [8, 8])


# -- wrong arguments ----------------------------------------------------------------------------------------------------

X = np.zeros((2, 4, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: chaos.coupled_error(X, X[:, :3]),
            "Argument `reference` must have the shape of `particles`, (2, 4, 3), with at least 4 particles, "
            "but is an array of shape (2, 3, 3).",
        ),
        (
            lambda: chaos.coupled_error(X, X[:1]),
            "Argument `reference` must have the shape of `particles`, (2, 4, 3), with at least 4 particles, "
            "but is an array of shape (1, 4, 3).",
        ),
        (lambda: chaos.coupled_error(X[0], X), "Argument `particles` must have 3 to 8 axes, but is an array of shape (4, 3)."),
        (
            lambda: chaos.coupled_error(X * np.nan, X),
            "Argument `particles` must be finite, but is an array with 24 NaN or infinite of 24 entries.",
        ),
        (lambda: chaos.correlation(X), "Argument `samples` must hold at least 3 samples, but is an array of shape (2, 4, 3)."),
        (
            lambda: chaos.correlation(np.zeros((4, 1))),
            "Argument `samples` must hold at least 2 particles, but is an array of shape (4, 1).",
        ),
        (lambda: chaos.correlation(np.ones((4, 3))), "Argument `samples` must vary, but is the same in every sample."),
        (lambda: chaos.correlation([1.0, 2.0]), "Argument `samples` must have 2 or 3 axes, but is an array of shape (2,)."),
        (
            lambda: chaos.fluctuation(np.zeros((2, 5)), 0.0),
            "Argument `values` must hold at least 3 runs, but is an array of shape (2, 5).",
        ),
        (
            lambda: chaos.fluctuation(np.zeros((6, 4, 5)), np.zeros(4)),
            "Argument `limit` must broadcast to the leading axes of `values`, (6,), but is an array of shape (4,).",
        ),
        (
            lambda: chaos.fluctuation(X, np.inf),
            "Argument `limit` must be finite, but is an array with 1 NaN or infinite of 1 entries.",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
