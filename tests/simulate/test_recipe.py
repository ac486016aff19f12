"""Arguments as JSON and arrays, and back; what cannot be written, and what must not be made."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import meanfield as mf
from meanfield.simulate import recipe
from meanfield.simulate.provenance import described


def there_and_back(value):
    """Through JSON text."""
    arrays: dict = {}
    said = json.dumps(recipe.written(value, arrays))
    return recipe.read(json.loads(said), arrays)


VALUES = {
    "numbers": (1, 0.1, -float("inf"), True, None, "text", [1.5, (2,)]),
    "dictionary": {"a": 1, 3: {"b": 0.1}},
    "partial": functools.partial(optax.adam, b1=0.5),
    "function": jnp.tanh,
    "probes": (*mf.probes.DEFAULT, mf.probes.Snapshot(at=(3, 5)), mf.probes.Dead()),
    "digits": mf.data.digits(),
    "regression": mf.data.gaussian_regression(3, covariance=2.0),
    "teacher": mf.data.teacher(jax.random.key(0), dim=2, neurons=3),
    "network": mf.TwoLayer("tanh", "squared", bias=True, init_scale=0.3),
    "sgd": mf.dynamics.SGD([0.1, 0.2], 2, weight_decay=[0.0, 0.1], minibatches="independent"),
    "law": mf.dynamics.SGD(mf.scaling.StepSizeLaw(gamma=[0.5, 1.0], beta=0.75), 1),
    "adam": mf.dynamics.Optax(optax.adam, 1, hyperparameters={"learning_rate": [0.01, 0.1]}),
    "langevin": mf.dynamics.Langevin(0.1, 1, temperature=[0.0, 1.0]),
    "stable": mf.dynamics.StableSGD([0.5], 10, alpha=[1.5, 2.0], scale=0.1, mode="isotropic"),
    "recursion": mf.dynamics.LinearRecursion(0.3, 1, weight_decay=0.1),
}


@pytest.mark.parametrize("name", VALUES)
def test_what_is_written_is_read(name):
    value, again = VALUES[name], there_and_back(VALUES[name])
    assert type(again) is type(value) and described(again) == described(value)
    pairs = zip(jax.tree.leaves(value), jax.tree.leaves(again), strict=True) if name != "dictionary" else ()
    assert all(np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype for a, b in pairs if not callable(a))


def test_random_keys_come_back():
    key = jax.random.key(7)
    assert jax.random.key_data(there_and_back(key)).tolist() == jax.random.key_data(key).tolist()


@dataclasses.dataclass(frozen=True)
class Own:
    """A class that another program does not have."""

    x: int = 1


@pytest.mark.parametrize("value", [lambda x: x, Own(), optax.sgd(0.1), object(), np.array(["a"]), {1: {2}}])
def test_what_cannot_be_written_says_so(value):
    with pytest.raises(recipe.UnwritableError):
        recipe.written(value, {})


@pytest.mark.parametrize(
    "said", [{"import": "os:system"}, {"make": "subprocess:Popen", "fields": {"args": "id"}}, {"import": "os:x"}]
)
def test_nothing_is_taken_from_other_packages(said):
    with pytest.raises(ValueError, match="must name what meanfield, jax, optax, numpy have"):
        recipe.read(said, {})
    with pytest.raises(ValueError, match="name dataclasses"):
        recipe.read({"make": "numpy:load", "fields": {"file": "/etc/passwd"}}, {})
