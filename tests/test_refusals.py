"""Calls that mean nothing, or not one thing: each is refused in a sentence, before anything is simulated."""

import dataclasses

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import meanfield as mf
from meanfield import _check
from meanfield.measure import chaos, distances, pruning, rates, tails
from meanfield.simulate import program
from meanfield.simulate.probes import AbstractProbe, Variable
from meanfield.systems import random
from meanfield.systems.networks import Particles
from meanfield.theory import bounds, least_squares, random_products, recursion
from meanfield.theory import network as neurons
from meanfield.theory import solvable as limits

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(40, 5))
Y = np.arange(40) % 3
W = np.random.default_rng(1).normal(size=(20, 6))
SAMPLE = stats.t(1.7).rvs(500, random_state=1)
NET = mf.TwoLayer(dim=5, outputs=3)
PART = Particles(jnp.asarray(X[:8], jnp.float32), jnp.asarray(X[:8, :3], jnp.float32))
WORDS = np.uint32(1), np.uint32(5)
HALF = "be an array without masked entries"


@dataclasses.dataclass(frozen=True)
class Odd(AbstractProbe):
    """Returns one array under a name, of a length, that it may not have announced."""

    name: str = "odd"
    length: int = 3

    def __call__(self, view):
        return {self.name: jnp.ones(self.length)}

    @property
    def variables(self):
        return {"odd": Variable(("k",), "three numbers")}

    def coords(self, data):
        return {"k": [1, 2, 3]}


def keys():
    return jax.random.split(jax.random.key(1), 2)


def small(**changes):
    return dataclasses.replace(mf.data.from_arrays(X, Y), **changes)


def run(dynamics=None, network=None, data=None, **changes):
    system = mf.System(network or mf.TwoLayer(), data or small(), dynamics or mf.dynamics.SGD(0.1, 1))
    return mf.simulate(system, **{"widths": 4, "steps": 5, "seeds": 1, "key": KEY, "probes": ()} | changes)


def masked(x):
    return np.ma.masked_array(x, np.asarray(x) > 1)


def curve(**changes):
    arguments = {"predict": NET.predict, "w": PART, "x": X, "kappas": [0.5], "kind": "node"} | changes
    return pruning.function_curve(**arguments)


def results():
    codes = {name: (("width", "step_size", "seed"), np.zeros((1, 1, 1), np.int32)) for name in ("status", "steps_done")}
    dataset = xr.Dataset(codes, {"width": [8], "step_size": [0.1], "seed": [0]})
    return mf.Results(dataset, {8: Particles(np.zeros((1, 1, 8, 5)), np.zeros((1, 1, 8, 3)))})


TAILS = {
    name: getattr(tails, name)
    for name in (
        "hill",
        "tail_index",
        "power_law",
        "moment_estimator",
        "pickands",
        "kernel_estimator",
        "hill_reduced",
        "block_log_moment",
        "stable_quantile",
        "stable_characteristic",
        "tail_family",
    )
}

