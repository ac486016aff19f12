"""The contract: a matrix of members and promises, and dynamics that break one promise each."""

import dataclasses
import functools
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import meanfield as mf
from meanfield import testing
from meanfield.systems.dynamics import AbstractDynamics
from meanfield.systems.dynamics.base import NEVER

LAW = mf.scaling.StepSizeLaw(0.3, beta=0.5, decay=0.2)
ONLINE = mf.data.gaussian_regression(3)
REGRESSION = mf.data.from_arrays(np.random.default_rng(0).normal(size=(30, 3)), np.linspace(-1.0, 1.0, 30))
MEMBERS = {
    "sgd": mf.dynamics.SGD(0.1, 2, weight_decay=0.1),
    "sgd, a law": mf.dynamics.SGD(LAW, 2),
    "sgd, independent": mf.dynamics.SGD(0.1, 2, minibatches="independent"),
    "langevin": mf.dynamics.Langevin(0.1, 2, temperature=0.2, weight_decay=0.1),
    "langevin, independent": mf.dynamics.Langevin(0.1, 2, temperature=0.2, minibatches="independent"),
    "stable, scalar": mf.dynamics.StableSGD(0.1, 2, alpha=1.5, scale=0.1, mode="scalar"),
    "stable, coordinates": mf.dynamics.StableSGD(0.1, 2, alpha=1.0, scale=0.1),
    "stable, isotropic": mf.dynamics.StableSGD(LAW, 2, alpha=1.9, scale=0.1, mode="isotropic"),
    "mckean-vlasov, ode": mf.dynamics.McKeanVlasov(LAW),
    "mckean-vlasov, sde": mf.dynamics.McKeanVlasov(0.1, batch_size=2, injection=mf.dynamics.GaussianInjection(0.1)),
    "optax": mf.dynamics.Optax(optax.sgd(0.1, momentum=0.9), batch_size=2),
    "optax, adam": mf.dynamics.Optax(optax.adam, 2, hyperparameters={"learning_rate": 0.01, "b1": 0.8}),
    "recursion": mf.dynamics.LinearRecursion(0.3, batch_size=2, weight_decay=0.1),
    "recursion, coupled": mf.dynamics.LinearRecursion(0.3, batch_size=2, weight_decay=0.1, coupled=True),
    "recursion, reduced": mf.dynamics.LinearRecursion(0.3, batch_size=5, weight_decay=0.1, coupled=True),
    "homogenized": mf.dynamics.HomogenizedSGD(0.3, batch_size=2, weight_decay=0.1),
}


# The others are run by `make test-slow`: a member takes eight seconds, most of them compilation.
IN_ALL = ("sgd", "mckean-vlasov, sde", "optax", "recursion, reduced")


@functools.cache
def bench(name):
    """A member with what the checks share: states, and programs that are compiled once."""
    chains = isinstance(MEMBERS[name], mf.dynamics.LinearRecursion | mf.dynamics.HomogenizedSGD)
    data = ONLINE if name == "recursion, reduced" else REGRESSION
    return testing._Bench(MEMBERS[name], *((mf.dynamics.chains(), data) if chains else (None, None)))


@pytest.mark.long
@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in IN_ALL)) for name in MEMBERS])
def test_a_member_keeps_a_promise(name, check):
    check(bench(name))


def test_every_member_is_put_to_the_contract():
    public = {v for v in vars(mf.dynamics).values() if isinstance(v, type) and issubclass(v, AbstractDynamics)}
    assert public - {AbstractDynamics, mf.dynamics.AbstractGradientDynamics} == {type(member) for member in MEMBERS.values()}


