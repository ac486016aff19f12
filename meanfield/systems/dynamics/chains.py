"""Chains: particles that fit least squares without a network around them."""

from dataclasses import replace

import numpy as np

from meanfield import _check
from meanfield.systems.data.base import AbstractSource
from meanfield.systems.data.finite import FiniteData
from meanfield.systems.data.online import GaussianRegression
from meanfield.systems.networks import AbstractNetwork, TwoLayer
from meanfield.systems.scaling import Number, StepSizeLaw


def chains(init_scale: float = 1.0) -> TwoLayer:
    """The "network" of chains without a network around them: particles w_i in R^dim that start at N(0, init_scale^2 I).

    As a network it is `f_N(x) = (1/N) sum_i <w_i, x>` with squared loss: the average of the chains as a predictor.

    Examples:
        >>> chains().activation
        'identity'
    """
    return TwoLayer("identity", "squared", train_output=False, output_weights="ones", init_scale=init_scale)


def check_chains(network: AbstractNetwork, data: AbstractSource) -> None:
    """Refuse what is not a regression of one output by chains."""
    bare = isinstance(network, TwoLayer) and network == replace(
        chains(network.init_scale), dim=network.dim, outputs=network.outputs
    )
    _check.require(bare, "network", "be `mf.dynamics.chains()` for this dynamics", network)
    _check.require(data.classes == 0, "data", "have real targets for this dynamics", _check.words("data with classes"))
    known = isinstance(data, FiniteData | GaussianRegression)
    must = "be a finite set or `mf.data.gaussian_regression(...)` for this dynamics"
    _check.require(known, "data", must, _check.words(f"a {type(data).__name__}"))


def check_plain_step(step_size: Number | StepSizeLaw) -> None:
    """Refuse a law in the width: chains do not know one."""
    law = isinstance(step_size, StepSizeLaw)
    _check.require(not law, "step_size", "be a number > 0, or an array of them, for this dynamics", step_size)
    _check.positive("step_size", step_size)


def largest_eigenvalue(data: AbstractSource) -> float:
    """Largest eigenvalue of the second moment of the inputs."""
    if isinstance(data, GaussianRegression):
        root = np.asarray(data.root, np.float64)
    else:
        x = data.splits["train"][0]
        root = np.asarray(x.T / np.sqrt(len(x)), np.float64)
    return float(np.linalg.norm(root, 2) ** 2)
