"""Dynamics along the gradient of the risk: mini-batches, ridge, injected noise, and the limit of wide networks."""

import abc
from dataclasses import dataclass, field
from typing import final

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems import random
from meanfield.systems._arrays import Array, Float, Int, Key, Real
from meanfield.systems.data.base import AbstractSource
from meanfield.systems.dynamics.base import POOL, AbstractDynamics, State, per_particle, warn_unstable
from meanfield.systems.dynamics.injections import AbstractInjection
from meanfield.systems.networks.base import AbstractNetwork
from meanfield.systems.scaling import Number, StepSizeLaw, per_neuron

MINIBATCHES = ("shared", "independent")


@dataclass(frozen=True)
class AbstractGradientStep(AbstractDynamics):
    """theta_i <- theta_i - step_size * (N dR/dtheta_i + weight_decay * theta_i) + injected noise.

    A subclass says what examples a step looks at (`draw`), and how much every one of them weighs for every neuron (`weights`).

    Args:
        step_size: step of one neuron, independent of the width, or a `mf.scaling.StepSizeLaw`. A 1-D array is a sweep.
        weight_decay: ridge coefficient, >= 0; acts on trained parameters only.
        pool_size: fresh examples a step that represent an online distribution, 1024 if None.
    """

    step_size: Number | StepSizeLaw
    weight_decay: Number = field(default=0.0, kw_only=True)
    pool_size: int | None = field(default=None, kw_only=True, metadata={"static": True})

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.step_size, StepSizeLaw):
            _check.positive("step_size", self.step_size)
        _check.nonnegative("weight_decay", self.weight_decay)
        if self.pool_size is not None:
            _check.integer("pool_size", self.pool_size, at_least=1)

    @abc.abstractmethod
    def weights(self, key: Key[Array, ""], width: int, examples: int) -> Float[Array, "{width} {examples}"] | None:
        """Weight of every example in the gradient of every neuron, (width, examples); None: 1/examples for all."""

    @property
    def injected(self) -> AbstractInjection | None:
        """Noise that is added to the particles in every step."""
        return None

    def check(self, network: AbstractNetwork, data: AbstractSource) -> None:
        """Warn when the ridge alone makes the particles diverge."""
        super().check(network, data)
        law = self.step_size
        eta = law.gamma if isinstance(law, StepSizeLaw) else law
        fixed = not isinstance(law, StepSizeLaw) or bool(np.all(np.asarray(law.beta) == 1) and np.all(np.asarray(law.decay) == 0))
        ridge = np.max(np.asarray(eta, float)) * np.max(np.asarray(self.weight_decay, float))
        if fixed and ridge >= 2:
            warn_unstable("step_size * weight_decay", 2.0, float(ridge), "the ridge term alone makes the particles diverge")

    def check_pool(self, data: AbstractSource) -> None:
        """Refuse a pool that neurons cannot draw from."""
        must = "be None unless neurons draw from fresh examples (independent noise, online data)"
        _check.require(self.pool_size is None or data.size is None, "pool_size", must, self.pool_size)
        if data.size is None and self.batch_size is not None:
            pool = self.pool_size or POOL
            must = f"be at least 8 times the batch size, {8 * self.batch_size}: examples of the pool are common to the neurons"
            _check.require(pool >= 8 * self.batch_size, "pool_size", must, pool)
        _check.require(not data.epochs, "minibatches", "be 'shared' for data sampled in epochs", "independent")

    def step(
        self, key: Key[Array, ""], state: State, batch: tuple[Real[Array, "example dim"], Real[Array, " example *target"]]
    ) -> tuple[State, dict[str, Float[Array, ""]]]:
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


