"""Every dynamics of the library and the template, put to the public contract; and dynamics that break it, one promise each."""

import dataclasses
from dataclasses import dataclass, field

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
# Variants of a dynamics that is there without them: each takes ten seconds.
VARIANTS = (
    "sgd, a law",
    "sgd, independent",
    "langevin, independent",
    "stable, isotropic",
    "stable, coordinates",
    "mckean-vlasov, ode",
    "optax, adam",
    "recursion, coupled",
)
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in VARIANTS)) for name in MEMBERS]


@pytest.mark.long(3)
@pytest.mark.parametrize("name", NAMES)
def test_members_keep_the_contract(name):
    member = MEMBERS[name]
    chains = isinstance(member, mf.dynamics.LinearRecursion | mf.dynamics.HomogenizedSGD)
    data = ONLINE if name == "recursion, reduced" else REGRESSION
    testing.check_dynamics(member, *((mf.dynamics.chains(), data) if chains else ()))


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
    "number in a static field": "has the number `factor` in a static field",
    "static field of a number": "a static field depends on the value",
    "static": "asks for the value of a number",
    "branch": "asks for the value of a number",
    # the start
    "start": "does not start the first neurons of every width alike",
    "start without key": "its `init` ignores the key",
    "key in the state": "carries a random key in its state",
    # the step
    "memory": "is not deterministic",
    "numpy's random": "is not deterministic",
    "half precision": "computes in f16",
    "type": "changes shapes or types",
    "count": "must count its steps in `state.step`, which is 0 after the first",
    "count by two": "must count its steps in `state.step`, which is 2 after the first",
    "diverges": "not finite|diverged",
    "frozen": "moves output weights that are not trained",
    # the info
    "info": "does not notice that particle 0",
    "info of one neuron": "does not notice that particle 1",
    "info of input weights": "does not notice that particle 0",
    "info of every neuron": "does not hold scalars",
    "info that is NaN": "is nan though nothing has diverged",
    "info missing": "returns no info",
    # neurons
    "order": "others change places",
    "pairs": "others change places",
    "sum over the others before": "others change places",
    "mean without the first": "others change places",
    "median by place": "others change places",
    "index": "does not treat neurons alike",
    "first neuron": "does not treat neurons alike",
    "noise by index": "does not treat neurons alike",
    "noise without key": "does not treat neurons alike",
    "noise that is common": "moves all neurons together",
    "batch from the noise stream": "moves all neurons together",
    "index in late steps": "does not treat neurons alike",
    "noise of pairs": "correlates the moves of neurons",
    "three noises": "correlates the moves of neurons",
    "noise of neighbours": "correlates the moves of neurons",
    "noise of one size": "correlates the sizes of the moves of neurons",
    "noise of one sign": "correlates the moves of neurons",
    # the width
    "path": "draws other data at another width",
    "noise drawn by width": "every neuron is there twice",
    "noise by width, no limit": "draws other noise for the first neurons at another width",
    "noise times width": "every neuron is there twice",
    "noise over the root of the width": "every neuron is there twice",
    "one over the width": "every neuron is there twice",
    "sum instead of a mean": "every neuron is there twice",
    # the data
    "data without step": "must depend on `step`",
    "data of two steps": "must depend on `step`",
    "data without key": "must depend on `key`",
    # many steps
    "noise by chunk": "does not do what its `step` does",
    "noise by number of runs": "does not do what its `step` does",
    "numbers of the first run": "does not do what its `step` does alone: after five steps of run 2",
    "key of two steps": "does not do what its `step` does",
    "divergence kept quiet": "does not report a run as diverged",
    "runs that mix": "one diverged run spoils the others",
    "counter of the chunk": "does not go on as if uninterrupted",
    # the limit
    "limit": "neither None nor a dynamics",
    "limit of another step": "moves the same particles differently",
    "limit that is not conditional": "says that its limit is not conditional",
}
# Variants of a sin that is there without them: each takes five seconds.
SIMILAR = (
    "start without key",
    "numpy's random",
    "count by two",
    "info of input weights",
    "info of every neuron",
    "info that is NaN",
    "info missing",
    "pairs",
    "median by place",
    "first neuron",
    "noise that is common",
    "noise over the root of the width",
    "sum instead of a mean",
    "data of two steps",
    "noise by number of runs",
    "numbers of the first run",
    "key of two steps",
    "divergence kept quiet",
    "limit that is not conditional",
    "data without key",
    "one over the width",
    "info of one neuron",
    "order",
    "three noises",
    "noise of pairs",
    "noise of one sign",
)


@pytest.mark.long(10)
@pytest.mark.parametrize("sin", [pytest.param(sin, marks=[pytest.mark.slow] * (sin in SIMILAR)) for sin in SINS])
def test_a_broken_promise_is_found(sin):
    factor = 1.5 if sin == "number in a static field" else 1
    with pytest.raises(AssertionError, match=SINS[sin]) as found:
        testing.check_dynamics(Broken(sin=sin, factor=factor))
    sentence = str(found.value)
    assert sentence.startswith("The dynamics ") and sentence.endswith(".") and "\n" not in sentence


@pytest.mark.long(1)
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
class WithoutBatchSize(AbstractDynamics):
    step_size: float
    references = ()

    def step(self, key, state, batch):
        return dataclasses.replace(state, step=state.step + 1), {"risk": jnp.zeros(())}


def simulated(dynamics):
    system = mf.System(mf.TwoLayer("tanh", "squared"), REGRESSION, dynamics)
    return mf.simulate(system, widths=3, steps=1, seeds=1, key=jax.random.key(0), probes=())


@pytest.mark.parametrize("use", [testing.check_dynamics, simulated])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Unregistered(0.1), "decorate its class with .*register_dataclass"),
        (
            lambda: WithoutInfo(0.1),
            "Argument `dynamics` must return from `step` a pair: .*, but is a WithoutInfo that returns a State",
        ),
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
