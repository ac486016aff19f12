"""Which values a parameter of a claim may have: said in words, checked, and drawn at random."""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Domain(Protocol):
    """Values that a parameter may have."""

    @property
    def must(self) -> str:
        """What a value must be: the words after "must" of the sentence that refuses another one."""
        ...

    def holds(self, value: Any) -> bool:
        """Whether the value is one of them."""
        ...

    def draw(self, rng: np.random.Generator) -> Any:
        """One of them at random."""
        ...


@dataclass(frozen=True)
class Real:
    """Real numbers of [low, high].

    Args:
        low, high: finite ends.
        even: "log": draws are even in the logarithm.

    Examples:
        >>> Real(0.1, 2).holds(2), Real(0.1, 2).holds(True), Real(0.1, 2).must
        (True, False, 'be a number from 0.1 to 2')
    """

    low: float
    high: float
    even: str = "linear"

    @property
    def must(self) -> str:
        """What a value must be."""
        return f"be a number from {self.low:g} to {self.high:g}"

    def holds(self, value: Any) -> bool:
        """Whether it is one."""
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        return number and bool(self.low <= value <= self.high)

    def draw(self, rng: np.random.Generator) -> float:
        """One of them."""
        if self.even == "log":
            return float(f"{math.exp(rng.uniform(math.log(self.low), math.log(self.high))):.4g}")
        return float(f"{rng.uniform(self.low, self.high):.4g}")


@dataclass(frozen=True)
class Whole:
    """Whole numbers from low to high, both included; draws are even in the logarithm where low >= 1.

    Examples:
        >>> Whole(1, 10).holds(10), Whole(1, 10).holds(2.0), Whole(1, 10).must
        (True, False, 'be a whole number from 1 to 10')
    """

    low: int
    high: int

    @property
    def must(self) -> str:
        """What a value must be."""
        return f"be a whole number from {self.low} to {self.high}"

    def holds(self, value: Any) -> bool:
        """Whether it is one."""
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return whole and bool(self.low <= value <= self.high)

    def draw(self, rng: np.random.Generator) -> int:
        """One of them."""
        if self.low < 1:
            return int(rng.integers(self.low, self.high + 1))
        drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high + 1)))
        return min(max(int(drawn), self.low), self.high)


@dataclass(frozen=True, init=False)
class OneOf:
    """One of some values.

    Examples:
        >>> OneOf("tanh", "relu").holds("relu"), OneOf(1, 2).must
        (True, 'be one of 1, 2')
    """

    values: tuple

    def __init__(self, *values: Any):
        object.__setattr__(self, "values", values)

    @property
    def must(self) -> str:
        """What a value must be."""
        return "be one of " + ", ".join(map(repr, self.values))

    def holds(self, value: Any) -> bool:
        """Whether it is one."""
        return any(type(value) is type(one) and value == one for one in self.values)

    def draw(self, rng: np.random.Generator) -> Any:
        """One of them."""
        return self.values[int(rng.integers(len(self.values)))]


@dataclass(frozen=True)
class Several:
    """Sequences of `least` to `most` different values of one domain; `rising`: each larger than the one before.

    Examples:
        >>> widths = Several(Whole(10, 1000), 2, 2, rising=True)
        >>> widths.holds((10, 100)), widths.holds((100, 10)), widths.must
        (True, False, 'be 2 rising values, each of which must be a whole number from 10 to 1000')
    """

    of: Domain
    least: int = 1
    most: int = 3
    rising: bool = False

    @property
    def must(self) -> str:
        """What a value must be."""
        count = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        kind = "rising" if self.rising else "different"
        return f"be {count} {kind} values, each of which must {self.of.must}"

    def holds(self, value: Any) -> bool:
        """Whether it is one."""
        if not isinstance(value, list | tuple) or not self.least <= len(value) <= self.most:
            return False
        if not all(self.of.holds(one) for one in value):
            return False
        values = list(value)
        return all(a < b for a, b in itertools.pairwise(values)) if self.rising else len(set(values)) == len(values)

    def draw(self, rng: np.random.Generator) -> tuple:
        """One of them."""
        count = int(rng.integers(self.least, self.most + 1))
        while True:  # a domain has more values than a sequence
            made = {self.of.draw(rng) for _ in range(count)}
            if len(made) == count:
                return tuple(sorted(made)) if self.rising else tuple(made)


@dataclass(frozen=True, init=False)
class TupleOf:
    """Tuples with one value of each of several domains.

    Examples:
        >>> TupleOf(Real(0, 1), Whole(1, 9)).holds((0.5, 3)), TupleOf(Whole(1, 9), Whole(1, 9)).must
        (True, 'be 2 values: the first must be a whole number from 1 to 9; the next must be a whole number from 1 to 9')
    """

    of: tuple[Domain, ...]

    def __init__(self, *of: Domain):
        object.__setattr__(self, "of", of)

    @property
    def must(self) -> str:
        """What a value must be."""
        return f"be {len(self.of)} values: the first must " + "; the next must ".join(one.must for one in self.of)

    def holds(self, value: Any) -> bool:
        """Whether it is one."""
        fits = isinstance(value, list | tuple) and len(value) == len(self.of)
        return fits and all(domain.holds(one) for domain, one in zip(self.of, value, strict=True))

    def draw(self, rng: np.random.Generator) -> tuple:
        """One of them."""
        return tuple(one.draw(rng) for one in self.of)