@dataclass(frozen=True)
class AbstractGradientDynamics(AbstractGradientStep):
    """A gradient step on mini-batches, which the neurons share or draw independently.

    Args:
        step_size, weight_decay: see `AbstractGradientStep`.
        batch_size: examples a mini-batch.
        minibatches: "shared": all neurons see the same mini-batch, as in training. "independent": every neuron draws its own
            mini-batch, with replacement, from a pool: the whole of a finite set, or `pool_size` fresh examples of an online source.
            The residuals of the pool come from one forward pass, so a step costs what a step with a mini-batch of the size of the
            pool costs, in time and memory (N x pool numbers), whatever `batch_size`.
        pool_size: fresh examples a step that represent an online distribution, 1024 if None. They are common to the neurons, and
            add a common part of `batch_size / pool_size` times the covariance of a mini-batch. A tail index within one network is
            then that given the pools, the root of `E log mean_j |M_j|^alpha = 0` over the pool, which is higher: the 3.5 of a
            quadratic network becomes 4.0 with 64. Refused below 8 batch sizes, and where no neuron would draw from them.
    """

    batch_size: int = field(metadata={"static": True})
    minibatches: str = field(default="shared", kw_only=True, metadata={"static": True})

    def __post_init__(self):
        super().__post_init__()
        _check.integer("batch_size", self.batch_size, at_least=1)
        _check.choice("minibatches", self.minibatches, MINIBATCHES)

    def check(self, network: AbstractNetwork, data: AbstractSource) -> None:
        """Refuse what `minibatches` cannot do."""
        super().check(network, data)
        if self.minibatches == "independent":
            self.check_pool(data)
        must = "be None unless neurons draw from fresh examples (independent noise, online data)"
        _check.require(self.pool_size is None or self.minibatches == "independent", "pool_size", must, self.pool_size)

    def draw(
        self, source: AbstractSource, key: Key[Array, ""], step: Int[Array, ""], width: int
    ) -> tuple[Real[Array, "example dim"], Real[Array, " example *target"]]:
        """The shared mini-batch, or the pool."""
        if self.minibatches == "shared":
            return source.batch(key, step, self.batch_size)
        return source.pool(key, step, self.pool_size or POOL)

    def weights(self, key: Key[Array, ""], width: int, examples: int) -> Float[Array, "{width} {examples}"] | None:
        """Weight of every example in the gradient of every neuron, (width, examples); None: 1/examples for all.

        With `minibatches="independent"` the counts of `batch_size` draws over `batch_size`: mean 1/n, covariance
        `(delta_jl / n - 1 / n^2) / batch_size`.
        """
        if self.minibatches == "shared":
            return None

        def counts(own):
            index = jax.random.randint(own, (self.batch_size,), 0, examples)
            return jnp.zeros(examples).at[index].add(1 / self.batch_size)

        return per_particle(key, width, counts)

    @property
    def conditional(self) -> bool:
        """Shared mini-batches with a step size that does not vanish as N grows."""
        return self.minibatches == "shared" and not bool(self._below_one.all())

    def limit(self) -> AbstractDynamics:
        """What the particles converge to as the width grows.

        A `StepSizeLaw` with beta < 1: the McKean-Vlasov ODE (or, with injected noise, the SDE it drives): mini-batch noise
        vanishes. A step size that does not vanish, independent mini-batches: the McKean-Vlasov SDE, whose noise has exactly the
        covariance of the mini-batch gradients (it agrees with SGD in the first two moments of a step). Shared mini-batches: the
        CONDITIONAL limit given the data path, which is this same dynamics at infinite width; the particles are then only
        conditionally independent.

        Raises:
            ValueError: a sweep over beta has values below 1 and the value 1, which have different limits.
        """
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


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class McKeanVlasov(AbstractGradientStep):
    """The law that the neurons of wide networks follow, on N particles: `limit()` of the dynamics here returns it.

        dW = -(h(W, mu_t) + weight_decay W) dt + (step_size Sigma(W, mu_t) / batch_size)^(1/2) dB + injected noise,

    where h is the expectation of the gradient of a neuron, Sigma its covariance over the examples, mu_t the law of W, every
    neuron with its own B. Discretised by Euler's scheme with time step `step_size` (a `StepSizeLaw`: its value at the width of
    the simulation, so the scheme becomes finer as the width grows), and mu_t by the empirical law of the N particles.

    Sigma is never formed: Gaussian weights of mean 1/n and covariance `(delta_jl / n - 1/n^2) / batch_size` over the n examples
    give a gradient with mean h and covariance `Sigma / batch_size` exactly. A step costs what a step over the whole pool costs.

    Args:
        step_size, weight_decay, pool_size: as in `SGD`. Examples are always the pool: all of a finite set, or `pool_size` fresh
            ones of an online source.
        batch_size: mini-batch size of the SGD whose limit this is; None: infinite, no gradient noise, the ODE.
        injection: injected noise of the dynamics whose limit this is, or None.

    Raises:
        ValueError: a number outside its range.

    Source: De Bortoli, Durmus, Fontaine, Simsekli (2020), theorems for beta < 1 (ODE) and beta = 1 (SDE); Wan et al. (2024) for
    the stable-driven one.

    Examples:
        >>> from meanfield.systems.dynamics.sgd import SGD
        >>> from meanfield.systems.scaling import StepSizeLaw
        >>> SGD(StepSizeLaw(1.0, beta=0.5), batch_size=10).limit().batch_size is None
        True
    """

    batch_size: int | None = field(default=None, metadata={"static": True})
    injection: AbstractInjection | None = field(default=None, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        proper = self.injection is None or isinstance(self.injection, AbstractInjection) or not _check.is_typed(self.injection)
        _check.require(proper, "injection", "be None or an instance of a subclass of `AbstractInjection`", self.injection)

    def check(self, network: AbstractNetwork, data: AbstractSource) -> None:
        """Refuse a pool that neurons cannot draw from."""
        super().check(network, data)
        self.check_pool(data)

    def draw(
        self, source: AbstractSource, key: Key[Array, ""], step: Int[Array, ""], width: int
    ) -> tuple[Real[Array, "example dim"], Real[Array, " example *target"]]:
        """The pool."""
        return source.pool(key, step, self.pool_size or POOL)

    def weights(self, key: Key[Array, ""], width: int, examples: int) -> Float[Array, "{width} {examples}"] | None:
        """Gaussian weights of the examples for every neuron; None for the ODE."""
        size = self.batch_size
        if size is None:
            return None

        def gaussian(own):
            z = random.normal(own, examples, jnp.zeros((), float).dtype)
            return 1 / examples + (z - jnp.mean(z)) / float(np.sqrt(examples * size))

        return per_particle(key, width, gaussian)

    @property
    def injected(self) -> AbstractInjection | None:
        """Noise that is added to the particles beside that of the gradients."""
        return self.injection

    @property
    def conditional(self) -> bool:
        """Every neuron draws independently."""
        return False

    def limit(self) -> "McKeanVlasov":
        """Itself."""
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("DeBortoli2020", "Wan2024")
