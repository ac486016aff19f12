"""A system as a whole: a teacher's data, a student and SGD reach the noise floor."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf


@dataclass(frozen=True)
class Linear(mf.AbstractNetwork):
    """A network that is no pytree."""

    loss: str = "squared"
    dim: int | None = field(default=None, metadata={"static": True})
    outputs: int | None = field(default=None, metadata={"static": True})

    def init(self, key, width):
        return mf.Particles(jax.random.normal(key, (width, self.dim or 1)), None)

    def predict(self, particles, x):
        return jnp.mean(x @ particles.w.T, axis=1, keepdims=True)


class Undecorated(Linear):
    pass


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithoutLoss(mf.AbstractNetwork):
    dim: int | None = field(default=None, metadata={"static": True})
    outputs: int | None = field(default=None, metadata={"static": True})
    init, predict = Linear.init, Linear.predict


@dataclass(frozen=True)
class Zeros(mf.data.AbstractSource):
    """A source that is no pytree."""

    dim = outputs = 1

    def batch(self, key, step, batch_size):
        return jnp.zeros((batch_size, 1)), jnp.zeros((batch_size, 1))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WithoutOutputs(mf.data.AbstractSource):
    dim = 1
    batch = Zeros.batch


@pytest.mark.parametrize(
    ("network", "data", "sentence"),
    [
        (Undecorated, lambda: mf.data.gaussian_regression(2), "`network` must be of a class with .*, but is Undecorated without"),
        (Linear, lambda: mf.data.gaussian_regression(2), "`network` must be a pytree: .*, but is a Linear, which is none"),
        (
            WithoutLoss,
            lambda: mf.data.gaussian_regression(2),
            "`network` must have a field or attribute `loss`, but is missing in",
        ),
        (lambda: mf.TwoLayer("tanh", "squared"), Zeros, "`data` must be a pytree: decorate .*, but is a Zeros"),
        (lambda: mf.TwoLayer("tanh", "squared"), WithoutOutputs, "`data` must have a field or attribute `outputs`"),
    ],
)
def test_what_was_forgotten_is_a_sentence(network, data, sentence):
    with pytest.raises(mf.ArgumentError, match=sentence):
        mf.System(network(), data(), mf.dynamics.SGD(0.1, 2))


@pytest.mark.slow
def test_teacher_student_reaches_the_noise_floor(key):
    """The identity network is linear: its risk must fall to half the noise variance, 0.005 (2000 test examples)."""
    data = mf.data.teacher(key, dim=3, neurons=20, activation="identity", noise_std=0.1)
    dynamics = mf.dynamics.SGD(step_size=0.05, batch_size=50)
    system = mf.System(mf.TwoLayer("identity", "squared"), data, dynamics)
    results = mf.simulate(system, widths=64, steps=3000, seeds=2, key=key)
    risk = results.dataset["risk"].sel(width=64, split="test").isel(step=-1).to_numpy()
    standard_error = 0.005 * np.sqrt(2 / 2000)
    assert (np.abs(risk - 0.005) < 5 * standard_error + 2e-4).all()
    assert "accuracy" not in results.dataset
