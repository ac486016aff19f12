"""SGD on least squares: millions of independent chains."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems.data import FiniteData, GaussianRegression
from meanfield.systems.dynamics.base import AbstractDynamics, State, per_particle
from meanfield.systems.dynamics.gradient import warn_unstable
from meanfield.systems.network import Particles, TwoLayer
from meanfield.systems.scaling import MeanField, Number
from meanfield.theory import recursion


def chains(init_scale: float = 1.0) -> TwoLayer:
    """The "network" of chains without a network around them: particles w_i in R^dim that start at N(0, init_scale^2 I).

    As a network it is `f_N(x) = (1/N) sum_i <w_i, x>` with squared loss: the average of the chains as a predictor.

    Examples:
        >>> chains().activation
        'identity'
    """
    return TwoLayer("identity", "squared", train_output=False, output_weights="ones", init_scale=init_scale)


def check_chains(network: TwoLayer, data: Any) -> None:
    """Refuse what is not a regression of one output by chains."""
    bare = (network.activation, network.loss, network.output_weights, network.bias) == ("identity", "squared", "ones", False)
    _check.require(bare, "network", "be `mf.dynamics.chains()` for this dynamics", network)
    _check.require(data.classes == 0, "data", "have real targets for this dynamics", _check.words("data with classes"))
    known = isinstance(data, FiniteData | GaussianRegression)
    must = "be a finite set or `mf.data.gaussian_regression(...)` for this dynamics"
    _check.require(known, "data", must, _check.words(f"a {type(data).__name__}"))


def check_plain_step(step_size: Any) -> None:
    """Refuse a law in the width: chains do not know one."""
    law = isinstance(step_size, MeanField)
    _check.require(not law, "step_size", "be a number > 0, or an array of them, for this dynamics", step_size)
    _check.positive("step_size", step_size)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LinearRecursion(AbstractDynamics):
    """SGD on least squares, every particle a chain of its own with its own mini-batches.

        x <- ((1 - eta lam) I - (eta/b) H) x + q,    H = sum_(i<=b) a_i a_i',   q = (eta/b) sum_(i<=b) a_i y_i

    with eta = `step_size`, lam = `weight_decay`, b = `batch_size`; `coupled` adds `eta lam mean(x)`, so that the ridge pulls to the
    mean of the chains instead of 0: particles in mean-field interaction.

    Args:
        step_size: eta > 0.
        batch_size: b; mini-batches of a finite set are drawn with replacement.
        weight_decay: lam >= 0.
        coupled: whether the ridge pulls to the mean of the chains.

    Raises:
        ValueError: a number outside its range.

    Run it on `mf.dynamics.chains()` with `mf.data.gaussian_regression(...)` (online) or any regression set. Beyond the largest
    step size with a stationary law a `StabilityWarning` names it: for isotropic Gaussian inputs the zero of the Lyapunov exponent
    (`mf.theory.recursion.maximal_step_size`); otherwise the step beyond which already the mean of a chain diverges.

    Source: Gurbuzbalaban, Simsekli, Zhu (2021); finite data: Pavasovic, Durmus, Simsekli (2023). The coupled form is ours.

    Examples:
        >>> import meanfield as mf
        >>> system = mf.System(chains(), mf.data.gaussian_regression(1), LinearRecursion(step_size=[0.5, 0.8], batch_size=1))
        >>> results = mf.simulate(system, widths=1000, steps=30, seeds=1, key=jax.random.key(0))
        >>> results.particles[1000].w.shape
        (2, 1, 1000, 1)
    """

    step_size: Number
    batch_size: int = field(metadata={"static": True})
    weight_decay: Number = 0.0
    coupled: bool = field(default=False, metadata={"static": True})

    def __post_init__(self):
        super().__post_init__()
        check_plain_step(self.step_size)
        _check.nonnegative("weight_decay", self.weight_decay)
        _check.require(isinstance(self.coupled, bool), "coupled", "be True or False", self.coupled)

    def check(self, network: TwoLayer, data: Any) -> None:
        """Refuse what is not a regression by chains; warn beyond the stability limit."""
        super().check(network, data)
        check_chains(network, data)
        epochs = bool(getattr(data, "epochs", False))
        _check.require(
            not epochs, "data", "be sampled with replacement for this dynamics", _check.words("data sampled in epochs")
        )
        eta, lam = (np.asarray(v, float) for v in (self.step_size, self.weight_decay))
        for ridge in np.unique(lam):
            worst = float(eta.max())
            if isinstance(data, GaussianRegression) and data.isotropic:
                sigma = float(data.root[0, 0])
                if self.coupled:
                    # A law without a mean cannot hold chains together by their mean; and the mean itself moves by 1 - eta sigma^2.
                    limit = recursion.step_size_for(1.0, self.batch_size, data.dim, sigma, float(ridge))
                    limit, what = min(limit, 2 / sigma**2), "the law has no mean, which holds coupled chains together"
                else:
                    limit = recursion.maximal_step_size(self.batch_size, data.dim, sigma, float(ridge))
                    what = "the Lyapunov exponent is positive and the chains have no stationary law"
            else:
                limit = 2 / (largest_eigenvalue(data) + float(ridge))
                what = "already the mean of a chain diverges"
            if worst > limit:
                warn_unstable("step_size", limit, worst, what)

    def draw(self, source: Any, key: jax.Array, step: jax.Array, width: int) -> Any:
        """A mini-batch of every chain's own: inputs (width, batch_size, dim), targets (width, batch_size, 1)."""
        return per_particle(jax.random.fold_in(key, step), width, lambda own: source.batch(own, 0, self.batch_size))

    def step(self, key: jax.Array, state: State, batch: tuple[jax.Array, jax.Array]) -> tuple[State, dict[str, jax.Array]]:
        """One step; `key` is not used."""
        x = state.particles.w
        a, y = batch
        eta, lam = (jnp.asarray(v, x.dtype) for v in (self.step_size, self.weight_decay))
        residual = jnp.sum(a * x[:, None, :], axis=2) - y[:, :, 0]
        gradient = jnp.mean(a * residual[:, :, None], axis=1)
        centre = jnp.mean(x, axis=0, keepdims=True) if self.coupled else jnp.zeros_like(x[:1])
        moved = x - eta * (gradient + lam * (x - centre))
        return State(Particles(moved, None), state.step + 1, state.network), {"mean": jnp.mean(moved)}

    @property
    def conditional(self) -> bool:
        """Chains have noise of their own."""
        return False

    def limit(self) -> "LinearRecursion":
        """Itself: chains do not interact, or, coupled, through their mean alone, which N particles replace by their own.

        Coupled chains have this limit where the law has a mean, tail index above 1.
        """
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("Gurbuzbalaban2021", "Pavasovic2023")


def largest_eigenvalue(data: FiniteData | GaussianRegression) -> float:
    """Largest eigenvalue of the second moment of the inputs."""
    root = np.asarray(data.root if isinstance(data, GaussianRegression) else data.x.T / np.sqrt(data.size), np.float64)
    return float(np.linalg.norm(root, 2) ** 2)
