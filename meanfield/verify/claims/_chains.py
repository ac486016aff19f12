"""Chains of least squares that several claims run: their norms, whether they are stationary, whether their tail can be read."""

import warnings

import jax
import numpy as np

from meanfield import _check
from meanfield import plot as mfplot
from meanfield.systems import dynamics
from meanfield.systems.system import System
from meanfield.theory import recursion
from meanfield.verify.claim import Check, Hypothesis
from meanfield.verify.claims._tools import run_to_the_end, stationary

SIDE, AT_ONCE = 50_000, 2  # chains of one run: two at a time, for two cores
HEAVIEST = 0.3  # index that a sample in single precision holds
LIGHTEST = 5.5  # index up to which the bend of the tail was measured


def chains_of(data, one, init_scale: float = 1.0) -> System:
    """Chains with the dynamics `one`, also where no stationary law is: to find out is up to the checks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _check.StabilityWarning)
        return System(dynamics.chains(init_scale), data, one)


def ends_of(key, chains: int, data, one, steps: int, init_scale: float = 1.0) -> np.ndarray:
    """Where one run of so many chains (chains, dim) is after the steps."""
    results = run_to_the_end(chains_of(data, one, init_scale), widths=chains, steps=steps, seeds=1, key=key)
    return np.asarray(results.particles[chains].w[0, 0], np.float64)


def norms(key, size: int, data, one, steps: int) -> np.ndarray:
    """Norms |x| of `size` independent chains after so many steps of the dynamics `one`: one program for any number of them."""
    made, system = [], chains_of(data, one)
    for i in range(-(-size // (SIDE * AT_ONCE))):
        own = jax.random.fold_in(key, i)
        results = run_to_the_end(system, widths=SIDE, steps=steps, seeds=AT_ONCE, key=own)
        made.append(np.linalg.norm(np.asarray(results.particles[SIDE].w, np.float64), axis=-1).ravel())
    return np.concatenate(made)[:size]


def survival(ax, largest: np.ndarray, index: float, label: str, color: str, dotted: str = "predicted") -> None:
    """Draw the share of chains beyond x, from the largest hundredth; dotted: the slope of this index."""
    mfplot.largest(ax, largest, 0.01, index, label, color)
    ax.set(xlabel="norm |x| of a chain", ylabel="share of chains beyond")
    ax.legend(fontsize="small", title=f"dotted: {dotted} slope", title_fontsize="small")


def readable(name: str, eta: float, b: int, d: int) -> None:
    """Refuse a step size whose chains have no tail index that an experiment could read."""
    maximal = recursion.maximal_step_size(b, d)
    where = f"for b = {b}, d = {d}"
    must = f"be below {maximal:.5g} {where}, beyond which there is no stationary law"
    _check.require(eta < maximal, name, must, eta)
    alpha = recursion.tail_index(eta, b, d)
    must = f"make a tail index from {HEAVIEST:g} to {LIGHTEST:g} {where}, which an experiment can read"
    _check.require(HEAVIEST <= alpha <= LIGHTEST, name, must, _check.words(f"{eta:g}, with the index {alpha:.3g}"))


def _all_stationary(data, parameters) -> Check:
    names = [name.removeprefix("now, ") for name in data if name.startswith("now, ")]
    found = [stationary(f"halfway, {name}", f"now, {name}").check(data, parameters) for name in names]
    return next((check for check in found if not check.holds), found[0])


ALL_STATIONARY = Hypothesis("The chains are stationary.", _all_stationary)
