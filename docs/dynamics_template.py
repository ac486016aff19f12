"""A dynamics to copy: plain SGD on the particles. Change `step` first; docs/extending.md lists what else can be said.

Put it to the contract with `meanfield.testing.check_dynamics(MySGD(step_size=0.1, batch_size=2))`.
"""

from dataclasses import dataclass, field

import jax

import meanfield as mf


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MySGD(mf.dynamics.AbstractDynamics):
    """theta_i <- theta_i - step_size * N dR/dtheta_i."""

    # Numbers are fields without more: they are traced, and an array in one of them is a sweep.
    step_size: float
    # What decides shapes or branches is static.
    batch_size: int = field(metadata={"static": True})

    def step(self, key, state, batch):
        """One step: `key` is this step's alone, for noise of your own (`mf.dynamics.per_particle` splits it over the neurons)."""
        x, y = batch
        risk, gradient = state.network.gradient(state.particles, x, y)
        displacement = jax.tree.map(lambda g: -self.step_size * g, gradient)
        particles = state.network.move(state.particles, displacement)
        return mf.dynamics.State(particles, state.step + 1, state.network), {"risk": risk}

    def limit(self):
        """What the particles converge to as N grows; given the data path, this same dynamics. None if you do not know."""
        return self

    @property
    def conditional(self):
        """All neurons see the same mini-batches, and the step does not vanish."""
        return True

    @property
    def references(self):
        """BibTeX keys of the papers it comes from."""
        return ("DeBortoli2020",)
