"""A network, its data and its dynamics: what `simulate` runs."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from meanfield import _check
from meanfield.systems.dynamics.base import AbstractDynamics
from meanfield.systems.network import TwoLayer


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

    network: TwoLayer
    data: Any
    dynamics: AbstractDynamics

    def __post_init__(self):
        _check.require(isinstance(self.network, TwoLayer), "network", "be a `TwoLayer`", self.network)
        is_dynamics = isinstance(self.dynamics, AbstractDynamics)
        _check.require(is_dynamics, "dynamics", "be a dynamics, an instance of a subclass of `AbstractDynamics`", self.dynamics)
        _check.require(hasattr(self.data, "batch"), "data", "be a data source with a method `batch(key, batch_size)`", self.data)
        data = self.data
        if self.network.loss == "cross_entropy":
            must = "be 'squared' for data with real targets"
            _check.require(data.classes > 0, "loss", must, self.network.loss)
        if data.size is not None:
            must = f"be at most the size of the finite data set, {data.size}"
            _check.require(self.dynamics.batch_size <= data.size, "batch_size", must, self.dynamics.batch_size)
        for name in ("dim", "outputs"):
            given, needed = getattr(self.network, name), getattr(data, name)
            _check.require(given in (None, needed), name, f"be that of the data, {needed}", given)
        object.__setattr__(self, "network", dataclasses.replace(self.network, dim=data.dim, outputs=data.outputs))
