"""Homogenised SGD: the diffusion that stands for SGD on least squares in high dimension."""

from dataclasses import dataclass, field
from typing import final

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems import random
from meanfield.systems._arrays import Array, Float, Int, Key
from meanfield.systems.data import AbstractSource, GaussianRegression
from meanfield.systems.dynamics.base import AbstractDynamics, State, per_particle, warn_unstable
from meanfield.systems.dynamics.chains import check_chains, check_plain_step
from meanfield.systems.networks import AbstractNetwork, Particles
from meanfield.systems.scaling import Number


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Quadratic:
    """The risk of least squares, `L(x) = (floor + (x - optimum)' H (x - optimum)) / 2` with `H = root root'`.

    Args:
        root: (dim, dim).
        optimum: (dim,).
        floor: mean squared residual at the optimum.
    """

    root: Float[Array, "dim dim"]
    optimum: Float[Array, " dim"]
    floor: Float[Array, ""]


def quadratic(data: AbstractSource) -> Quadratic:
    """The quadratic risk of a regression, exact for Gaussian data, over the training set for a finite one; float64 inside."""
    if isinstance(data, GaussianRegression):
        return Quadratic(data.root, data.optimum, jnp.asarray(data.noise_std, float) ** 2)
    x, y = (np.asarray(v, np.float64) for v in data.splits["train"])
    y = y[:, 0]
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    optimum = np.linalg.lstsq(x, y, rcond=None)[0]
    arrays = vectors * np.sqrt(np.maximum(values, 0)), optimum, np.mean((x @ optimum - y) ** 2)
    return Quadratic(*(jnp.asarray(v, float) for v in arrays))


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class HomogenizedSGD(AbstractDynamics):
    """Homogenised SGD on least squares, every particle a path of its own.

        dX = -gamma (grad L(X) + delta X) dt + gamma (2 L(X) H / batch_size)^(1/2) dB

    with gamma = `step_size`, delta = `weight_decay`, 2 L(X) the mean squared residual and H the second moment of the inputs; the
    unit of time is one step of the SGD it stands for. Euler's scheme with time step `time_step`.

    Args:
        step_size: gamma > 0.
        batch_size: mini-batch size of that SGD.
        weight_decay: ridge delta >= 0.
        time_step: of Euler's scheme, in steps of SGD. The scheme has a tail index of its own: in one dimension with H = h the root
            s of `E|1 - gamma (h + delta) dt + gamma h (dt / B)^(1/2) g|^s = 1`, which tends to that of the diffusion.

    Raises:
        ValueError: a number outside its range.

    Run it on `mf.dynamics.chains()`. A `StabilityWarning` names the time step beyond which Euler's scheme diverges in the mean.

    Source: Jiao, Keller-Ressel (2024) for the regularised form; the diffusion is that of Paquette et al. (2022).

    Examples:
        >>> import meanfield as mf
        >>> system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), HomogenizedSGD(step_size=1.0, batch_size=1))
        >>> mf.simulate(system, widths=100, steps=30, seeds=1, key=jax.random.key(0)).particles[100].w.shape
        (1, 1, 100, 1)
    """

    step_size: Number
    batch_size: int = field(metadata={"static": True})
    weight_decay: Number = 0.0
    time_step: Number = 0.05

    def __post_init__(self):
        super().__post_init__()
        check_plain_step(self.step_size)
        _check.nonnegative("weight_decay", self.weight_decay)
        _check.positive("time_step", self.time_step)

    def check(self, network: AbstractNetwork, data: AbstractSource) -> None:
        """Refuse what is not a regression by chains; warn when Euler's scheme is unstable."""
        super().check(network, data)
        check_chains(network, data)
        largest = float(np.linalg.norm(np.asarray(quadratic(data).root, np.float64), 2) ** 2)
        step_size, ridge, time_step = (
            float(np.max(np.asarray(v, float))) for v in (self.step_size, self.weight_decay, self.time_step)
        )
        limit = 2 / (step_size * (largest + ridge))
        if time_step > limit:
            warn_unstable("time_step", limit, time_step, "Euler's scheme diverges in the mean")

    def prepare(self, data: AbstractSource) -> Quadratic:
        """The quadratic risk."""
        return quadratic(data)

    def draw(self, source: Quadratic, key: Key[Array, ""], step: Int[Array, ""], width: int) -> Quadratic:
        """The risk: the data of every step."""
        return source

    def step(self, key: Key[Array, ""], state: State, batch: Quadratic) -> tuple[State, dict[str, Float[Array, ""]]]:
        """One Euler step, with a Gaussian vector for every particle."""
        x = state.particles.w
        z = per_particle(key, len(x), lambda own: random.normal(own, x.shape[1], x.dtype))
        step_size, ridge, time_step = (jnp.asarray(v, x.dtype) for v in (self.step_size, self.weight_decay, self.time_step))
        root = batch.root.astype(x.dtype)
        along = jnp.matmul(x - batch.optimum[None, :], root, precision="highest")
        drift = jnp.matmul(along, root.T, precision="highest") + ridge * x
        twice = batch.floor + jnp.sum(along**2, axis=1, keepdims=True)
        kicks = jnp.sqrt(twice * time_step / self.batch_size) * jnp.matmul(z, root.T, precision="highest")
        moved = x - step_size * time_step * drift + step_size * kicks
        return State(Particles(moved, None), state.step + 1, state.network), {"risk": jnp.mean(twice) / 2}

    @property
    def conditional(self) -> bool:
        """Paths have noise of their own."""
        return False

    def limit(self) -> "HomogenizedSGD":
        """Itself: paths do not interact."""
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("JiaoKellerRessel2024", "Paquette2022")
