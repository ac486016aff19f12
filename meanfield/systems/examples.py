"""Systems whose answer is known, or conjectured: claims test them and simulations draw them."""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np

from meanfield.systems import data as sources
from meanfield.systems.dynamics.base import AbstractDynamics, State
from meanfield.systems.networks import Activation, Particles, TwoLayer
from meanfield.systems.scaling import Number
from meanfield.systems.system import System

# Piecewise linear: -2.5 up to 0.5, 7.5 from 1.5 on. The activation of Mei, Montanari, Nguyen (2018) for two Gaussians.
RAMP = Activation(
    lambda z: jnp.clip(10 * z - 7.5, -2.5, 7.5), lambda z: jnp.where((z > 0.5) & (z < 1.5), 10.0, 0.0).astype(z.dtype)
)

# -- the quadratic network ------------------------------------------------------------------------------------------------

OFFSET = 1.0  # c of the quadratic network
SQUARE = Activation(lambda z: (z + OFFSET) ** 2 / 2, lambda z: z + OFFSET)  # one object: programs are compiled once


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FreshExamples(AbstractDynamics):
    """SGD on a quadratic network in one dimension, every neuron with its own fresh example in every step.

        w_i <- (1 - eta lam) w_i - eta (f(x_i) - y_i) a_i (w_i x_i + c) x_i,    f(x) = mean_j a_j (w_j x + c)^2 / 2

    `SGD(minibatches="independent")` draws the examples from a pool, over which it needs f; here two moments have f everywhere.

    Args:
        step_size: eta.
        weight_decay: lam.
    """

    step_size: Number
    weight_decay: Number

    batch_size = 1

    def draw(self, source, key, step, width):
        """One example for every neuron."""
        return source.batch(key, step, width)

    def step(self, key, state, batch):
        """One step; `key` is not used."""
        particles = state.particles
        w, a, x, y = particles.w[:, 0], particles.a[:, 0], batch[0][:, 0], batch[1][:, 0]
        f = 0.5 * jnp.mean(a * w**2) * x**2 + OFFSET * jnp.mean(a * w) * x + 0.5 * OFFSET**2 * jnp.mean(a)
        gradient = (f - y) * a * (w * x + OFFSET) * x
        w = w - self.step_size * (gradient + self.weight_decay * w)
        moved = Particles(w[:, None], particles.a)
        return State(moved, state.step + 1, state.network), {"risk": jnp.mean((f - y) ** 2) / 2}

    def limit(self):
        """The same law of one neuron, with f of its law instead of f_N."""
        return self

    @property
    def conditional(self):
        """Neurons have independent noise."""
        return False

    @property
    def references(self):
        """BibTeX keys."""
        return ("MeiMontanariNguyen2018",)


def quadratic_system(step_sizes, weight_decay: float = 1.0) -> System:
    """The quadratic network with output weights +-1 in balance, on targets that are pure noise.

    Its tail index is `mf.theory.network.quadratic_tail_index(step_size, 1.0)` at weight decay 1.

    Args:
        step_sizes: one or several.
        weight_decay: of all weights.

    Examples:
        >>> quadratic_system([0.2]).data.dim
        1
    """
    net = TwoLayer(SQUARE, "squared", train_output=False, output_weights="signs")
    data = sources.gaussian_regression(1, optimum=np.zeros(1))
    return System(net, data, FreshExamples(list(step_sizes), weight_decay))


# -- handwritten digits ---------------------------------------------------------------------------------------------------


def digit_components(count: int, examples: int | None = None, *, whitened: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal components of the handwritten digits for training (`mf.data.digits`), and their labels.

    Args:
        count: number of components.
        examples: only the first so many digits; the components are those of all.
        whitened: give every component the variance 1 over all digits; else the rows have a mean square norm of 1.

    Returns:
        Inputs (examples, count), float64, and labels (examples,).

    Examples:
        >>> x, y = digit_components(8)
        >>> x.shape, round(float((x**2).sum(axis=1).mean()), 6)
        ((1438, 8), 1.0)
    """
    digits = sources.digits()
    x = np.asarray(digits.x, np.float64)
    left, scale, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    left, labels = left[:examples, :count], np.asarray(digits.y)[:examples]
    if whitened:
        return left * len(x) ** 0.5, labels
    rows = left * scale[:count]
    return rows / np.sqrt(np.mean(np.sum(rows**2, axis=1))), labels