@pytest.mark.slow
def test_a_dynamics_without_a_limit_may_move_by_another_factor_at_another_width():
    clipped = mf.dynamics.Optax(optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.1)), batch_size=2)
    assert clipped.limit() is None
    testing.check_dynamics(clipped)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithKey(mf.dynamics.State):
    """A state that carries a random key."""

    key: jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Broken(AbstractDynamics):
    """SGD, with noise of every neuron's own for some sins, that keeps the contract unless `sin` says otherwise."""

    step_size: float = 0.1
    batch_size: int = field(default=2, metadata={"static": True})
    sin: str = field(default="", metadata={"static": True})
    large: bool = field(default=False, metadata={"static": True})
    factor: float | int = field(default=1, metadata={"static": True})

    def __post_init__(self):
        super().__post_init__()
        if self.sin == "static field of a number":
            object.__setattr__(self, "large", bool(self.step_size == 0.1))

    def init(self, key, network, width):
        key = jax.random.key(0) if self.sin == "start without key" else key
        state = super().init(key, network, width)
        if self.sin == "start":
            shape = state.particles.w.shape
            state = dataclasses.replace(state, particles=mf.Particles(jax.random.normal(key, shape[::-1]).T, state.particles.a))
        if self.sin == "key in the state":
            return WithKey(state.particles, state.step, network, key)
        return state

    def draw(self, source, key, step, width):
        if self.sin == "batch from the noise stream":
            return source.x, source.y
        key = jax.random.fold_in(key, width) if self.sin == "path" else key
        key = jax.random.key(0) if self.sin == "data without key" else key
        step = {"data without step": 0 * step, "data of two steps": step // 2}.get(self.sin, step)
        return super().draw(source, key, step, width)

    def step(self, key, state, batch):
        network, sin, (width, dim) = state.network, self.sin, state.particles.w.shape
        if sin == "batch from the noise stream":
            chosen = jax.random.randint(key, (self.batch_size,), 0, len(batch[0]))
            batch = batch[0][chosen], batch[1][chosen]
        if sin == "branch" and self.step_size > 0.05:
            key = jax.random.fold_in(key, 1)
        risk, gradient = network.gradient(state.particles, *batch)
        eta = float(self.step_size) if sin == "static" else self.step_size
        if sin == "memory":
            counter["calls"] += 1
            eta = eta * counter["calls"]
        if sin == "numpy's random":
            eta = eta * np.random.default_rng().uniform(0.9, 1.1)
        if sin == "half precision":
            gradient = jax.tree.map(lambda g: g.astype(jnp.float16).astype(g.dtype), gradient)
        index = jnp.arange(width)
        place = index.astype(gradient.w.dtype)[:, None]
        change = {
            "order": lambda v: v + 0.1 * jnp.roll(v, 1, axis=0),
            "index": lambda v: v * (1 + place),
            "index in late steps": lambda v: jnp.where(state.step > 20, v * (1 + place), v),
            "first neuron": lambda v: jnp.where(place > 0, v, 0.0),
            "sum over the others before": lambda v: jnp.cumsum(v, axis=0),
            "one over the width": lambda v: v / width,
            "sum instead of a mean": lambda v: v + 0.1 * jnp.sum(v, axis=0, keepdims=True),
            "mean without the first": lambda v: v + 0.1 * jnp.mean(v[1:], axis=0, keepdims=True),
            "median by place": lambda v: v - 0.1 * v[width // 2][None],
        }.get(sin, lambda v: v)
        displacement = jax.tree.map(lambda g: -eta * g, gradient)
        displacement = dataclasses.replace(displacement, w=change(displacement.w))
        if sin in NOISES:
            noise = 0.1 * NOISES[sin](self, key, state, width, dim)
            displacement = dataclasses.replace(displacement, w=displacement.w + noise)
        particles = network.move(state.particles, displacement)
        if sin == "frozen":
            particles = jax.tree.map(jnp.add, state.particles, displacement)
        if sin == "pairs":
            partner = particles.w[jnp.minimum(index ^ 1, width - 1)]
            particles = dataclasses.replace(particles, w=particles.w + 0.1 * partner)
        if sin == "type":
            particles = jax.tree.map(lambda v: v.astype(jnp.float16), particles)
        if sin == "diverges":
            particles = jax.tree.map(lambda v: v / 0, particles)
        step = state.step + {"count": 0, "count by two": 2}.get(sin, 1)
        info = {
            "info": jnp.ones(()),
            "info of one neuron": jnp.sum(state.particles.w[0]),
            "info of input weights": jnp.sum(state.particles.w),
            "info of every neuron": particles.w[:, 0],
            "info that is NaN": risk * jnp.nan,
        }.get(sin, risk)
        if sin == "info missing":
            return dataclasses.replace(state, particles=particles, step=step), {}
        return dataclasses.replace(state, particles=particles, step=step), {"risk": info}

    def advance(self, source, streams, states, steps):
        data, noise = streams
        one, start = self, states.step
        if self.sin == "noise by chunk":
            noise = jax.vmap(jax.random.fold_in, (0, None))(noise, steps)
        if self.sin == "noise by number of runs":
            noise = jax.vmap(jax.random.fold_in, (0, None))(noise, len(noise))
        if self.sin == "numbers of the first run":
            one = jax.tree.map(lambda v: jnp.broadcast_to(v[0], v.shape), self)
        if self.sin == "counter of the chunk":
            states = dataclasses.replace(states, step=jnp.zeros_like(start))
        if self.sin == "key of two steps":

            def body(_, carry):
                states, bad = carry
                even = dataclasses.replace(states, step=states.step // 2 * 2)
                after, now = AbstractDynamics.advance(self, source, streams, even, jnp.asarray(1))
                return dataclasses.replace(after, step=states.step + 1), jnp.minimum(bad, now)

            return jax.lax.fori_loop(0, steps, body, (states, jnp.full(start.shape, NEVER, jnp.int32)))
        states, bad = AbstractDynamics.advance(one, source, (data, noise), states, steps)
        if self.sin == "counter of the chunk":
            states = dataclasses.replace(states, step=start + states.step)
        if self.sin == "runs that mix":
            w = states.particles.w
            states = dataclasses.replace(states, particles=dataclasses.replace(states.particles, w=w + 0 * jnp.sum(w)))
            bad = jnp.minimum(bad, jnp.min(bad))
        if self.sin == "divergence kept quiet":
            bad = jnp.full_like(bad, NEVER)
        return states, bad

    def limit(self):
        wrong = mf.dynamics.McKeanVlasov(2 * self.step_size)
        return {"limit": 3, "limit of another step": wrong, "noise by width, no limit": None}.get(self.sin, self)

    @property
    def conditional(self):
        return self.sin != "limit that is not conditional"

    references = ()


def own(dynamics, key, state, width, dim):
    """Noise as it should be."""
    return mf.dynamics.per_particle(key, width, lambda k: jax.random.normal(k, (dim,)))


def by_key(place):
    """Noise of neuron i from the key of neuron place(i)."""

    def noise(dynamics, key, state, width, dim):
        return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, place(i)), (dim,)))(jnp.arange(width))

    return noise


