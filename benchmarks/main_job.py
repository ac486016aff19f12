"""Seconds of the default job of sims.width_scaling, width by width, and how much of them is compilation.

    python -m benchmarks.main_job --out FILE [--quick]

It uses nothing else of this folder, and of the project what earlier revisions have too. So it times another revision as well:

    cd ELSEWHERE && PYTHONPATH=OTHER:THIS python -m benchmarks.main_job --out FILE
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import jax

import meanfield as mf
from sims import width_scaling

# Python -> jaxpr -> StableHLO -> machine code. Tracing is nested (a jitted function in a jitted function counts in both), so the
# sum of the traces is a little too large; the last two are not nested.
PHASES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


def measure(config: width_scaling.Config) -> dict:
    """Simulate every width of the job on its own, with the probes of the job; without measuring and files."""
    system = width_scaling.prepare(config)
    sized = getattr(width_scaling, "_sized", lambda same: same)(config)  # an earlier revision has a function for the quick run
    seconds: dict[str, float] = defaultdict(float)
    active = True

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if active and event in PHASES:
            seconds[PHASES[event]] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    rows = []
    for width in sorted(sized.widths):
        seconds.clear()
        start = time.perf_counter()
        mf.simulate(system, widths=width, steps=sized.steps, seeds=sized.seeds, key=jax.random.key(sized.key), progress=False)
        whole = time.perf_counter() - start
        compiling = {phase: seconds[phase] for phase in PHASES.values()}
        cells = len(sized.step_sizes) * sized.seeds
        rows.append(
            {
                "width": width,
                "cells": cells,
                "steps": sized.steps,
                "seconds": whole,
                "compiling": compiling,
                "compile_seconds": sum(compiling.values()),
                "cell_steps_per_second": cells * sized.steps / (whole - sum(compiling.values())),
            }
        )
    active = False
    return {
        "rows": rows,
        "seconds": sum(row["seconds"] for row in rows),
        "compile_seconds": sum(row["compile_seconds"] for row in rows),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="the job's quick mode")
    arguments = parser.parse_args()
    config = width_scaling.Config(quick=arguments.quick)
    # Earlier revisions make the quick run of `quick` alone.
    found = measure(config.sized() if arguments.quick and hasattr(config, "sized") else config)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")
