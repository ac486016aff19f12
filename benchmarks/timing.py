"""Fair times on a machine that is not ours alone: everybody runs in turn, and the best and the median of the rounds count."""

import math
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)

_PAUSE = 0.25  # idle threads of torch and numpy spin for a while before they sleep, and would slow the next contestant


@dataclass(frozen=True)
class Effort:
    """How long a measurement may take.

    Args:
        rounds: rounds of the alternation.
        seconds: shortest time of one timing call.
    """

    rounds: int = 5
    seconds: float = 0.15


@dataclass(frozen=True)
class Timing:
    """Seconds of one unit of work (a step, a copy).

    Args:
        best: of the fastest round: the machine undisturbed.
        median: of the median round.
        rounds: number of rounds.
        units: units of work in one round.
    """

    best: float
    median: float
    rounds: int
    units: int

    def as_dict(self) -> dict:
        """For a JSON file."""
        return asdict(self)


def alternate(runs: Mapping[Name, Callable[[int], object]], effort: Effort, least: Mapping[Name, int]) -> dict[Name, Timing]:
    """Time contestants in turn: A B C A B C ...

    Args:
        runs: `run(units)` does so many units of work and returns when they are done.
        effort: rounds, and shortest time of a call.
        least: the number of units of a call is a multiple of it, 1 where it is not given.

    Returns:
        The timing of every contestant. Compilation and the first touch of memory are not in it.
    """
    units = {name: _enough(run, effort.seconds, least.get(name, 1)) for name, run in runs.items()}
    seconds: dict[Name, list[float]] = {name: [] for name in runs}
    for _ in range(effort.rounds):
        for name, run in runs.items():
            time.sleep(_PAUSE)
            seconds[name].append(_clock(run, units[name]) / units[name])
    return {name: Timing(min(s), float(np.median(s)), effort.rounds, units[name]) for name, s in seconds.items()}


def _enough(run: Callable[[int], object], seconds: float, least: int) -> int:
    """How many units take that long. The first call is the warm-up."""
    run(least)
    units = least
    while (taken := _clock(run, units)) < seconds:
        more = max(2 * units, min(10 * units, math.ceil(1.2 * units * seconds / max(taken, 1e-9))))
        units = math.ceil(more / least) * least
    return units


def _clock(run: Callable[[int], object], units: int) -> float:
    start = time.perf_counter()
    run(units)
    return time.perf_counter() - start
