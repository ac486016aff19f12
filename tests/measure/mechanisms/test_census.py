"""Dead, collapsing and living neurons: planted ones, those of real runs, and the rates at which they vanish."""

import sys

import jax
import numpy as np
import pytest

import meanfield as mf
from meanfield.measure import pruning
from meanfield.measure.mechanisms import Fate, census, dead, duplicates, fates

RNG = np.random.default_rng(0)


def planted(runs=4, n=1000, steps=200):
    """Neurons (earlier, later, off): 40 % dead at a rate of .01, 20 % collapsing at .02, the others rotated, 5 % of them grown."""
    earlier = RNG.standard_normal((runs, n, 6))
    kind = RNG.permuted(np.tile(np.repeat(range(4), [n * 4 // 10, n // 5, n // 20, n * 35 // 100]), (runs, 1)), axis=1)
    factor = np.array([np.exp(-0.01 * steps), np.exp(-0.02 * steps), 5.0, 1.0])[kind]
    return earlier, factor[..., None] * np.roll(earlier, 1, axis=-1), kind == Fate.DEAD, kind


def test_shares_and_rates_are_those_planted():
    earlier, later, off, kind = planted()
    assert np.array_equal(fates(earlier, later, off), kind)
    found = census(earlier, later, off, 200, off)
    shares = [float(getattr(found, fate.name.lower())) for fate in Fate]
    np.testing.assert_allclose(shares, [0.4, 0.2, 0.05, 0.35], atol=1e-12)
    assert float(found.dead_rate) == pytest.approx(-0.01, abs=1e-12) and float(found.collapsing_rate) == pytest.approx(
        -0.02, abs=1e-12
    )
    assert found.dead.dof == 3


def test_errors_leave_out_whom_they_say():
    """The errors are those of the chosen neurons' norms, by `error_curve` on them alone; vanishing neurons make the error small."""
    earlier, later, off, kind = planted()
    found = census(earlier, later, off, 200, kappa=0.2, p=3.0)
    for name, chosen in {"error": kind >= 0, "error_without_dead": kind != 0, "error_of_live": kind > 1}.items():
        direct = [pruning.error_curve(x[mask], 0.2, "node", 3.0) for x, mask in zip(later, chosen, strict=True)]
        assert float(getattr(found, name)) == pytest.approx(np.mean(direct), rel=1e-12)
    assert float(found.error) < float(found.error_without_dead) < float(found.error_of_live)
    assert np.isnan(float(found.dead_rate))  # none is known to have been dead before


def test_a_factor_separates_and_what_is_zero_has_no_rate():
    earlier = np.array([[[1.0], [1.0], [1.0], [0.0], [2.0]]])
    later = np.array([[[0.5], [0.51], [2.0], [0.0], [0.0]]])
    codes = [Fate.COLLAPSING, Fate.LIVE, Fate.GROWING, Fate.COLLAPSING, Fate.COLLAPSING]
    assert fates(earlier, later, np.zeros((1, 5), bool), factor=2.0).tolist() == [codes]
    found = census(earlier, later, np.zeros((1, 5), bool), 10, factor=2.0)
    assert float(found.collapsing_rate) == pytest.approx(np.log(0.5) / 10)


def test_dead_is_off_on_every_example():
    """By the pre-activations themselves, in float64, with and without a bias, over blocks of neurons."""
    w, x, bias = RNG.standard_normal((2, 300, 2)), np.abs(RNG.standard_normal((50, 2))), RNG.standard_normal((2, 300))
    z = np.einsum("snd,xd->snx", w, x)
    assert np.array_equal(dead(w, x), (z <= 0).all(axis=-1)) and dead(w, x).any() and not dead(w, x).all()
    assert np.array_equal(dead(w, x, bias), (z + bias[..., None] <= 0).all(axis=-1))
    assert dead(np.zeros((1, 2)), x).all()


def test_duplicates_are_equal_up_to_a_positive_factor():
    x = RNG.standard_normal((2, 400, 10))
    copies = np.concatenate([x, 3 * x[:, :100], -x[:, 100:200], np.zeros((2, 50, 10))], axis=1)
    np.testing.assert_array_equal(duplicates(copies), np.tile((np.arange(650) >= 400) & (np.arange(650) < 500), (2, 1)))
    turned = x[0] + 0.02 * np.linalg.norm(x[0], axis=-1, keepdims=True) * RNG.standard_normal((400, 10)) / np.sqrt(10)
    both = np.concatenate([x[0], turned])
    assert not duplicates(both, angle=0.001).any()
    np.testing.assert_array_equal(duplicates(both, angle=0.05), np.arange(800) >= 400)


def test_duplicates_in_blocks(monkeypatch):
    """Three neurons at a time find what all together find, also across the blocks."""
    x = RNG.standard_normal((10, 3))
    x[[4, 7, 9]] = 2 * x[[0, 0, 5]]
    monkeypatch.setattr(sys.modules[census.__module__], "_ENTRIES", 30)
    np.testing.assert_array_equal(np.flatnonzero(duplicates(x)), [4, 7, 9])


@pytest.mark.long
def test_dead_neurons_of_a_real_run_decay_by_the_ridge_alone():
    """Digits, step 1, batch 1, ridge 1e-3: log(1 - 1e-3) a step to 1e-5 of it, for both layers; without a ridge they do not move."""
    data, neurons = mf.data.digits(), {}
    x = np.asarray(data.splits["train"][0])
    for ridge in (1e-3, 0.0):
        system = mf.System(mf.TwoLayer("relu", "cross_entropy"), data, mf.dynamics.SGD(1.0, 1, weight_decay=ridge))
        run = {"widths": [256], "steps": 1500, "seeds": 3, "key": jax.random.key(0)}
        results = mf.simulate(system, probes=[mf.probes.Snapshot(at=(1000,))], **run)
        earlier, later = (results.particles_at(step, width=256, step_size=1.0) for step in (1000, None))
        before, after = (dead(one.sel(part="w").to_numpy(), x) for one in (earlier, later))
        found = census(earlier.to_numpy(), later.to_numpy(), after, 500, before, factor=1.3)
        assert np.all(after[before])  # dead neurons stay dead
        assert float(found.dead) > 0.1
        assert float(found.dead_rate) == pytest.approx(np.log1p(-ridge), rel=1e-5, abs=1e-7)
        neurons[ridge] = found
    assert float(neurons[1e-3].collapsing) > 0.1 > 0.02 > float(neurons[0.0].collapsing)


TWO = np.ones((3, 4, 2))
OFF = np.zeros((3, 4), bool)


@pytest.mark.parametrize(
    ("function", "arguments", "says"),
    [
        (fates, (TWO, TWO[:, :3], OFF), r"`later` must have the shape of `earlier`, \(3, 4, 2\)"),
        (fates, (TWO, TWO, OFF[:, :3]), r"`dead` must be truth values of the shape \(3, 4\)"),
        (fates, (TWO, TWO, OFF.astype(float)), r"`dead` must be truth values"),
        (fates, (TWO, TWO * np.nan, OFF), r"`later` must"),
        (fates, (TWO, TWO, OFF, 1.0), r"`factor` must be a number > 1"),
        (census, (TWO, TWO, OFF, 0), r"`steps` must"),
        (census, (TWO, TWO, OFF, 5, OFF[:1]), r"`dead_before` must"),
        (dead, (TWO, np.ones((5, 3))), r"`inputs` must have 2 columns, as many as `w`"),
        (dead, (TWO, np.ones((5, 2)), np.ones(4)), r"`bias` must have the shape \(3, 4\)"),
        (duplicates, (TWO, 2.0), r"`angle` must"),
    ],
)
def test_bad_input_is_a_sentence(function, arguments, says):
    with pytest.raises(ValueError, match=says):
        function(*arguments)
