"""Compression bounds: each of the three steps holds where it can be checked, and none is larger than it says."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.measure import pruning
from meanfield.theory import bounds


def test_occam_holds_and_is_not_idle():
    """Choose the best of K useless predictors, 2000 times: the bound with L = log K fails in at most 5 %, without L far more often."""
    rng, n, classes = np.random.default_rng(0), 100, 1000
    best = rng.binomial(n, 0.5, (2000, classes)).min(axis=1) / n
    assert np.mean(bounds.occam(best, np.log(classes), n) < 0.5) <= 0.05
    assert np.mean(bounds.occam(best, 0.0, n) < 0.5) > 0.5
    assert bounds.occam(0.2, 7.0, 50, 0.01) == pytest.approx(0.2 + np.sqrt((7 + np.log(100)) / 100))


@pytest.mark.parametrize("kind", pruning.KINDS)
def test_codes_are_prefix_codes(kind):
    """Kraft: the sum of exp(-L) over all pruned matrices is at most 1, and not far below."""
    width, dim, bits = 6, 2, 10
    parts = {"magnitude": 12, "node": 6, "singular": 2}[kind]
    kept = np.arange(parts + 1)
    numbers = kept * {"magnitude": 1, "node": dim, "singular": width + dim}[kind]
    choices = np.array([float(np.prod(np.arange(m + 1, parts + 1)) / np.prod(np.arange(1, parts - m + 1))) for m in kept])
    log_count = numbers * bits * np.log(2) + (np.log(choices) if kind == "magnitude" else 0)
    assert np.sum(np.exp(log_count - bounds.description_length(kind, kept, width, dim, bits))) == pytest.approx(1.0)
    powers = np.arange(-100_000, 100_000)  # the code of gamma
    assert 0.99 < np.sum(1 / (2.3 * (1 + np.abs(powers)) ** 2)) < 1


@pytest.mark.short(1)
@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
def test_the_distortion_is_never_exceeded(activation):
    """Random networks with heavy-tailed neurons, pruned and rounded to bfloat16, at the worst of 2000 inputs of norm 3."""
    rng = np.random.default_rng(0)
    network = mf.TwoLayer(activation, dim=4, outputs=3)
    x = rng.standard_normal((2000, 4)).astype(np.float32)
    x *= 3 / np.linalg.norm(x, axis=1, keepdims=True)
    closest = np.inf
    for _ in range(10):
        state = mf.Particles(*(rng.standard_t(2, (50, n)).astype(np.float32) for n in (4, 3)))
        second = float(np.mean(np.sum(state.vectors.astype(float) ** 2, axis=1)))
        for kappa in (0.06, 0.3, 0.8):
            pruned = pruning.node(state, kappa)
            error = pruning.error_curve(state, kappa, "node")
            f = np.asarray(network.predict(state, x))
            moved = np.max(np.linalg.norm(f - np.asarray(network.predict(pruned, x)), axis=1))
            allowed = bounds.distortion(error, second, 3.0)
            assert moved <= allowed * (1 + 1e-5)
            closest = min(closest, allowed / moved)
            halves = pruned.like(pruned.vectors.astype(mf.measure.pruning.layers.jnp.bfloat16).astype(np.float32))
            moved = np.max(np.linalg.norm(f - np.asarray(network.predict(halves, x)), axis=1))
            assert moved <= bounds.distortion(error, second, 3.0, unit_roundoff=bounds.roundoff(16)) * (1 + 1e-5)
    assert closest < 30  # not so large that nothing could exceed it


def test_roundoff_is_that_of_bfloat16():
    from ml_dtypes import bfloat16

    x = np.random.default_rng(0).uniform(1, 2, 100_000)
    largest = np.max(np.abs(x.astype(bfloat16).astype(float) / x - 1))
    assert bounds.roundoff(16) / 2 < largest <= bounds.roundoff(16)


def test_the_parts_of_a_bound_are_what_they_say():
    rng = np.random.default_rng(1)
    margins = rng.normal(1.0, 0.5, 5000)
    w = rng.standard_cauchy((300, 6))
    kept = np.arange(301)
    errors = pruning.error_curve(w, kept / 300, "node")
    bound = bounds.compression_bound(margins, errors, kept, 300, 6, second_moment=0.5, radius=1.0, bits=12)
    assert bound.value == pytest.approx(bound.margin_risk + bound.complexity)
    assert bound.margin_risk == np.mean(margins <= bound.margin)
    assert bound.margin >= 2 * np.sqrt(2) * bound.distortion > bound.margin / 2 and np.log2(bound.margin) % 1 == 0
    assert bound.distortion == pytest.approx(bounds.distortion(errors[bound.kept], 0.5, 1.0, 1.0, bounds.roundoff(12)))
    assert bound.complexity == pytest.approx(float(bounds.occam(0.0, bound.description_length, 5000)))
    every = [bounds.compression_bound(margins, errors[m : m + 1], kept[m : m + 1], 300, 6, 0.5, 1.0, bits=12).value for m in kept]
    assert bound.value == min(every) and bound.kept == int(np.argmin(every))
    assert bound.vacuous == (bound.value >= 1)
    needed = bounds.examples_needed(bound, 0.1)
    assert float(bounds.occam(0.0, bound.description_length, int(needed) + 1)) == pytest.approx(0.1, rel=1e-3)


def test_heavier_tails_smaller_bounds():
    """Same margins, same second moment: the bound falls with the tail index, in every one of 10 samples."""
    kept, n = np.arange(2001), 1_000_000
    for seed in range(10):
        values = []
        for alpha in (0.8, 1.5, 2.5, 6.0):
            w = np.random.default_rng(seed).standard_t(alpha, (2000, 5))
            errors = pruning.error_curve(w, kept / 2000, "node")
            values.append(bounds.compression_bound(np.ones(n), errors, kept, 2000, 5, 2.0, 1.0).value)
        assert values == sorted(values) and values[0] < 0.5 * values[-1]


CASES = {
    "risk": (
        lambda: bounds.occam(1.5, 1.0, 10),
        "Argument `empirical_risk` must be a number in [0, 1], or an array of them, but is 1.5.",
    ),
    "delta": (lambda: bounds.occam(0.5, 1.0, 10, 1.0), "Argument `delta` must be a number in (0, 1), but is 1.0."),
    "bits": (lambda: bounds.roundoff(9), "Argument `bits` must be an integer >= 10, but is 9."),
    "kept": (
        lambda: bounds.description_length("node", 9, 8, 3),
        "Argument `kept` must be an integer from 0 to 8, or an array of them, but is 9.",
    ),
    "shapes": (
        lambda: bounds.compression_bound([1.0], [0.1, 0.2], [1], 8, 3, 1.0, 1.0),
        "Argument `kept` must have 2 entries, as many as `errors`, but is an array of shape (1,).",
    ),
    "radius": (lambda: bounds.distortion(0.1, 1.0, -1.0), "Argument `radius` must be a number >= 0, but is -1.0."),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_arguments(case):
    call, message = CASES[case]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
