"""A dynamics to copy: plain SGD on the particles, with every member there is.

Three members must be written: `step_size`, `batch_size` and `step`. The others repeat their defaults, except `limit` (None by default) and
`references` (none by default); delete what you keep.
Run the tests of the contract with `meanfield.testing.check_dynamics(MySGD(step_size=0.1, batch_size=2))`.
"""

from dataclasses import dataclass, field

import jax

import meanfield as mf


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MySGD(mf.dynamics.AbstractDynamics):
    """theta_i <- theta_i - step_size * N dR/dtheta_i."""

    # A number is a plain field: it is traced, and an array in it is a sweep.
    step_size: float
    # A field that decides shapes or branches is static.
    batch_size: int = field(metadata={"static": True})

    def step(self, key, state, batch):
        """One step. `key` belongs to this step alone and is for noise (`mf.dynamics.per_particle` splits it over the neurons)."""
        x, y = batch
        risk, gradient = state.network.gradient(state.particles, x, y)
        displacement = jax.tree.map(lambda g: -self.step_size * g, gradient)
        particles = state.network.move(state.particles, displacement)
        return mf.dynamics.State(particles, state.step + 1, state.network), {"risk": risk}

    def draw(self, source, key, step, width):
        """The data of a step, from the data stream: the same for all widths and for all that is swept."""
        return source.batch(key, step, self.batch_size)

    def init(self, key, network, width):
        """The state at step 0. A dynamics with memory returns a subclass of `mf.dynamics.State`."""
        return super().init(key, network, width)

    def prepare(self, data):
        """The form of the data that `draw` reads, computed once on the host."""
        return data

    def check(self, network, data):
        """Refuse parts that do not fit, before anything compiles."""
        super().check(network, data)

    def limit(self):
        """The dynamics that the particles converge to as N grows; here the same one, given the data path. None if unknown."""
        return self

    @property
    def conditional(self):
        """Whether the limit is a random law, which depends on the data path. Here it is: all neurons see the same mini-batches."""
        return True

    def names(self):
        """The axis of the results that each number sweeps: by default the name of its field."""
        return super().names()

    @property
    def references(self):
        """BibTeX keys of the papers it comes from."""
        return ("DeBortoli2020",)

    # For speed alone, see meanfield/systems/dynamics/multistep.py: many steps of all runs at once.

    def advance(self, source, streams, states, steps):
        """Take `steps` steps in all runs; axis 0 of every array is the run."""
        return super().advance(source, streams, states, steps)

    def stride(self, network, width):
        """How many steps `advance` takes together."""
        return 1
