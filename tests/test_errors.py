"""Wrong arguments: one sentence that names the argument, what it must be and what it is, before anything compiles."""

import dataclasses

import jax
import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate import program

KEY = jax.random.key(0)


def run(data, batch_size=1, **overrides):
    arguments = {"widths": 4, "steps": 3, "seeds": 1, "key": KEY, "probes": ()} | overrides
    return mf.simulate(mf.System(mf.TwoLayer(), data, mf.dynamics.SGD(step_size=0.1, batch_size=batch_size)), **arguments)


CASES = {
    "unknown activation": (
        lambda d: mf.TwoLayer("sigmoid"),
        "Argument `activation` must be one of 'relu', 'tanh', 'gelu', 'quadratic', 'identity', but is 'sigmoid'.",
    ),
    "unknown loss": (
        lambda d: mf.TwoLayer(loss="hinge"),
        "Argument `loss` must be one of 'cross_entropy', 'squared', but is 'hinge'.",
    ),
    "train_output": (
        lambda d: mf.TwoLayer(train_output="no"),
        "Argument `train_output` must be True or False, but is 'no'.",
    ),
    "step size 0": (
        lambda d: mf.dynamics.SGD(step_size=0, batch_size=1),
        "Argument `step_size` must be a number > 0, or an array of them, but is 0.",
    ),
    "step size in a list": (
        lambda d: mf.dynamics.SGD(step_size=[0.1, -1], batch_size=1),
        "Argument `step_size` must be a number > 0, or an array of them, but is [0.1, -1.0].",
    ),
    "step size nan": (
        lambda d: mf.dynamics.SGD(step_size=float("nan"), batch_size=1),
        "Argument `step_size` must be a number > 0, or an array of them, but is nan.",
    ),
    "step size text": (
        lambda d: mf.dynamics.SGD(step_size="fast", batch_size=1),
        "Argument `step_size` must be a number > 0, or an array of them, but is 'fast'.",
    ),
    "step sizes empty": (
        lambda d: mf.dynamics.SGD(step_size=[], batch_size=1),
        "Argument `step_size` must be a number or a sequence of numbers, but is [].",
    ),
    "batch size": (
        lambda d: mf.dynamics.SGD(step_size=1, batch_size=0),
        "Argument `batch_size` must be an integer >= 1, but is 0.",
    ),
    "batch size float": (
        lambda d: mf.dynamics.SGD(step_size=1, batch_size=1.5),
        "Argument `batch_size` must be an integer >= 1, but is 1.5.",
    ),
    "weight decay": (
        lambda d: mf.dynamics.SGD(step_size=1, batch_size=1, weight_decay=-1),
        "Argument `weight_decay` must be a number >= 0, or an array of them, but is -1.",
    ),
    "beta": (lambda d: mf.scaling.StepSizeLaw(1.0, beta=1.5), "Argument `beta` must lie in [0, 1], but is 1.5."),
    "decay": (lambda d: mf.scaling.StepSizeLaw(1.0, decay=1.0), "Argument `decay` must lie in [0, 1), but is 1.0."),
    "gamma": (
        lambda d: mf.scaling.StepSizeLaw(-1.0),
        "Argument `gamma` must be a number > 0, or an array of them, but is -1.0.",
    ),
    "batch larger than data": (
        lambda d: mf.System(mf.TwoLayer(), d, mf.dynamics.SGD(step_size=1, batch_size=1439)),
        "Argument `batch_size` must be at most the size of the finite data set, 1438, but is 1439.",
    ),
    "cross entropy with targets": (
        lambda d: mf.System(mf.TwoLayer(), mf.data.teacher(KEY, dim=2, neurons=2), mf.dynamics.SGD(step_size=1, batch_size=1)),
        "Argument `loss` must be 'squared' for data with real targets, but is 'cross_entropy'.",
    ),
    "dim": (
        lambda d: mf.System(mf.TwoLayer(dim=3), d, mf.dynamics.SGD(step_size=1, batch_size=1)),
        "Argument `dim` must be that of the data, 64, but is 3.",
    ),
    "not a dynamics": (
        lambda d: mf.System(mf.TwoLayer(), d, 3),
        "Argument `dynamics` must be a dynamics, an instance of a subclass of `AbstractDynamics`, but is 3.",
    ),
    "width 0": (
        lambda d: run(d, widths=[8, 0]),
        "Argument `widths` must be one or several different integers >= 1, but is [8, 0].",
    ),
    "width twice": (
        lambda d: run(d, widths=[8, 8]),
        "Argument `widths` must be one or several different integers >= 1, but is [8, 8].",
    ),
    "width float": (
        lambda d: run(d, widths=10.0),
        "Argument `widths` must be one or several different integers >= 1, but is 10.0.",
    ),
    "steps": (lambda d: run(d, steps=-1), "Argument `steps` must be an integer >= 0, but is -1."),
    "seeds": (lambda d: run(d, seeds=0), "Argument `seeds` must be an integer >= 1, but is 0."),
    "seed list": (
        lambda d: run(d, seeds=[1, -2]),
        "Argument `seeds` must be one or several different integers >= 0, but is [1, -2].",
    ),
    "old key": (
        lambda d: run(d, key=0),
        "Argument `key` must be one random key, made by `jax.random.key(seed)`, but is 0.",
    ),
    "key array": (
        lambda d: run(d, key=jax.random.split(jax.random.key(1), 2)),
        "Argument `key` must be one random key, made by `jax.random.key(seed)`, but is an array of random keys of shape (2,).",
    ),
    "large seed": (lambda d: run(d, seeds=[2**32]), "Argument `seeds` must be less than 2^32, but is (4294967296,)."),
    "key of another kind": (
        lambda d: run(d, key=jax.random.key(0, impl="rbg")),
        "Argument `key` must be a key of the kind threefry2x32, as `jax.random.key(seed, impl='threefry2x32')`, "
        "but is a key of the kind rbg.",
    ),
    "data from a key of another kind": (
        lambda d: mf.data.teacher(jax.random.key(0, impl="unsafe_rbg"), dim=2, neurons=2),
        "Argument `key` must be a key of the kind threefry2x32, as `jax.random.key(seed, impl='threefry2x32')`, "
        "but is a key of the kind unsafe_rbg.",
    ),
    "steps beyond the counter": (
        lambda d: run(d, steps=2**31 - 1),
        "Argument `steps` must be at most 2147483615, what the step counter holds, but is 2147483647.",
    ),
    "steps beyond the epochs": (
        lambda d: run(d.in_epochs(), steps=2**32 // 1000 + 1, batch_size=1000),
        "Argument `steps` must be at most 4294967 in epochs, which count to 2^32 examples, but is 4294968.",
    ),
    "no probes": (lambda d: run(d, probes=None), "Argument `probes` must be a sequence of probes, but is None."),
    "probes alike": (
        lambda d: run(d, probes=[mf.probes.Moments(), mf.probes.Moments(orders=(3.0,))]),
        "Argument `probes` must have variables of different names, but is ['norm_moment', 'norm_moment'].",
    ),
    "inputs of another length": (
        lambda d: mf.TwoLayer(dim=3, outputs=1).predict(mf.TwoLayer(dim=3, outputs=1).init(KEY, 2), np.ones((4, 5))),
        "Argument `x` must have shape (examples, 3), but is an array of shape (4, 5).",
    ),
    "probe": (
        lambda d: run(d, probes=[len]),
        "Argument `probes` must hold probes only, but is <built-in function len>.",
    ),
    "system": (
        lambda d: mf.simulate(None, widths=1, steps=1, seeds=1, key=KEY),
        "Argument `system` must be a `System`, but is None.",
    ),
    "step size beyond float32": (
        lambda d: mf.dynamics.SGD(step_size=1e40, batch_size=1),
        "Argument `step_size` must be 0 or between 1.17549e-38 and 3.40282e+38 in modulus, what float32 can hold, but is 1e+40.",
    ),
    "sweep of equals": (
        lambda d: mf.simulate(
            mf.System(mf.TwoLayer(), d, mf.dynamics.SGD([1.0, 1.0], batch_size=1)), widths=1, steps=1, seeds=1, key=KEY
        ),
        "Argument `step_size` must hold different numbers in a sweep, but is [1.0, 1.0].",
    ),
    "widths in a matrix": (
        lambda d: run(d, widths=np.array([[8, 16]])),
        "Argument `widths` must be one or several different integers >= 1, but is [[8, 16]].",
    ),
    "a vector of targets": (
        lambda d: mf.TwoLayer("relu", "squared", dim=3, outputs=1).risk(
            mf.TwoLayer(dim=3, outputs=1).init(KEY, 2), np.ones((5, 3)), np.ones(5)
        ),
        "Argument `y` must hold integer labels, or targets of shape (5, 1) for 5 examples and 1 outputs, "
        "but is an array of shape (5,) and type float64.",
    ),
    "real labels": (
        lambda d: mf.TwoLayer(dim=3, outputs=2).risk(
            mf.TwoLayer(dim=3, outputs=2).init(KEY, 2), np.ones((5, 3)), np.ones(5, np.float32)
        ),
        "Argument `y` must hold integer labels for cross-entropy, but is an array of shape (5,) and type float32.",
    ),
    "width of a law": (
        lambda d: mf.scaling.StepSizeLaw(0.7, 0.4, 0.3)(0, 0),
        "Argument `width` must be an integer >= 1, but is 0.",
    ),
    "label far off": (
        lambda d: mf.data.from_arrays(np.ones((3, 2)), np.array([0, 1, 10**9])),
        "Argument `y` must hold labels below its number of examples, 3, or come with `classes`, but is holding 1000000000.",
    ),
    "input beyond float32": (
        lambda d: mf.data.from_arrays(np.full((3, 2), 1e39), np.array([0, 1, 1])),
        "Argument `x` must be finite, but is an array with 6 NaN or infinite of 6 entries.",
    ),
    "test fraction": (
        lambda d: mf.data.digits(0.9999),
        "Argument `test_fraction` must leave at least one of 1797 examples for training, but is 0.9999.",
    ),
    "NaN in a source": (
        lambda d: mf.System(
            mf.TwoLayer(), dataclasses.replace(d, x=d.x.at[5].set(np.nan)), mf.dynamics.SGD(step_size=1, batch_size=1)
        ),
        "Argument `data` must be finite, but is a source with NaN or infinite numbers in its train set.",
    ),
    "two axes": (
        lambda d: mf.simulate(
            mf.System(mf.TwoLayer(), d, mf.dynamics.SGD(step_size=np.ones((2, 2)), batch_size=1)),
            widths=1,
            steps=1,
            seeds=1,
            key=KEY,
        ),
        "Argument `step_size` must be a number or a 1-D array of them, but is [[1.0, 1.0], [1.0, 1.0]].",
    ),
}


@pytest.mark.short(16)
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", CASES)
def test_one_sentence(name, digits, monkeypatch):
    def compiled(*args, **kwargs):
        pytest.fail("something was compiled before the arguments were checked")

    monkeypatch.setattr(program, "init", compiled)
    call, message = CASES[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call(digits)
    assert str(caught.value) == message


def test_the_compiled_sentinel_works(digits, monkeypatch):
    """The guard above is no guard if a good call does not trip it."""
    monkeypatch.setattr(program, "init", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(digits)
