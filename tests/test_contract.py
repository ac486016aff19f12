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

LAW = mf.scaling.MeanField(0.3, beta=0.5, decay=0.2)
ONLINE = mf.data.gaussian_regression(3)
REGRESSION = mf.data.from_arrays(np.random.default_rng(0).normal(size=(30, 3)), np.linspace(-1.0, 1.0, 30))
MEMBERS = {
    "sgd": mf.dynamics.SGD(0.1, 2, weight_decay=0.1),
    "sgd, a law": mf.dynamics.SGD(LAW, 2),
    "sgd, independent": mf.dynamics.SGD(0.1, 2, noise="independent"),
    "langevin": mf.dynamics.Langevin(0.1, 2, temperature=0.2, weight_decay=0.1),
    "langevin, independent": mf.dynamics.Langevin(0.1, 2, temperature=0.2, noise="independent"),
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


@pytest.mark.parametrize("name", NAMES)
def test_members_keep_the_contract(name):
    member = MEMBERS[name]
    chains = isinstance(member, mf.dynamics.LinearRecursion | mf.dynamics.HomogenizedSGD)
    data = ONLINE if name == "recursion, reduced" else REGRESSION
    testing.check_dynamics(member, *((mf.dynamics.chains(), data) if chains else ()))


def test_every_member_is_put_to_the_contract():
    public = {v for v in vars(mf.dynamics).values() if isinstance(v, type) and issubclass(v, AbstractDynamics)}
    assert public - {AbstractDynamics, mf.dynamics.AbstractGradientDynamics} == {type(member) for member in MEMBERS.values()}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Broken(AbstractDynamics):
    """A dynamics that keeps the contract unless `sin` says otherwise."""

    step_size: float = 0.1
    batch_size: int = field(default=2, metadata={"static": True})
    sin: str = field(default="", metadata={"static": True})

    def init(self, key, network, width):
        state = super().init(key, network, width)
        if self.sin == "start":
            shape = state.particles.w.shape
            return dataclasses.replace(state, particles=mf.Particles(jax.random.normal(key, shape[::-1]).T, state.particles.a))
        return state

    def step(self, key, state, batch):
        risk, gradient = state.network.gradient(state.particles, *batch)
        eta = float(self.step_size) if self.sin == "static" else self.step_size
        displacement = jax.tree.map(lambda g: -eta * g, gradient)
        if self.sin == "order":
            displacement = jax.tree.map(lambda d: d + 0.1 * jnp.roll(d, 1, axis=0), displacement)
        if self.sin == "memory":
            counter["calls"] += 1
            displacement = jax.tree.map(lambda d: d * counter["calls"], displacement)
        particles = state.network.move(state.particles, displacement)
        if self.sin == "frozen":
            particles = jax.tree.map(jnp.add, state.particles, displacement)
        if self.sin == "pairs":
            partner = particles.w[jnp.arange(len(particles.w)) ^ 1]
            particles = dataclasses.replace(particles, w=particles.w + 0.1 * partner)
        if self.sin == "type":
            particles = jax.tree.map(lambda v: v.astype(jnp.float16), particles)
        step = state.step + (0 if self.sin == "count" else 1)
        info = {"risk": jnp.ones(())} if self.sin == "info" else {"risk": risk}
        return mf.dynamics.State(particles, step, state.network), info

    def draw(self, source, key, step, width):
        return super().draw(source, jax.random.fold_in(key, width) if self.sin == "path" else key, step, width)

    def limit(self):
        return 3 if self.sin == "limit" else None

    references = ()


counter = {"calls": 0}
SINS = {
    "start": "does not start the first neurons of every width alike",
    "static": "recompil|Concretization|Abstract tracer|compiles anew",
    "order": "others change places",
    "pairs": "others change places",
    "frozen": "moves output weights that are not trained",
    "path": "draws other data at another width",
    "memory": "is not deterministic",
    "type": "changes shapes or types",
    "count": "must count its steps",
    "info": "does not notice",
    "limit": "neither None nor a dynamics",
}


@pytest.mark.parametrize("sin", SINS)
def test_a_broken_promise_is_found(sin):
    with pytest.raises((AssertionError, jax.errors.ConcretizationTypeError), match=SINS[sin]):
        testing.check_dynamics(Broken(sin=sin))


def test_the_dynamics_of_the_tests_is_good_without_sin():
    testing.check_dynamics(Broken())
