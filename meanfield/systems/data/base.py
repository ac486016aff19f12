"""What a data source is. A new one has one thing to write, `batch`, and says what it is."""

import abc
from typing import Any

import jax

from meanfield import _check


class AbstractSource(abc.ABC):
    """Examples (x, y), drawn step by step.

    A final subclass is a frozen dataclass with `@jax.tree_util.register_dataclass`, whose fields are arrays or static. It writes
    `batch`, and these attributes, as fields, class attributes or properties:

        dim       length of one input
        outputs   number of outputs that a network needs
        classes   number of classes; 0 for real targets (the default)
        size      number of training examples; None if there is no end of them (the default)
        splits    fixed sets, {name: (x, y)}, on which risk and accuracy are evaluated (none by default)
        epochs    whether every example is visited once in `size` examples (False by default)

    Raises:
        ValueError: a decorator is missing, or, when a `System` is made, `dim` or `outputs`.
    """

    dim: int
    outputs: int
    classes: int = 0
    size: int | None = None
    epochs: bool = False

    def __new__(cls, *args: Any, **kwargs: Any):
        """Refuse a class without a decorator."""
        _check.frozen("data", cls)
        return super().__new__(cls)

    @property
    def splits(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """No fixed sets."""
        return {}

    @abc.abstractmethod
    def batch(self, key: jax.Array, step: int | jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """The mini-batch of a step: inputs (batch_size, dim) and labels (batch_size,) or targets (batch_size, outputs).

        Args:
            key: the data stream of a seed. What is drawn depends on the key and the step alone.
            step: number of steps taken.
            batch_size: number of examples.
        """

    def pool(self, key: jax.Array, step: int | jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
        """Examples that represent the whole distribution: all of a finite set, else `size` fresh ones."""
        must = "write `pool`, its whole training set, because it has a `size`"
        _check.require(self.size is None, "data", must, _check.words(f"a {type(self).__name__} without one"))
        return self.batch(key, step, size)
