"""A network, its data and its dynamics: what `simulate` runs."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems.data import AbstractSource
from meanfield.systems.dynamics.base import AbstractDynamics
from meanfield.systems.networks import AbstractNetwork


@dataclass(frozen=True)
class System:
    """What evolves: a network, trained on data, by a dynamics.

    Args:
        network: its `dim` and `outputs` are set to those of the data.
        data: a data source (`mf.data`).
        dynamics: a dynamics (`mf.dynamics`); 1-D arrays in its fields are sweeps.

    Raises:
        ValueError: parts that do not fit together: cross-entropy without classes, a mini-batch larger than a finite data set.

    Examples:
        >>> import meanfield as mf
        >>> system = System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=[0.1, 1.0], batch_size=1))
        >>> system.network.dim, system.network.outputs
        (64, 10)
    """

    network: AbstractNetwork
    data: AbstractSource
    dynamics: AbstractDynamics

    def __post_init__(self):
        is_network = isinstance(self.network, AbstractNetwork)
        _check.require(is_network, "network", "be a network, an instance of a subclass of `AbstractNetwork`", self.network)
        is_dynamics = isinstance(self.dynamics, AbstractDynamics)
        _check.require(is_dynamics, "dynamics", "be a dynamics, an instance of a subclass of `AbstractDynamics`", self.dynamics)
        is_source = isinstance(self.data, AbstractSource)
        _check.require(is_source, "data", "be a data source, an instance of a subclass of `AbstractSource`", self.data)
        data = self.data
        for name, one, fields in (("network", self.network, ("loss", "dim", "outputs")), ("data", data, ("dim", "outputs"))):
            _check.pytree(name, one)
            for field in fields:
                _check.declared(field, one, f"have a field or attribute `{field}`", of=name)
        _check.outside_of_jax("system", (data, self.dynamics), "put together")
        must = "be 'squared' for data with real targets"
        _check.require(self.network.loss != "cross_entropy" or data.classes > 0, "loss", must, self.network.loss)
        for name, (x, y) in data.splits.items():
            _check_split(name, x, y, data)
            finite = all(bool(jnp.all(jnp.isfinite(v))) for v in (x, y))
            _check.require(finite, "data", "be finite", _check.words(f"a source with NaN or infinite numbers in its {name} set"))
        for name in ("dim", "outputs"):
            given, needed = getattr(self.network, name), getattr(data, name)
            _check.require(given in (None, needed), name, f"be that of the data, {needed}", given)
        object.__setattr__(self, "network", dataclasses.replace(self.network, dim=data.dim, outputs=data.outputs))  # type: ignore[type-var]
        self.network.check(*_examples(data))
        self.dynamics.check(self.network, data)


def _examples(data: AbstractSource) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Shapes of a mini-batch of two examples, from the source itself."""
    return jax.eval_shape(lambda key: data.batch(key, 0, 2), jax.random.key(0))


def _check_split(name: str, x: jax.Array, y: jax.Array, data: AbstractSource) -> None:
    """Refuse a fixed set whose inputs and labels do not belong together, or are not what the source says of itself."""
    has = _check.words(
        f"a source whose {name} set has inputs of shape {x.shape}, labels or targets of shape {y.shape}, {y.dtype}"
    )
    _check.require(x.ndim == 2 and x.shape[1] == data.dim, "data", f"have inputs of shape (examples, {data.dim})", has)
    if data.classes:
        fits = y.shape == x.shape[:1] and jnp.issubdtype(y.dtype, jnp.integer)
        _check.require(fits, "data", f"have an integer label for each of {len(x)} inputs", has)
        outside = int(np.sum((np.asarray(y) < 0) | (np.asarray(y) >= data.classes)))
        found = _check.words(f"a source whose {name} set has {outside} labels outside")
        _check.require(outside == 0, "data", f"hold labels in 0, ..., {data.classes - 1}", found)
    else:
        fits = y.shape == (len(x), data.outputs) and jnp.issubdtype(y.dtype, jnp.floating)
        _check.require(fits, "data", f"have real targets of shape (examples, {data.outputs}) for {len(x)} inputs", has)
