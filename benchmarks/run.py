"""All benchmarks, side by side in one process: tables, JSON, a picture of the roofline.

python -m benchmarks.run --out out/bench [--quick]
"""

import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

import meanfield as mf
from benchmarks import recursion, steps
from meanfield import _check
from meanfield.measure import distances, pruning, tails
from sims import _run

SECTIONS = ("steps", "ensembles", "recursion", "estimators", "widths", "lengths", "job")


@dataclass(frozen=True)
class Config:
    """What to time.

    Args:
        out: directory of the results.
        sections: which parts.
        rounds: how often contestants alternate; of each the best round counts.
        seconds: how long one turn takes, at least.
        quick: small sizes, to see that everything works.
    """

    out: Path = Path("out/bench")
    sections: tuple[str, ...] = SECTIONS
    rounds: int = 5
    seconds: float = 0.15
    quick: bool = False

    def __post_init__(self):
        for section in self.sections:
            _check.choice("sections", section, SECTIONS)
        _check.integer("rounds", self.rounds, at_least=1)
        _check.positive("seconds", self.seconds)


def time_steps(config: Config) -> list[dict]:
    """The grid of sizes."""
    if config.quick:
        cells = [steps.Cell(64, b, 16, 3) for b in (1, 2)]
    else:
        cells = [steps.Cell(n, b) for n in (256, 4096, 65536) for b in (1, 4, 10, 32, 100)]
    made = []
    for cell in cells:
        made.append(steps.measure(cell, config.rounds, config.seconds))
        print(f"steps, N = {cell.width}, b = {cell.batch_size}: {made[-1]['steps_per_s']:.0f} steps/s", flush=True)
    return made


def time_ensembles(config: Config) -> list[dict]:
    """Cell-steps a second of grids of step sizes and seeds at N = 256, batch size 1."""
    made = []
    for dim in (16,) if config.quick else (64, 784):
        cell = steps.Cell(32 if config.quick else 256, 1, dim)
        grids = ((1, 1), (2, 2)) if config.quick else ((1, 1), (2, 2), (4, 4), (8, 8), (16, 16))
        contestants = {str(s * r): steps.ours(cell, config.seconds, 0.01 * np.arange(1, s + 1), seeds=r) for s, r in grids}
        best = steps.best_of(contestants, config.rounds)
        for cells, seconds in best.items():
            made.append(
                {
                    "dim": dim,
                    "width": cell.width,
                    "cells": int(cells),
                    "cell_steps_per_s": int(cells) / seconds,
                    "ratio_to_single": int(cells) * best["1"] / seconds,
                }
            )
    return made