CASES = {
    # masked arrays: numpy would drop the mask
    **{f"masked, {name}": (lambda f=f: f(masked(SAMPLE)), f"`x` must {HALF}") for name, f in TAILS.items()},
    "masked, bootstrap": (lambda: tails.block_bootstrap(tails.hill, masked(SAMPLE), 10, KEY), f"`x` must {HALF}"),
    "masked, inputs": (lambda: mf.data.from_arrays(masked(X), Y), f"`x` must {HALF}"),
    "masked, labels": (lambda: mf.data.from_arrays(X, masked(Y)), f"`y` must {HALF}"),
    "masked, in a list": (lambda: rates.rate([1, 2], [masked([1.0, 2.0]), [1.0, 2.0]]), f"`values` must {HALF}"),
    "masked, sweep": (lambda: mf.dynamics.SGD(masked([0.1, 2.0]), 1), "`step_size` must be a number > 0, or an array of them"),
    "masked, sweep in a list": (lambda: mf.dynamics.SGD([0.1, np.ma.masked], 1), "`step_size` must be a number or a sequence"),
    "masked, magnitude": (lambda: pruning.magnitude(masked(W), 0.5), f"`w` must {HALF}"),
    "masked, node": (lambda: pruning.node(masked(W), 0.5), f"`w` must {HALF}"),
    "masked, singular": (lambda: pruning.singular(masked(W), 0.5), f"`w` must {HALF}"),
    "masked, a leaf": (lambda: pruning.node({"a": masked(W)}, 0.5), f"`w` must {HALF}"),
    "masked, distance": (lambda: distances.wasserstein(SAMPLE, masked(SAMPLE)), f"`y` must {HALF}"),
    "masked, correlation": (lambda: chaos.correlation(masked(X)), f"`samples` must {HALF}"),
    # booleans are no sample
    **{f"booleans, {name}": (lambda f=f: f(SAMPLE > 0), "`x` must hold numbers") for name, f in TAILS.items()},
    "booleans, bootstrap": (lambda: tails.block_bootstrap(tails.hill, SAMPLE > 0, 10, KEY), "`x` must hold numbers"),
    # labels or targets?
    "whole numbers": (lambda: mf.data.from_arrays(X, Y * 1.0), "`y` must hold labels of an integer type, or come with `classes`"),
    "a column of them": (lambda: mf.data.from_arrays(X, Y[:, None] * 1.0), "`y` must hold labels of an integer type"),
    "whole numbers twice": (lambda: mf.data.from_arrays(X, Y * 1.0, X, Y * 1.0), "`y` must hold labels of an integer type"),
    "one-hot": (lambda: mf.data.from_arrays(X, np.eye(3)[Y]), "`y` must hold labels, `np.argmax(y, axis=1)`, or come with"),
    "one-hot integers": (lambda: mf.data.from_arrays(X, np.eye(3, dtype=int)[Y]), "`np.argmax(y, axis=1)`"),
    "targets with classes": (
        lambda: mf.data.from_arrays(X, X[:, 0], classes=3),
        "`classes` must be None with real targets, or 0",
    ),
    "negative classes": (lambda: mf.data.from_arrays(X, Y, classes=-1), "`classes` must be an integer >= 0"),
    # a source that is not what it says
    "five labels": (lambda: run(data=small(y=jnp.zeros(5, int))), "an integer label for each of 40 inputs"),
    "real labels": (lambda: run(data=small(y=jnp.zeros(40))), "an integer label for each of 40 inputs"),
    "more classes than said": (lambda: run(data=small(classes=2)), "`data` must hold labels in 0, ..., 1, but is a source whose"),
    "five targets": (
        lambda: run(network=mf.TwoLayer(loss="squared"), data=small(y=jnp.zeros((5, 1)), classes=0)),
        "`data` must have real targets of shape (examples, 1) for 40 inputs",
    ),
    # numbers
    "sweep equal in float32": (
        lambda: run(mf.dynamics.SGD([0.1, 0.1 + 1e-12], 1)),
        "different numbers in a sweep, also as float32",
    ),
    "series": (
        lambda: mf.scaling.StepSizeLaw(pd.Series([-1.0])),
        "`gamma` must be a number > 0, or an array of them, but is [-1.0]",
    ),
    "series of indices": (lambda: mf.noise.symmetric_stable(KEY, pd.Series([3.0]), (5,)), "`alpha` must lie in (0, 2]"),
    "set": (lambda: mf.dynamics.SGD({-0.1}, 1), "`step_size` must be a number > 0"),
    "dictionary": (lambda: mf.dynamics.SGD({"a": -0.1}, 1), "`step_size` must be a number > 0"),
    "function": (lambda: mf.dynamics.SGD(lambda n: 0.1, 1), "`step_size` must be a number > 0"),
    "generator": (lambda: mf.dynamics.SGD((s for s in [0.1]), 1), "`step_size` must be a number > 0"),
    "empty range": (lambda: mf.dynamics.SGD(range(0), 1), "`step_size` must be a number or a sequence"),
    "class": (lambda: mf.dynamics.SGD(mf.scaling.StepSizeLaw, 1), "`step_size` must be a number > 0"),
    "step of a law": (lambda: mf.scaling.StepSizeLaw(1.0)(8, "a"), "`step` must be a number >= 0"),
    "injection, an object": (
        lambda: run(mf.dynamics.McKeanVlasov(0.1, injection=object())),
        "`injection` must hold numbers only",
    ),
    "injection, a class": (
        lambda: mf.dynamics.McKeanVlasov(0.1, injection=mf.dynamics.GaussianInjection),
        "`injection` must be None or an instance of a subclass of `AbstractInjection`",
    ),
    "line search": (lambda: run(mf.dynamics.Optax(optax.lbfgs(), 1)), "`transformation` must take gradients and particles alone"),
    "float32, init_scale": (lambda: mf.TwoLayer(init_scale=1e300), "`init_scale` must be 0 or between"),
    "float32, noise_std": (lambda: mf.data.gaussian_regression(2, noise_std=1e39), "`noise_std` must be 0 or between"),
    "float32, teacher": (lambda: mf.data.teacher(KEY, dim=2, neurons=2, noise_std=1e39), "`noise_std` must be 0 or between"),
    "float32, optimum": (lambda: mf.data.gaussian_regression(2, optimum=[1e39, 0]), "`optimum` must be 0 or between"),
    "float32, large covariance": (lambda: mf.data.gaussian_regression(2, covariance=1e80), "`covariance` must have standard dev"),
    "float32, small covariance": (
        lambda: mf.data.gaussian_regression(2, covariance=1e-90),
        "`covariance` must have standard dev",
    ),
    # networks
    "text for functions": (lambda: mf.TwoLayer(mf.Activation("relu", "relu")), "`activation` must hold functions of an array"),
    "a sum": (lambda: run(network=mf.TwoLayer(mf.Activation(jnp.sum, jnp.cos))), "`activation` must go number by number"),
    "init, a number": (lambda: NET.init(0, 4), "`key` must be one random key"),
    "init, two keys": (lambda: mf.TwoLayer(dim=2, outputs=2).init(keys(), 4), "`key` must be one random key"),
    "predict, a list": (
        lambda: NET.predict(PART, [[1, 2, 3, 4, 5]]),
        "`x` must be an array of real numbers, but is of type list",
    ),
    "predict, text": (lambda: NET.predict(PART, np.array([["a"] * 5])), "`x` must be an array of real numbers"),
    "predict, complex": (lambda: NET.predict(PART, np.ones((2, 5), complex)), "`x` must be an array of real numbers"),
    "predict, nothing": (lambda: NET.predict(None, X), "`particles` must be `Particles`"),
    "predict, halves": (lambda: NET.predict(dataclasses.replace(PART, a=PART.a[:4]), X), "one row of `a` for each row of `w`"),
    "risk, a list": (lambda: NET.risk(PART, np.ones((2, 5)), [0, 1]), "`y` must be an array of real numbers"),
    "risk of nothing": (lambda: NET.risk(PART, np.ones((0, 5)), np.zeros(0, int)), "`x` must hold at least one example"),
    "weights": (lambda: NET.gradient(PART, X[:2], Y[:2], np.ones((2, 8))), "`weights` must have shape (8, 2)"),
    # random numbers
    "rows of two keys": (lambda: random.normal_rows(keys(), 2, 0, 2), "`key` must be one random key"),
    "rows backwards": (lambda: random.normal_rows(KEY, 3, 4, 1), "`stop` must be an integer >= 4"),
    "words of two keys": (lambda: random.key_words(keys()), "`key` must be one random key"),
    "words of a number": (lambda: random.key_words(0), "`key` must be one random key"),
    "fold, numbers": (lambda: random.fold_words((1, 2), 3), "`words` must hold random bits"),
    "fold, negative": (lambda: random.fold_words(WORDS, -1), "`count` must be an integer >= 0"),
    "fold, large": (lambda: random.fold_words(WORDS, 2**40), "`count` must be less than 2^32"),
    "integer below 0": (lambda: random.integer(WORDS, 0), "`size` must be an integer >= 1"),
    "integer of numbers": (lambda: random.integer((1, 5), 3), "`words` must hold random bits"),
    "normal, negative": (lambda: random.normal(KEY, -1, jnp.float32), "`size` must be an integer >= 0"),
    "normal, integers": (lambda: random.normal(KEY, 3, int), "`dtype` must be a floating type"),
    "normal, no key": (lambda: random.normal(0, 3, jnp.float32), "`key` must be one random key"),
    "pair of floats": (lambda: random.normal_pair((jnp.float32(1), jnp.float32(2))), "`words` must hold random bits"),
    "uniform, text": (lambda: random.uniform("a"), "`word` must hold random bits"),
    # simulate and its probes
    "a million million seeds": (lambda: run(seeds=10**12), "`seeds` must be at most 10 million"),
    "progress": (lambda: run(progress="no"), "`progress` must be True, False or None"),
    "probe, length": (lambda: run(probes=[Odd(length=4)]), "`probes` must return arrays with the axes ('k',)"),
    "probe, name": (lambda: run(probes=[Odd("other")]), "`probes` must return what they describe"),
    "probe, never": (lambda: run(probes=[mf.probes.Moments(at=(100,))]), "`probes` must look at a step from 0 to 5"),
    "levels twice": (lambda: mf.probes.NormQuantiles((0.5, 0.5)), "`levels` must be different numbers in [0, 1]"),
    "levels in a matrix": (lambda: mf.probes.NormQuantiles(((0.1, 0.2), (0.3, 0.4))), "`levels` must be different numbers"),
    "log_spaced, steps": (lambda: mf.probes.log_spaced(-5), "`steps` must be an integer >= 0"),
    "log_spaced, text": (lambda: mf.probes.log_spaced("a"), "`steps` must be an integer >= 0"),
    "log_spaced, count": (lambda: mf.probes.log_spaced(10, 0), "`count` must be an integer >= 2"),
    "simulate in jit": (lambda: jax.jit(lambda: run().particles[4].w)(), "`system` must be put together outside of `jax.jit`"),
    "steps in jit": (lambda: jax.jit(lambda n: run(steps=n))(5), "`system` must be put together outside of `jax.jit`"),
    "key in vmap": (
        lambda: jax.vmap(lambda k: run(key=k).particles[4].w)(keys()),
        "`system` must be simulated outside of `jax.jit`",
    ),
    "step size in grad": (
        lambda: jax.grad(lambda s: run(mf.dynamics.SGD(s, 1)).particles[4].w.sum())(0.1),
        "`system` must be put together outside of `jax.jit`",
    ),
    # results
    "results of nothing": (lambda: mf.Results(None, None), "`dataset` must be an xarray dataset with `status`"),
    "results without particles": (lambda: mf.Results(results().dataset, None), "`particles` must be a dictionary"),
    "unknown width": (lambda: results().complete(5), "`width` must be one of 8, but is 5"),
    "text for a width": (lambda: results().complete("8"), "`width` must be one of 8, but is '8'"),
    "longer variable": (
        lambda: results().with_variables(a=xr.DataArray(np.ones(7), dims="seed")),
        "`variables` must fit the axes",
    ),
    "save to nothing": (lambda: results().save(None), "`path` must be a path"),
    "save to an empty name": (lambda: results().save(""), "`path` must be a path"),
    "save to no directory": (lambda: results().save("/proc/no/such/r.nc"), "`path` must be a file that can be written"),
    "load nothing": (lambda: mf.Results.load(None), "`path` must be a path"),
    "load nowhere": (lambda: mf.Results.load("nowhere.nc"), "`path` must be a file that exists"),
    "data from nothing": (lambda: mf.data.load(None), "`path` must be a path"),
    "data from bytes": (lambda: mf.data.load(b"nowhere"), "`path` must be a path"),
    "data from a long name": (lambda: mf.data.load("a" * 5000), "`path` must be a "),
    # measurement
    "default k": (lambda: tails.default_k(-100), "`n` must be an integer >= 1"),
    "interval, k": (lambda: tails.hill_interval(2.0, 0), "`k` must be an integer >= 1"),
    "interval, index": (lambda: tails.hill_interval(-1.0, 5), "`alpha` must be a number >= 0"),
    "interval, NaN": (lambda: tails.hill_interval(np.nan, 5), "`alpha` must be a number >= 0"),
    "clip": (lambda: tails.block_log_moment(SAMPLE, clip="yes"), "`clip` must be True or False"),
    "no estimator": (lambda: tails.block_bootstrap(3, SAMPLE, 10, KEY), "`estimator` must be a function of a sample"),
    "an estimator of a number": (lambda: tails.block_bootstrap(np.mean, SAMPLE, 10, KEY), "`estimator` must return a `TailFit`"),
    "k in jit": (lambda: jax.jit(lambda k: tails.hill(SAMPLE, k))(5), "`k` must be an integer >= 1, but is traced"),
    "kept, more than all": (lambda: pruning.kept(2.0, 10), "`kappa` must be numbers in [0, 1]"),
    "kept, NaN": (lambda: pruning.kept(np.nan, 10), "`kappa` must be numbers in [0, 1]"),
    "kept of fewer than none": (lambda: pruning.kept(0.5, -3), "`n` must be an integer >= 0"),
    "limit, text": (lambda: pruning.extrapolated_limit(abs(SAMPLE), 0.1, "a", 10), "`alpha` must be a number > 0"),
    "singular values, vector": (lambda: pruning.singular_values(SAMPLE), "`w` must have 2 to 8 axes"),
    "singular values, NaN": (lambda: pruning.singular_values(W * np.nan), "`w` must be finite"),
    "error curve in jit": (
        lambda: jax.jit(lambda w: pruning.error_curve(w, 0.5, "node"))(W),
        "`w` must be known numbers, because the answer is computed on the host, but is traced",
    ),
    "curve, one label": (lambda: curve(y=Y[:1]), "`y` must have 40 rows, one for each input"),
    "curve, labels": (lambda: curve(y=Y + 50), "`y` must hold labels in 0, ..., 2, but is holding [50"),
    "curve, no inputs": (lambda: curve(x=None), "`x` must be an array of real numbers"),
    "curve, text": (lambda: curve(predict=lambda w, x: "a"), "`predict` must give real outputs"),
    "curve, loss": (lambda: curve(y=Y, loss=3), "`loss` must be a function"),
    "curve, losses": (lambda: curve(y=Y, loss=lambda f, y: np.ones(3)), "`loss` must return one number"),
    "far away": (lambda: distances.wasserstein([-1.7e308], [1.7e308]), "`y` must lie within 1.8e+308 of `x`"),
    "survival function": (
        lambda: distances.kolmogorov(SAMPLE, stats.norm.sf),
        "`y` must be samples, or a function that does not fall",
    ),
    # theory
    "recursion, series": (lambda: recursion.lyapunov(pd.Series([-0.5]), 1, 1), "`step_size` must be a number > 0"),
    "recursion, small": (lambda: recursion.tail_index(0.5, 1, 1, sigma=1e-200), "`sigma` must be such that"),
    "recursion, large": (lambda: recursion.tail_index(0.5, 1, 1, sigma=1e200), "`sigma` must be such that"),
    "recursion, ridge": (lambda: recursion.lyapunov(0.5, 1, 1, weight_decay=1e300), "`weight_decay` must be at most"),
    "recursion in jit": (lambda: jax.jit(lambda s: recursion.lyapunov(s, 1, 1))(0.5), "`step_size` must be known numbers"),
    "recursion in grad": (lambda: jax.grad(lambda s: recursion.tail_index(s, 1, 1))(0.5), "`step_size` must be known numbers"),
    "occam": (lambda: bounds.occam([0.1, 0.2, 0.3], [1, 2], 10), "`description_length` must broadcast against shape (3,)"),
    "no bound": (lambda: bounds.examples_needed(None, 0.1), "`bound` must be a `Bound`"),
    "neurons": (lambda: neurons.relu_gradient(X, X, X), "`neurons` must have 10 columns"),
    "rows of neurons": (lambda: neurons.relu_gradient(X, X[:3], X), "`x` must have one row for each of 40 neurons"),
    "no neurons": (lambda: neurons.relu_gradient(None, X, X), "`neurons` must be an array of real numbers"),
    "negative order": (lambda: neurons.quadratic_growth(-1, 0.5, 0.5), "`s` must be a number > 0"),
    "negative strata": (lambda: random_products.stratified(np.random.default_rng(0), -1), "`count` must be an integer >= 1"),
    "no generator": (lambda: random_products.stratified(3, 5), "`rng` must be a generator of numpy"),
    "exactly text": (lambda: random_products.exact("a"), "`value` must be a number"),
    "negative radius": (lambda: limits.response(-1.0), "`tau` must be a number >= 0"),
    "no radius": (lambda: limits.response_slope(None), "`tau` must be a number >= 0"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", CASES)
def test_refused_in_a_sentence(name, monkeypatch):
    monkeypatch.setattr(program, "init", lambda *a, **k: pytest.fail("something was compiled before the arguments were checked"))
    call, fragment = CASES[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value).startswith("Argument `") and str(caught.value).endswith(".")
    assert fragment in str(caught.value)


def test_labels_and_targets_can_be_said(tmp_path):
    """Whole numbers with `classes` are labels, with 0 targets; what cannot be labels is a regression without a word."""
    labels = mf.data.from_arrays(X, Y * 1.0, X, Y[:, None] * 1.0, classes=4)
    assert labels.classes == 4 and labels.y.dtype == jnp.int32 and (np.asarray(labels.y_test) == Y).all()
    for y in (Y * 1.0, Y, np.eye(3)[Y], np.eye(3, dtype=int)[Y]):
        targets = mf.data.from_arrays(X, y, classes=0)
        assert targets.classes == 0 and (np.asarray(targets.y) == y.reshape(40, -1)).all() and targets.y.dtype == jnp.float32
    for y in (Y - 1.0, Y + 0.5, np.zeros(40), X[:, :2], np.c_[Y, Y] * 1.0):
        assert mf.data.from_arrays(X, y).classes == 0
    for classes, found in ((3, 3), (0, 0)):
        np.savez(tmp_path / "d.npz", x=X, y=Y * 1.0, classes=classes)
        assert mf.data.load(tmp_path / "d.npz").classes == found
        np.savez(tmp_path / "d.npz", x_train=X, y_train=Y * 1.0, x_test=X, y_test=Y * 1.0, classes=classes)
        assert mf.data.load(tmp_path / "d.npz").classes == found
    np.savez(tmp_path / "d.npz", x=X, y=Y * 1.0)
    with pytest.raises(mf.ArgumentError, match="`y` must hold labels of an integer type, or come with `classes`"):
        mf.data.load(tmp_path / "d.npz")


def test_what_is_one_thing_is_taken():
    """The refusals leave room: numbers in other boxes, arrays with a mask that hides nothing, place holders of jax."""
    assert _check.integers("widths", np.array(4), 1) == (4,)
    assert mf.probes.Moments(2).orders == (2.0,) and mf.probes.NormQuantiles(np.array([0, 1])).levels == (0.0, 1.0)
    assert hash(mf.probes.Moments([1.0, 2.0])) == hash(mf.probes.Moments((1.0, 2.0)))
    assert hash(mf.TwoLayer(init_scale=np.array(0.5))) == hash(mf.TwoLayer(init_scale=0.5))
    assert mf.dynamics.SGD(pd.Series([0.1, 0.2]), 1).step_size.tolist() == [0.1, 0.2]
    mf.System(mf.TwoLayer(), small(), mf.dynamics.SGD(jnp.array(0.1, jnp.bfloat16), 1))
    assert tails.hill(np.ma.masked_array(SAMPLE, False)).alpha == tails.hill(SAMPLE).alpha
    sgd = mf.dynamics.SGD(0.1, 1, weight_decay=0.5)
    leaves, structure = jax.tree.flatten(sgd)
    jax.tree.unflatten(structure, [object()] * len(leaves))
    jax.vmap(lambda one, x: one.step_size * x, in_axes=(None, 0))(sgd, jnp.ones(2))
    jax.eval_shape(lambda one: one, sgd)


def test_nan_stays_nan_under_a_trace():
    """Under a trace nothing can be refused; an index of NaN must not look like one of infinity."""
    for estimator in (tails.hill, tails.moment_estimator, tails.pickands, tails.kernel_estimator):
        fit = jax.jit(estimator)(jnp.asarray(SAMPLE, jnp.float32) * jnp.nan)
        assert np.isnan(fit.alpha) and np.isnan(fit.standard_error) and np.isnan(fit.interval).all()
        np.testing.assert_allclose(jax.jit(estimator)(jnp.asarray(SAMPLE, jnp.float32)).alpha, estimator(SAMPLE).alpha, rtol=1e-3)


def test_equal_lengths_up_to_rounding_have_no_index():
    """A step of 1 on an input of squared length 2 lengthens nothing: the rounding of sqrt(2)^2 is no growth."""
    assert least_squares.empirical_tail_index([[1.0], [2.0**0.5]], 1.0, 1, key=jax.random.key(0)).value == np.inf
    assert least_squares.empirical_tail_index(
        [[1.0], [2.0**0.5 * (1 + 1e-9)]], 1.0, 1, key=jax.random.key(0)
    ).value == pytest.approx(np.log(2) / 4e-9, rel=1e-5)


@pytest.fixture
def good(tmp_path):
    results().save(tmp_path / "good.nc")
    return tmp_path / "good.nc"


def test_results_without_attributes_load(good):
    """Only the structure is asked for: a file of an older version, without attributes, loads."""
    loaded = mf.Results.load(good)
    assert loaded.complete(8).all() and loaded.particles[8].a.shape == (1, 1, 8, 3) and not loaded.dataset.attrs


def _netcdf(path, root, **groups):
    xr.DataTree.from_dict({"/": root, **{name: xr.Dataset({v: ("n", [1.0])}) for name, v in groups.items()}}).to_netcdf(
        path, engine="h5netcdf"
    )


def _linked(path, make):
    with h5py.File(path, "a") as file:
        make(file)


FOREIGN = {
    "empty": (lambda p: p.write_bytes(b""), "a netCDF-4 file that is whole"),
    "text": (lambda p: p.write_text("hello"), "a netCDF-4 file that is whole"),
    "half": (lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "a netCDF-4 file that is whole"),
    "directory": (lambda p: (p.unlink(), p.mkdir()), "a file that exists"),
    "netCDF-3": (lambda p: p.write_bytes(xr.Dataset({"a": 1}).to_netcdf(engine="scipy")), "a netCDF-4 file that is whole"),
    "foreign": (lambda p: _netcdf(p, xr.Dataset({"a": ("b", [1.0])})), "which holds ["),
    "group": (lambda p: _netcdf(p, results().dataset, foo="w"), "which holds /foo"),
    "width": (lambda p: _netcdf(p, results().dataset, particles_x="w"), "which holds /particles_x"),
    "no weights": (lambda p: _netcdf(p, results().dataset, particles_8="v"), "/particles_8 without `w`"),
    "circle": (lambda p: _linked(p, lambda f: f["particles_8"].__setitem__("again", f["/"])), "/particles_8/again"),
    "soft link": (lambda p: _linked(p, lambda f: f.__setitem__("b", h5py.SoftLink("/status"))), "which holds /b"),
    "other file": (
        lambda p: _linked(p, lambda f: f.create_dataset("b", (4,), "u1", external=[("/etc/hostname", 0, 4)])),
        "which holds /b",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_others_are_no_results(name, good):
    spoil, fragment = FOREIGN[name]
    spoil(good)
    with pytest.raises(mf.ArgumentError) as caught:
        mf.Results.load(good)
    assert str(caught.value).startswith("Argument `path` must be ") and fragment in str(caught.value)


def test_save_over_a_directory(tmp_path):
    with pytest.raises(mf.ArgumentError, match="`path` must be the name of a file, but is the directory"):
        results().save(tmp_path)
    with pytest.raises(mf.ArgumentError, match="with a dataset that netCDF can hold"):
        odd = results()
        dataclasses.replace(odd, dataset=odd.dataset.assign_attrs(a={"b": 1})).save(tmp_path / "r.nc")