def common(factor):
    """Noise of every neuron's own, times what one further key of the step says to all neurons."""

    def noise(dynamics, key, state, width, dim):
        return factor(own(dynamics, key, state, width, dim), jax.random.fold_in(key, 1_000_000))

    return noise


def scaled(factor):
    return lambda dynamics, key, state, width, dim: own(dynamics, key, state, width, dim) * factor(width)


# Noise of every neuron, (width, dim), for these sins.
NOISES = {
    "noise": own,
    "noise by chunk": own,
    "noise by number of runs": own,
    "counter of the chunk": own,
    "key of two steps": own,
    "noise drawn by width": lambda d, key, state, width, dim: jax.random.normal(key, (dim, width)).T,
    "noise by width, no limit": lambda d, key, state, width, dim: jax.random.normal(key, (dim, width)).T,
    "noise times width": scaled(lambda width: width),
    "noise over the root of the width": scaled(lambda width: width**-0.5),
    "noise by index": scaled(lambda width: 1 + 0.3 * jnp.arange(width, dtype=float)[:, None]),
    "noise without key": lambda d, key, state, *size: own(d, jax.random.fold_in(jax.random.key(0), state.step), state, *size),
    "noise that is common": lambda d, key, state, width, dim: jnp.broadcast_to(jax.random.normal(key, (1, dim)), (width, dim)),
    "key in the state": lambda d, key, state, *size: own(d, state.key, state, *size),
    "noise of pairs": by_key(lambda i: i // 2 * 2),
    "three noises": by_key(lambda i: i % 3),
    "noise of neighbours": lambda *arguments: by_key(lambda i: i)(*arguments) + by_key(lambda i: i + 1)(*arguments),
    "noise of one size": common(lambda z, key: z * jnp.abs(jax.random.cauchy(key))),
    "noise of one sign": common(
        lambda z, key: (
            jnp.abs(z) * jax.random.rademacher(key, (), z.dtype) * (1 - 2 * (jnp.arange(len(z), dtype=z.dtype) % 2))[:, None]
        )
    ),
}
counter = {"calls": 0}
SINS = {
    # the class
    "number in a static field": (testing.numbers_are_leaves, "has the number `factor` in a static field"),
    "static field of a number": (testing.numbers_are_leaves, "a static field depends on the value"),
    "static": (testing.a_step_can_be_traced, "asks for the value of a number"),
    "branch": (testing.a_step_can_be_traced, "asks for the value of a number"),
    # the start
    "start": (testing.start_is_coupled, "does not start the first neurons of every width alike"),
    "start without key": (testing.start_is_coupled, "its `init` ignores the key"),
    "key in the state": (testing.start_is_coupled, "carries a random key in its state"),
    # the step
    "memory": (testing.step_is_a_pure_function, "is not deterministic"),
    "numpy's random": (testing.step_is_a_pure_function, "is not deterministic"),
    "half precision": (testing.step_is_a_pure_function, "computes in f16"),
    "type": (testing.step_is_a_pure_function, "changes shapes or types"),
    "count": (testing.step_is_a_pure_function, "must count its steps in `state.step`, which is 0 after the first"),
    "count by two": (testing.step_is_a_pure_function, "must count its steps in `state.step`, which is 2 after the first"),
    "diverges": (testing.step_is_a_pure_function, "not finite|diverged"),
    "frozen": (testing.frozen_weights_stay, "moves output weights that are not trained"),
    # the info
    "info": (testing.divergence_shows_in_the_info, "does not notice that particle 0"),
    "info of one neuron": (testing.divergence_shows_in_the_info, "does not notice that particle 1"),
    "info of input weights": (testing.divergence_shows_in_the_info, "does not notice that particle 0"),
    "info of every neuron": (testing.step_is_a_pure_function, "does not hold scalars"),
    "info that is NaN": (testing.step_is_a_pure_function, "is nan though nothing has diverged"),
    "info missing": (testing.step_is_a_pure_function, "returns no info"),
    # neurons
    "order": (testing.neurons_are_interchangeable, "others change places"),
    "pairs": (testing.neurons_are_interchangeable, "others change places"),
    "sum over the others before": (testing.neurons_are_interchangeable, "others change places"),
    "mean without the first": (testing.neurons_are_interchangeable, "others change places"),
    "median by place": (testing.neurons_are_interchangeable, "others change places"),
    "index": (testing.neurons_are_treated_alike, "does not treat neurons alike"),
    "first neuron": (testing.neurons_are_treated_alike, "does not treat neurons alike"),
    "noise by index": (testing.neurons_are_treated_alike, "does not treat neurons alike"),
    "noise without key": (testing.neurons_are_treated_alike, "does not treat neurons alike"),
    "noise that is common": (testing.noise_is_each_neurons_own, "moves all neurons together"),
    "batch from the noise stream": (testing.noise_is_each_neurons_own, "moves all neurons together"),
    "index in late steps": (testing.neurons_are_treated_alike, "does not treat neurons alike"),
    "noise of pairs": (testing.noise_is_each_neurons_own, "correlates the moves of neurons"),
    "three noises": (testing.noise_is_each_neurons_own, "correlates the moves of neurons"),
    "noise of neighbours": (testing.noise_is_each_neurons_own, "correlates the moves of neurons"),
    "noise of one size": (testing.noise_is_each_neurons_own, "correlates the sizes of the moves of neurons"),
    "noise of one sign": (testing.noise_is_each_neurons_own, "correlates the moves of neurons"),
    # the width
    "path": (testing.widths_share_their_data, "draws other data at another width"),
    "noise drawn by width": (testing.width_enters_through_means, "every neuron is there twice"),
    "noise by width, no limit": (testing.width_enters_through_means, "draws other noise for the first neurons at another width"),
    "noise times width": (testing.width_enters_through_means, "every neuron is there twice"),
    "noise over the root of the width": (testing.width_enters_through_means, "every neuron is there twice"),
    "one over the width": (testing.width_enters_through_means, "every neuron is there twice"),
    "sum instead of a mean": (testing.width_enters_through_means, "every neuron is there twice"),
    # the data
    "data without step": (testing.widths_share_their_data, "must depend on `step`"),
    "data of two steps": (testing.widths_share_their_data, "must depend on `step`"),
    "data without key": (testing.widths_share_their_data, "must depend on `key`"),
    # many steps
    "noise by chunk": (testing.advance_takes_the_steps, "does not do what its `step` does"),
    "noise by number of runs": (testing.advance_takes_the_steps, "does not do what its `step` does"),
    "numbers of the first run": (
        testing.advance_takes_the_steps,
        "does not do what its `step` does alone: after five steps of run 2",
    ),
    "key of two steps": (testing.advance_takes_the_steps, "does not do what its `step` does"),
    "divergence kept quiet": (testing.advance_takes_the_steps, "does not report a run as diverged"),
    "runs that mix": (testing.advance_takes_the_steps, "one diverged run spoils the others"),
    "counter of the chunk": (testing.resumed_equals_uninterrupted, "does not go on as if uninterrupted"),
    # the limit
    "limit": (testing.limit_is_a_dynamics, "neither None nor a dynamics"),
    "limit of another step": (testing.limit_is_a_dynamics, "moves the same particles differently"),
    "limit that is not conditional": (testing.limit_is_a_dynamics, "says that its limit is not conditional"),
}


@pytest.mark.long(4)
@pytest.mark.parametrize("sin", SINS)
def test_a_broken_promise_is_found(sin):
    """By the check that is there for it; that `check_dynamics` makes all of them is the next test."""
    factor = 1.5 if sin == "number in a static field" else 1
    check, sentence = SINS[sin]
    with pytest.raises(AssertionError, match=sentence) as found:
        check(testing._Bench(Broken(sin=sin, factor=factor), None, None))
    said = str(found.value)
    assert said.startswith("The dynamics ") and said.endswith(".") and "\n" not in said


def test_check_dynamics_makes_every_check(monkeypatch):
    made = []
    monkeypatch.setattr(testing, "CHECKS", [lambda bench, name=check.__name__: made.append(name) for check in testing.CHECKS])
    testing.check_dynamics(Broken(sin=""))
    assert len(made) > 10 and set(made) >= {check.__name__ for check, _ in SINS.values()}


def test_a_move_that_depends_on_the_width_is_found():
    """From moves alone, without a program: 1 for every neuron, and by a factor 1 or 1.1 where every neuron is there twice."""
    alone = SimpleNamespace(moves=np.ones((16, testing.WIDTH, 1)), slack=np.full((16, testing.WIDTH, 1), 1e-3))
    for factor in (1.0, 1.1):
        twins = SimpleNamespace(moves=np.full((testing._MANY, 2 * testing.WIDTH, 1), factor))
        found: Any = SimpleNamespace(dynamics=MEMBERS["sgd"], variants=alone, twins=twins)
        if factor == 1:
            testing.width_enters_through_means(found)
            continue
        with pytest.raises(AssertionError, match="every neuron is there twice"):
            testing.width_enters_through_means(found)


@pytest.mark.slow
@pytest.mark.parametrize("sin", ["", "noise"])
def test_the_dynamics_of_the_tests_is_good_without_sin(sin):
    testing.check_dynamics(Broken(sin=sin))


@dataclass(frozen=True)
class Unregistered(AbstractDynamics):
    step_size: float
    batch_size: int = field(default=2, metadata={"static": True})
    references = ()

    def step(self, key, state, batch):
        return dataclasses.replace(state, step=state.step + 1), {"risk": jnp.zeros(())}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithoutInfo(Unregistered):
    def step(self, key, state, batch):
        return dataclasses.replace(state, step=state.step + 1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithoutCount(Unregistered):
    def step(self, key, state, batch):
        return dataclasses.replace(state), {"risk": jnp.zeros(())}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithoutState(Unregistered):
    def step(self, key, state, batch):
        return state.particles, {"risk": jnp.zeros(())}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithoutScalars(Unregistered):
    def step(self, key, state, batch):
        return dataclasses.replace(state, step=state.step + 1), {"risk": jnp.zeros(3)}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithoutStatic(AbstractDynamics):
    step_size: float
    batch_size: int = 2
    references = ()

    def step(self, key, state, batch):
        return dataclasses.replace(state, step=state.step + 1), {"risk": jnp.zeros(())}


@dataclass
class WithoutFrozen(AbstractDynamics):
    step_size: float
    batch_size = None
    step = Unregistered.step


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithoutBatchSize(AbstractDynamics):
    step_size: float
    references = ()

    def step(self, key, state, batch):
        return dataclasses.replace(state, step=state.step + 1), {"risk": jnp.zeros(())}


def simulated(dynamics):
    system = mf.System(mf.TwoLayer("tanh", "squared"), REGRESSION, dynamics)
    return mf.simulate(system, widths=3, steps=1, seeds=1, key=jax.random.key(0), probes=())


@pytest.mark.short(8)
@pytest.mark.parametrize("use", [testing.check_dynamics, simulated])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: WithoutFrozen(0.1), r"Argument `dynamics` must be of a class with the decorators .*WithoutFrozen without"),
        (lambda: Unregistered(0.1), "decorate its class with .*register_dataclass"),
        (
            lambda: WithoutInfo(0.1),
            "Argument `dynamics` must return from `step` a pair: .*, but is a WithoutInfo that returns a State",
        ),
        (
            lambda: WithoutState(0.1),
            "must return from `step` a pair: .*, but is a WithoutState that returns a Particles for a state",
        ),
        (lambda: WithoutScalars(0.1), r"dictionary of scalars, but is a WithoutScalars whose info has shapes {'risk': \(3,\)}"),
        (
            lambda: WithoutCount(0.1),
            "Argument `dynamics` must count its steps, but is a WithoutCount that leaves `step` as it was",
        ),
        (lambda: WithoutStatic(0.1), "Argument `batch_size` must be a static field, .*, but is one that is traced"),
        (lambda: WithoutBatchSize(0.1), "Argument `batch_size` must be a field, .*, but is missing in WithoutBatchSize"),
    ],
)
def test_what_was_forgotten_is_a_sentence_before_anything_compiles(use, make, sentence, monkeypatch):
    def compiles(*args, **kwargs):
        raise RuntimeError("it compiled")

    monkeypatch.setattr(jax.stages.Lowered, "compile", compiles)
    with pytest.raises((ValueError, AssertionError), match=sentence):
        use(make())


def test_a_sweep_is_no_dynamics_to_check():
    with pytest.raises(ValueError, match="one number in every field to be checked, but is a sweep of 2 numbers in `step_size`"):
        testing.check_dynamics(mf.dynamics.SGD([0.1, 0.2], batch_size=2))
    with pytest.raises(ValueError, match="be a dynamics"):
        testing.check_dynamics(0.1)
