"""What must be measured in a process of its own, because a process never forgets its peak memory.

    python -m benchmarks.child NAME '{"argument": value, ...}'

prints a JSON object.
"""

import json
import resource
import sys
import time
from pathlib import Path

import jax

import meanfield as mf
from benchmarks.ours import Ours, synthetic

OUTPUTS = 10


def peak_bytes() -> int:
    """Largest memory of this process so far; of the GPU's, where jax uses one.

    Linux keeps `ru_maxrss` across exec: a child would begin with the peak of its parent. VmHWM belongs to the program.
    """
    on_device = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in on_device:
        return on_device["peak_bytes_in_use"]
    about = Path("/proc/self/status")
    lines = about.read_text().splitlines() if about.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def steps(width: int, dim: int, steps: int) -> dict:
    """Seconds and peak memory of a run of `simulate` without probes, after a short one that compiles."""
    system = mf.System(mf.TwoLayer(), synthetic(dim, OUTPUTS), mf.dynamics.SGD(step_size=0.1, batch_size=1))
    run = {"widths": width, "seeds": 1, "key": jax.random.key(0), "probes": (), "progress": False}
    mf.simulate(system, steps=16, **run)
    start = time.perf_counter()
    mf.simulate(system, steps=steps, **run)
    return {"steps": steps, "seconds": time.perf_counter() - start, "peak_bytes": peak_bytes()}


def memory(width: int, dim: int, batch_size: int) -> dict:
    """Bytes that must be held, bytes of the compiled chunk, and growth of the process by the start and by the steps of a run.

    A tiny run before has loaded what any run loads.
    """
    data = synthetic(dim, OUTPUTS)
    Ours(data, 16, batch_size).run(1)
    before = peak_bytes()
    ours = Ours(data, width, batch_size)
    jax.block_until_ready(ours.threads.states)
    after_init = peak_bytes()
    ours.run(16)
    after_steps = max(after_init, peak_bytes())  # the counter of the kernel is off by some pages
    return ours.bytes | {"process_init": after_init - before, "process_advance": after_steps - before}


if __name__ == "__main__":
    print(json.dumps({"steps": steps, "memory": memory}[sys.argv[1]](**json.loads(sys.argv[2]))))
