"""What all dynamics share that move along the gradient of the risk: mini-batches, ridge, injected noise, and the limit."""

import dataclasses
import warnings
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from meanfield import _check
from meanfield.systems import multistep
from meanfield.systems.dynamics.base import NEVER, AbstractDynamics, State, per_particle
from meanfield.systems.dynamics.injected import AbstractInjection
from meanfield.systems.network import TwoLayer
from meanfield.systems.scaling import Number, StepSizeLaw, per_neuron

MINIBATCHES = ("shared", "independent")
POOL = 1024  # fresh examples a step that stand for an online distribution, unless said otherwise


@dataclass(frozen=True)
class AbstractGradientDynamics(AbstractDynamics):
    """theta_i <- theta_i - step_size * (N dR/dtheta_i + weight_decay * theta_i) + injected noise.

    Args:
        step_size: step of one neuron, independent of the width, or a `mf.scaling.StepSizeLaw` law. A 1-D array is a sweep.
        batch_size: examples a mini-batch.
        weight_decay: ridge coefficient, >= 0; acts on trained parameters only.
        minibatches: "shared": all neurons see the same mini-batch, as in training. "independent": every neuron draws its own
            mini-batch, with replacement, from a pool: the whole of a finite set, or `pool_size` fresh examples of an online source.
            The residuals of the pool come from one forward pass, so a step costs what a step with a mini-batch of the size of the
            pool costs, in time and memory (N x pool numbers), whatever `batch_size`.
        pool_size: fresh examples a step that stand for an online distribution, 1024 if None. They are common to the neurons:
            they add a common part of `batch_size / pool_size` times the covariance of a mini-batch, and a tail index within one
            network is that given the pools, `E log mean_j |M_j|^alpha = 0` over the pool, which is higher (of a quadratic network
            3.5 becomes 4.0 with 64). Refused below 8 batch sizes, and where no neuron would draw from them.
    """

    step_size: Number | StepSizeLaw
    batch_size: int = field(metadata={"static": True})
    weight_decay: Number = field(default=0.0, kw_only=True)
    minibatches: str = field(default="shared", kw_only=True, metadata={"static": True})
    pool_size: int | None = field(default=None, kw_only=True, metadata={"static": True})

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.step_size, StepSizeLaw):
            _check.positive("step_size", self.step_size)
        _check.nonnegative("weight_decay", self.weight_decay)
        _check.choice("minibatches", self.minibatches, MINIBATCHES)
        if self.pool_size is not None:
            _check.integer("pool_size", self.pool_size, at_least=1)

    @property
    def injected(self) -> AbstractInjection | None:
        """Noise that is added to the particles beside that of the mini-batches."""
        return None

    def check(self, network: TwoLayer, data: Any) -> None:
        """Refuse what `minibatches` cannot do; warn when the ridge alone makes the particles diverge."""
        super().check(network, data)
        if self.pool_size is not None:
            fresh = self.minibatches == "independent" and data.size is None
            must = "be None unless neurons draw from fresh examples (independent noise, online data)"
            _check.require(fresh, "pool_size", must, self.pool_size)
        if self.minibatches == "independent" and data.size is None and self.batch_size is not None:
            pool = self.pool_size or POOL
            must = f"be at least 8 times the batch size, {8 * self.batch_size}: examples of the pool are common to the neurons"
            _check.require(pool >= 8 * self.batch_size, "pool_size", must, pool)
        if self.minibatches == "independent":
            epochs = bool(getattr(data, "epochs", False))
            _check.require(not epochs, "minibatches", "be 'shared' for data sampled in epochs", self.minibatches)
        law = self.step_size
        eta = law.gamma if isinstance(law, StepSizeLaw) else law
        fixed = not isinstance(law, StepSizeLaw) or bool(np.all(np.asarray(law.beta) == 1) and np.all(np.asarray(law.decay) == 0))
        ridge = np.max(np.asarray(eta, float)) * np.max(np.asarray(self.weight_decay, float))
        if fixed and ridge >= 2:
            warn_unstable("step_size * weight_decay", 2.0, float(ridge), "the ridge term alone makes the particles diverge")

    def draw(self, source: Any, key: jax.Array, step: jax.Array, width: int) -> Any:
        """The shared mini-batch, or the pool."""
        if self.minibatches == "shared":
            return source.batch(key, step, self.batch_size)
        return source.pool(key, step, self.pool_size or POOL)

    def weights(self, key: jax.Array, width: int, examples: int) -> jax.Array | None:
        """Weight of every example in the gradient of every neuron, (width, examples); None: the same for all.

        With `minibatches="independent"` the counts of `batch_size` draws over `batch_size`: mean 1/n, covariance
        `(delta_jl / n - 1 / n^2) / batch_size`.
        """
        if self.minibatches == "shared":
            return None

        def counts(own):
            index = jax.random.randint(own, (self.batch_size,), 0, examples)
            return jnp.zeros(examples).at[index].add(1 / self.batch_size)

        return per_particle(key, width, counts)

    def step(self, key: jax.Array, state: State, batch: tuple[jax.Array, jax.Array]) -> tuple[State, dict[str, jax.Array]]:
        """One step."""
        network, particles = state.network, state.particles
        width, dtype = particles.w.shape[0], particles.w.dtype
        x, y = batch
        weights = self.weights(jax.random.fold_in(key, 0), width, x.shape[0])
        risk, gradient = network.gradient(particles, x, y, None if weights is None else weights.astype(dtype))
        eta = jnp.asarray(per_neuron(self.step_size, width, state.step), dtype)
        decay = jnp.asarray(self.weight_decay, dtype)
        displacement = jax.tree.map(lambda p, g: -eta * (g + decay * p), particles, gradient)
        if self.injected is not None:
            added = self.injected.displacement(jax.random.fold_in(key, 1), eta, particles)
            displacement = jax.tree.map(jnp.add, displacement, added)
        return State(network.move(particles, displacement), state.step + 1, network), {"risk": risk}

    def stride(self, network: TwoLayer, width: int) -> int:
        """Steps in one window."""
        return multistep.plan(width, self.batch_size, network.dim or 1).steps if self._windowed(network) else 1

    def advance(self, source: Any, streams: tuple[jax.Array, jax.Array], states: State, steps: jax.Array) -> Any:
        """The steps, with shared mini-batches in windows: several in one pass over the particles (systems/multistep.py).

        Windows start at multiples of their length, whatever the chunk: steps before and after the chunk are steps of size 0. A run
        whose pre-activations overflow is lost as a whole window: its first bad step may be up to a window early.
        """
        if not self._windowed(states.network):
            return super().advance(source, streams, states, steps)
        mesh = jax.sharding.get_abstract_mesh()
        if mesh.empty:
            return self._in_windows(source, streams, states, steps, states.particles.w.shape[1], None)
        # By hand, because a window goes through the neurons block by block: every device through its own.
        names = [axis if mesh.shape.get(axis, 1) > 1 else None for axis in ("replicas", "particles")]
        width, cell, neuron = states.particles.w.shape[1], P(names[0]), P(*names)
        placed = jax.tree.map(lambda v: neuron if v.ndim > 1 else cell, states)
        run = lambda one, *rest: one._in_windows(*rest, width, names[1])  # noqa: E731
        return jax.shard_map(run, in_specs=(cell, P(), cell, placed, P()), out_specs=(placed, cell), check_vma=False)(
            self, source, streams, states, steps
        )

    def _in_windows(self, source, streams, states, steps, width, axis):
        """`advance` on the neurons of one device; `axis` is that of the mesh over which they are spread, `width` their number in all.

        Cells go in groups that fit into the cache, each through all the steps.
        """
        cells = states.step.shape[0]
        together = multistep.together(cells, sum(v.size * v.dtype.itemsize for v in jax.tree.leaves(states.particles)) // cells)
        if together == cells:
            return self._windows_of(source, streams, states, steps, width, axis)

        def group(number, carry):
            take = lambda v: jax.lax.dynamic_slice_in_dim(v, number * together, together)  # noqa: E731
            put = lambda v, part: jax.lax.dynamic_update_slice_in_dim(v, part, number * together, 0)  # noqa: E731
            one, keys, part = jax.tree.map(take, (self, streams, carry[0]))
            return jax.tree.map(put, carry, one._windows_of(source, keys, part, steps, width, axis))

        return jax.lax.fori_loop(0, cells // together, group, (states, jnp.full(cells, NEVER, jnp.int32)))

    def _windows_of(self, source, streams, states, steps, width, axis):
        """`_in_windows` for one group."""
        network, (cells, _, dim) = states.network, states.particles.w.shape
        cut = multistep.plan(width, self.batch_size, dim)
        begin = states.step[0]
        end = begin + steps.astype(begin.dtype)
        dtype = states.particles.w.dtype
        decay = jnp.broadcast_to(jnp.asarray(self.weight_decay, dtype), (cells,))

        def body(number, carry):
            particles, bad = carry
            at = number * cut.steps + jnp.arange(cut.steps, dtype=begin.dtype)
            happens = (begin <= at) & (at < end)

            def prepared(one, key):
                x, y = jax.vmap(lambda t: one.draw(source, key, t, width))(at)
                eta = jax.vmap(lambda t: jnp.asarray(per_neuron(one.step_size, width, t), dtype))(at)
                return x, y, jnp.where(happens, eta, jnp.zeros_like(eta))

            x, y, eta = jax.vmap(prepared)(self, streams[0])
            particles, risks = multistep.run(network, particles, x, y, eta, decay, cut, axis)
            lost = jnp.min(jnp.where(happens[None] & ~jnp.isfinite(risks), at[None] + 1, NEVER), axis=1)
            return particles, jnp.minimum(bad, lost.astype(jnp.int32))

        start = states.particles, jnp.full(cells, NEVER, jnp.int32)
        particles, bad = jax.lax.fori_loop(begin // cut.steps, -(-end // cut.steps), body, start)
        return dataclasses.replace(states, particles=particles, step=states.step + (end - begin)), bad

    def _windowed(self, network: TwoLayer) -> bool:
        """Whether a step is the plain one of these classes with a mini-batch that all neurons share, and nothing beside it."""
        plain = all(getattr(type(self), n) is getattr(AbstractGradientDynamics, n) for n in ("step", "draw", "weights"))
        plain = plain and all(getattr(type(network), n) is getattr(TwoLayer, n) for n in ("gradient", "move", "_forward"))
        return plain and self.minibatches == "shared" and self.injected is None

    @property
    def conditional(self) -> bool:
        """Shared mini-batches with a step size that does not vanish as N grows."""
        return self.minibatches == "shared" and not bool(self._below_one.all())

    def limit(self) -> "AbstractDynamics":
        """What the particles converge to as the width grows.

        A `StepSizeLaw` law with beta < 1: the McKean-Vlasov ODE (or, with injected noise, the SDE it drives): mini-batch noise
        vanishes. A step size that does not vanish, independent mini-batches: the McKean-Vlasov SDE, whose noise has exactly the
        covariance of the mini-batch gradients (it agrees with SGD in the first two moments of a step). Shared mini-batches: the
        CONDITIONAL limit given the data path, which is this same dynamics at infinite width; the particles are then only
        conditionally independent.

        Raises:
            ValueError: a sweep over beta has values below 1 and the value 1, which have different limits.
        """
        from meanfield.systems.dynamics.mckean_vlasov import McKeanVlasov

        below = self._below_one
        must = "be below 1 everywhere or 1 everywhere for a limit: below 1 it is deterministic, at 1 it is not"
        _check.require(bool(below.all() or not below.any()), "beta", must, getattr(self.step_size, "beta", None))
        if self.conditional:
            return self
        batch_size = None if below.all() else self.batch_size
        return McKeanVlasov(
            self.step_size, batch_size, weight_decay=self.weight_decay, injection=self.injected, pool_size=self.pool_size
        )

    @property
    def _below_one(self) -> np.ndarray:
        """Where the step vanishes as the width grows."""
        return np.asarray(self.step_size.beta) < 1 if isinstance(self.step_size, StepSizeLaw) else np.asarray(False)


def warn_unstable(name: str, limit: float, value: float, what: str) -> None:
    """Say once, when the system is put together, that a step is beyond a stability limit."""
    text = f"Argument `{name}` is {value:g}, beyond its stability limit {limit:.6g}: {what}."
    warnings.warn(text, _check.StabilityWarning, stacklevel=5)