def time_estimators(config: Config) -> list[dict]:
    """Seconds of the estimators on Pareto samples."""
    made = []
    for n in (1000,) if config.quick else (10**4, 10**5, 10**6):
        rng = np.random.default_rng(0)
        x, y = rng.pareto(1.5, n), rng.pareto(1.5, n)
        matrix = x[: n // 10 * 10].reshape(-1, 10)
        kappas = np.linspace(0, 1, 101)
        calls = {
            "Hill, top 1 %": lambda x=x: tails.hill(x, k=max(10, len(x) // 100)),
            "W1 between two samples": lambda x=x, y=y: distances.wasserstein(x, y),
            "magnitude pruning, 101 kappas": lambda m=matrix: pruning.error_curve(m, kappas, method="magnitude"),
        }
        for name, call in calls.items():
            best = steps.best_of({name: steps.seconds_per(call, config.seconds / 3)}, config.rounds)
            made.append({"n": n, "estimator": name, "seconds": best[name]})
    return made


def time_widths(config: Config) -> dict:
    """Time of a step against the width, batch size 1, and its exponent beyond the cache."""
    widths = (64, 128) if config.quick else (256, 1024, 4096, 16384, 65536, 262144)
    dim = 16 if config.quick else 784
    contestants = {str(n): steps.ours(steps.Cell(n, 1, dim), config.seconds) for n in widths}
    best = steps.best_of(contestants, config.rounds)
    large = [n for n in widths if n >= 4096] or widths
    slope = float(np.polyfit(np.log(large), np.log([best[str(n)] for n in large]), 1)[0])
    return {"widths": list(widths), "seconds": [best[str(n)] for n in widths], "exponent_from_4096": slope}


_CHILD = """
import json, resource, sys, time
import jax
import meanfield as mf
from benchmarks import steps
width, dim, count, batch = map(int, sys.argv[1:])
data = mf.data.from_arrays(*steps.examples(dim, 10), classes=10)
system = mf.System(mf.TwoLayer(), data, mf.dynamics.SGD(0.1, batch))
run = lambda n: mf.simulate(system, widths=width, steps=n, seeds=1, key=jax.random.key(0), probes=(), progress=False)
small = mf.simulate(system, widths=8, steps=1, seeds=1, key=jax.random.key(0), probes=(), progress=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
run(count)
print(json.dumps({"steps": count, "seconds": time.perf_counter() - start, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "peak_mb_before": before / 1024}))
"""


def time_lengths(config: Config) -> dict:
    """Time and peak memory of processes that take different numbers of steps, and the memory that the compiled chunk asks for."""
    width, dim, counts = (64, 16, (100, 200)) if config.quick else (16384, 784, (2000, 4000, 8000, 16000))
    rows = []
    for count in counts:
        command = [sys.executable, "-c", _CHILD, *map(str, (width, dim, count, 1))]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": os.getcwd()})
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    seconds = [row["seconds"] for row in rows]
    per_step = float(np.polyfit(counts, seconds, 1)[0])
    memory = [
        program_memory(*size)
        for size in (((64, 1, 16),) if config.quick else ((65536, 1, 784), (65536, 10, 784), (65536, 100, 784), (8192, 1, 64)))
    ]
    return {"width": width, "dim": dim, "rows": rows, "seconds_per_step": per_step, "programs": memory}


def program_memory(width: int, batch_size: int, dim: int) -> dict:
    """What the compiled chunk of one run needs beside the data, over the size of particles and state."""
    from meanfield.simulate import ensemble

    network = mf.TwoLayer(dim=dim, outputs=10)
    data = mf.data.from_arrays(*steps.examples(dim, 10, 500), classes=10)
    dynamics = mf.dynamics.SGD(0.1, batch_size)
    grid = ensemble.make_grid(dynamics, (0,), jax.random.key(0))
    states = jax.eval_shape(lambda: ensemble.init(grid.dynamics, grid.keys, network=network, width=width))
    held = sum(v.size * v.dtype.itemsize for v in jax.tree.leaves(states))
    bad = jnp.zeros(1, jnp.int32)
    plan = ensemble.advance.lower(grid.dynamics, data, grid.keys, states, bad, jnp.asarray(1)).compile().memory_analysis()
    fresh = plan.output_size_in_bytes - plan.alias_size_in_bytes + plan.temp_size_in_bytes
    return {"width": width, "batch_size": batch_size, "dim": dim, "state_mb": held / 1e6, "factor": 1 + fresh / held}


def time_job(config: Config) -> dict:
    """The main job, `python -m sims.width_scaling`: steps a second at every width, and what compilation costs."""
    from sims import width_scaling

    events: list[float] = []

    def listen(name, seconds, **_):
        if name.startswith("/jax/core/compile"):
            events.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    job = width_scaling.Config(out=config.out / "job", quick=config.quick)
    start = time.perf_counter()
    width_scaling.run(job)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "compilation_seconds": sum(events)}


def machine() -> dict:
    """What all this ran on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {
        "device": jax.devices()[0].device_kind,
        "platform": jax.default_backend(),
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "torch": None if steps.torch is None else steps.torch.__version__,
        "torch_threads": None if steps.torch is None else steps.torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
    }


def tables(result: dict) -> list:
    """For the terminal."""
    made = []
    if "steps" in result:
        columns = (
            "N",
            "b",
            "steps/s",
            "GFLOP/s",
            "GB/s",
            "peak",
            "copy",
            "roof",
            "bound",
            "in place",
            "ratio",
            "autograd",
            "ratio",
        )

        def peer(row, name):
            return (f"{row[name]['steps_per_s']:.1f}", f"{row[name]['ratio']:.2f}") if name in row else ("", "")

        rows = [
            [
                f"{r['width']}", f"{r['batch_size']}", f"{r['steps_per_s']:.1f}", f"{r['gflops']:.0f}", f"{r['gb_per_s']:.1f}",
                f"{r['peak_gflops']:.0f}", f"{r['copy_gb_per_s']:.0f}", f"{r['fraction_of_roof']:.2f}", r["bound"],
                *peer(r, "in_place"), *peer(r, "autograd"),
            ]
            for r in result["steps"]
        ]  # fmt: skip
        made.append(_run.table("A step of two-layer SGD; torch's steps/s and ours over theirs", columns, rows))
    for name, title in {"ensembles": "Ensembles, batch size 1", "estimators": "Estimators"}.items():
        if name in result:
            columns = list(result[name][0])
            made.append(_run.table(title, columns, [[_number(row[c]) for c in columns] for row in result[name]]))
    if "recursion" in result:
        rows = result["recursion"]["rows"]
        columns = [c for c in rows[0] if c != "numpy_best"]
        made.append(_run.table("Recursion, chain-steps/s", columns, [[_number(row[c]) for c in columns] for row in rows]))
    if "widths" in result:
        r = result["widths"]
        rows = [[str(n), _number(s)] for n, s in zip(r["widths"], r["seconds"], strict=True)]
        made.append(_run.table(f"Cost against N: exponent {r['exponent_from_4096']:.3f} from 4096 on", ("N", "s a step"), rows))
    if "lengths" in result:
        rows = [[_number(v) for v in row.values()] for row in result["lengths"]["rows"]]
        made.append(_run.table("Cost against steps", list(result["lengths"]["rows"][0]), rows))
        rows = [[_number(v) for v in row.values()] for row in result["lengths"]["programs"]]
        made.append(_run.table("Memory of one run over particles and state", list(result["lengths"]["programs"][0]), rows))
    if "job" in result:
        made.append(_run.table("Main job", list(result["job"]), [[_number(v) for v in result["job"].values()]]))
    return made


def _number(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def roofline(result: dict):
    """Fraction of the machine's limit, and ratio to the peers, of every size."""
    rows = result["steps"]
    names = [f"{r['width']}, {r['batch_size']}" for r in rows]
    at = np.arange(len(rows))
    figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    left, right = axes
    for width, marker in zip(sorted({r["width"] for r in rows}), "osD^v", strict=False):
        mine = [r for r in rows if r["width"] == width]
        intensity = [r["gflops"] / r["gb_per_s"] for r in mine]
        (line,) = left.loglog(intensity, [r["gflops"] for r in mine], marker, label=f"N = {width}")
        for r, i in zip(mine, intensity, strict=True):
            left.annotate(f"{r['batch_size']}", (i, r["gflops"]), textcoords="offset points", xytext=(5, -3), fontsize=7)
        grid = np.geomspace(min(intensity) / 2, max(intensity) * 2, 200)
        peak, bandwidth = (float(np.median([r[k] for r in mine])) for k in ("peak_gflops", "copy_gb_per_s"))
        left.loglog(grid, np.minimum(peak, bandwidth * grid), "-", color=line.get_color(), linewidth=0.8)
    left.set_xlabel("flops per byte, every weight read and written once a step")
    left.set_ylabel("GFLOP/s")
    left.set_title("Attained (points, labelled by batch size) and limit (lines)")
    left.legend()
    right.axhline(1, color="0.5", linewidth=0.8)
    series = {"fraction of the limit": [r["fraction_of_roof"] for r in rows]}
    for peer in ("in_place", "autograd"):
        if all(peer in r for r in rows):
            series[f"over torch, {peer.replace('_', ' ')}"] = [r[peer]["ratio"] for r in rows]
    for (name, values), style in zip(series.items(), ("ko-", "C0s--", "C1^:"), strict=False):
        right.semilogy(at, values, style, label=name)
    right.set_xticks(at, names, rotation=60)
    right.set_xlabel("N, batch size")
    right.legend()
    right.grid(axis="y", which="both", alpha=0.3)
    return figure


def main(config: Config) -> int:
    """Run, write, print."""
    out = _check.writable_directory("out", config.out)
    if steps.torch is not None and "steps" in config.sections and jax.default_backend() == "cpu":
        for cell in (steps.Cell(64, 1, 20, 5), steps.Cell(64, 3, 20, 5)):
            difference = steps.same_step(cell)
            if difference > 1e-4:
                raise RuntimeError(f"ours and torch in place do not take the same step: they differ by {difference:.2g}")
    work = {
        "steps": time_steps,
        "ensembles": time_ensembles,
        "recursion": lambda c: recursion.measure(*((10_000, 1, 2) if c.quick else ())),
        "estimators": time_estimators,
        "widths": time_widths,
        "lengths": time_lengths,
        "job": time_job,
    }
    result: dict = _run.manifest(config) | {"machine": machine()}
    for name in config.sections:
        print(name, flush=True)
        result[name] = work[name](config)
        _run.write_json(out / "benchmarks.json", result)
    if "steps" in result:
        roofline(result).savefig(out / "roofline.png", dpi=150)
    made = tables(result)
    with (out / "table.txt").open("w") as file:
        console = Console(file=file, width=200)
        for one in made:
            console.print(one)
    _run.show(made, f"Written to {out}")
    return 0


if __name__ == "__main__":
    _run.command(Config, main)
