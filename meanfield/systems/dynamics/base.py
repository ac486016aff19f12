"""What a dynamics is. A new one is one file: copy sgd.py, change `step`."""

import abc
import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp

from meanfield import _check
from meanfield.systems.network import Particles, TwoLayer


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """What continues from step to step. A dynamics with memory adds fields to it.

    Args:
        particles: the neurons.
        step: number of steps taken, the n of step-size laws and of random streams.
        network: the architecture; it has no numbers, so it costs nothing here.
    """

    particles: Particles
    step: jax.Array
    network: TwoLayer


class AbstractDynamics(abc.ABC):
    """One step of a particle system, written for one run: `simulate` vectorises it over step sizes, seeds and other numbers.

    A final subclass is a frozen dataclass with `@jax.tree_util.register_dataclass`. Fields that are numbers are pytree leaves:
    they are traced (a new value never recompiles), and a 1-D array in one of them is a sweep. Fields marked static (`batch_size`)
    decide shapes.
    """

    batch_size: Any  # every dynamics has this static field (the annotation alone adds none)

    def __post_init__(self):
        _check.integer("batch_size", self.batch_size, at_least=1)
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if not field.metadata.get("static", False):
                _check.as_array_field(self, field.name)

    def init(self, key: jax.Array, network: TwoLayer, width: int) -> State:
        """State at step 0: `width` particles drawn by the network."""
        return State(network.init(key, width), jnp.zeros((), jnp.int32), network)

    @abc.abstractmethod
    def step(self, key: jax.Array, state: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[Any, dict[str, jax.Array]]:
        """One step.

        Args:
            key: a key of this step alone, for noise that the dynamics itself adds.
            state: what `init` or the step before returned.
            batch: inputs (batch_size, dim) and labels or targets, the same for all neurons.

        Returns:
            The next state, and scalars to look at ("info"). `simulate` takes the first step whose info is not finite for the
            step at which a run diverged, so the info should hold a number that feels every particle, like the risk.
        """

    def limit(self) -> Self | None:
        """The dynamics that the particles converge to as the width grows; None where the library has none."""
        return None

    @property
    @abc.abstractmethod
    def references(self) -> tuple[str, ...]:
        """BibTeX keys, in docs/references.bib."""
