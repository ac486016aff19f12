"""The other sections: ensembles, recursion, estimators, cost against width and steps, compile time, memory, the main job."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np

from benchmarks.ours import SEED, Ours, synthetic
from benchmarks.timing import Effort, alternate
from meanfield import measure

_CHILD_SECONDS = 3600


def ensembles(
    counts: Sequence[int], width: int, dims: Sequence[int], outputs: int, effort: Effort, batch_size: int = 1
) -> list[dict]:
    """Cell-steps a second of ensembles of 1, 4, 16, ... cells: half of the growth in step sizes, half in seeds.

    Args:
        counts: numbers of cells, squares of integers.
        width, dims, outputs, batch_size: of the networks.
        effort: of the timing.
    """
    rows = []
    for dim in dims:
        data = synthetic(dim, outputs)
        sides = {count: round(count**0.5) for count in counts}
        ours = {n: Ours(data, width, batch_size, tuple(np.linspace(0.02, 0.1, side)), side) for n, side in sides.items()}
        timings = alternate({count: one.run for count, one in ours.items()}, effort, {n: one.stride for n, one in ours.items()})
        for count, timing in timings.items():
            if not ours[count].finite():
                raise FloatingPointError(f"an ensemble of {count} cells diverged")
            single = timings[counts[0]]
            rows.append(
                {
                    "dim": dim,
                    "width": width,
                    "batch_size": batch_size,
                    "cells": ours[count].cells,
                    "seconds": timing.as_dict(),
                    "cell_steps_per_second": count / timing.best,
                    "ratio_to_first": count * single.best / timing.best / counts[0],
                }
            )
    return rows


def recursion(quick: bool) -> dict | None:
    """Chain-steps a second of the linear recursion, if its benchmark is there."""
    if importlib.util.find_spec("benchmarks.recursion") is None:
        return None
    return importlib.import_module("benchmarks.recursion").measure(**({"chains": 20_000, "rounds": 1} if quick else {}))


def estimators(sizes: Sequence[int], rounds: int, columns: int = 10) -> list[dict]:
    """Seconds of what `mf.measure` does with n values, or n neurons of so many components; best of the rounds.

    The squared MMD takes a time quadratic in n, so it is measured at the smallest size only.
    """
    kappas, key = np.linspace(0, 1, 101), jax.random.key(SEED)
    rows = []
    for n in sizes:
        rng = np.random.default_rng(SEED)
        tail, x, y = rng.pareto(1.5, n) + 1, rng.standard_normal((n, columns)), rng.standard_normal((n, columns))
        line = x[:, 0].copy(), y[:, 0].copy()
        runs = {
            "Hill": partial(measure.tails.hill, tail),
            **{f"{kind} error curve": partial(measure.pruning.error_curve, x, kappas, kind) for kind in measure.pruning.KINDS},
            "W1": partial(measure.distances.wasserstein, *line),
            "sliced W2, 50 directions": partial(measure.distances.sliced_wasserstein, x, y, directions=50, key=key),
            "Kolmogorov": partial(measure.distances.kolmogorov, *line),
            "coupled error": partial(measure.chaos.coupled_error, x[None], y[None]),
        }
        if n == min(sizes):
            runs["squared MMD"] = partial(measure.distances.mmd, x, y)
        for name, run in runs.items():
            rows.append({"estimator": name, "n": n, "seconds": min(_seconds(run) for _ in range(rounds))})
    return rows


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def against_width(widths: Sequence[int], dim: int, outputs: int, effort: Effort) -> dict:
    """Time of a step with one example at every width, and the exponent of a power law fitted to it.

    Narrow networks pay for starting a step, and working sets that fit into a cache are faster: the exponent from one width to the next
    says where it is what.
    """
    data = synthetic(dim, outputs)
    ours = {width: Ours(data, width, 1) for width in widths}
    timings = alternate({width: one.run for width, one in ours.items()}, effort, {w: one.stride for w, one in ours.items()})
    seconds = np.array([timings[width].best for width in widths])
    logs = np.log(widths), np.log(seconds)
    return {
        "rows": [{"width": width, "seconds": timings[width].as_dict()} for width in widths],
        "exponent": float(np.polyfit(*logs, 1)[0]),
        "exponents": (np.diff(logs[1]) / np.diff(logs[0])).tolist(),
    }


def against_steps(width: int, dim: int, steps: Sequence[int]) -> dict:
    """Time and peak memory of `simulate` with more and more steps, each in a process of its own: linear, and constant."""
    rows = [in_child("steps", width=width, dim=dim, steps=count) for count in steps]
    counts, seconds = np.array(steps, float), np.array([row["seconds"] for row in rows])
    slope, start = np.polyfit(counts, seconds, 1)
    return {
        "rows": rows,
        "seconds_per_step": slope,
        "seconds_at_start": start,
        "largest_departure": float(np.max(np.abs(slope * counts + start - seconds) / seconds)),
        "memory_growth": rows[-1]["peak_bytes"] / rows[0]["peak_bytes"] - 1,
    }


def memory(width: int, dim: int, batch_size: int = 1) -> dict:
    """Memory of one run relative to particles + state + data, of the compiled chunk and of a process."""
    found = in_child("memory", width=width, dim=dim, batch_size=batch_size)
    needed = found["state"] + found["data"]
    # The data were in the process before the run: they count on both sides.
    process = {name: (found[name] + found["data"]) / needed for name in ("process_init", "process_advance")}
    return (
        {"width": width, "dim": dim, "batch_size": batch_size} | found | {"chunk_ratio": found["chunk_peak"] / needed} | process
    )


def main_job(quick: bool, earlier: Path | None) -> dict:
    """The default job of sims.width_scaling in a process of its own, width by width; with the figures of an earlier revision beside."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "main_job.json"
        _run_child("benchmarks.main_job", "--out", str(file), *(["--quick"] if quick else []))
        found = json.loads(file.read_text())
    if earlier is not None:
        before = json.loads(earlier.read_text())
        seconds = {row["width"]: row["seconds"] for row in before["rows"]}
        for row in found["rows"]:
            row["seconds_earlier"] = seconds.get(row["width"])
        found["earlier"] = before
    return found


def in_child(what: str, **arguments) -> dict:
    """Run a function of `benchmarks.child` in a process of its own."""
    return json.loads(_run_child("benchmarks.child", what, json.dumps(arguments)).splitlines()[-1])


def _run_child(module: str, *arguments: str) -> str:
    # A cache of compiled programs would hide what compilation costs.
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=_CHILD_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout
