"""What the machine is and what it can do: its name, the peak of its matrix products, its bandwidth on a given working set."""

import datetime
import os
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import peers
from benchmarks.timing import Timing
from meanfield import _files


def describe() -> dict:
    """The machine and the libraries, for the record."""
    return {
        "platform": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "cores": peers.cores(),
        "threads_tried": list(peers.thread_counts()),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": _files.versions("torch"),
        "torch_device": peers.device(),
        # Far above 0 at the start, others work on this machine, and medians are worth less than bests.
        "load_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """Model of the processor."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


Product = tuple[str, int]  # library and size


def products(sizes: tuple[int, ...] | None = None) -> dict[Product, Callable[[int], object]]:
    """Float32 products of square matrices in every library, to be timed: `run(times)`."""
    if sizes is None:
        sizes = (1024, 2048, 3072) if jax.default_backend() == "cpu" else (4096, 8192)
    runs: dict[Product, Callable[[int], object]] = {}
    for size in sizes:
        matrix = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
        runs["jax", size] = partial(_products_of_jax, jnp.asarray(matrix))
        if jax.default_backend() == "cpu":
            runs["numpy", size] = partial(_repeat, partial(np.matmul, matrix, matrix, out=np.empty_like(matrix)))
        if peers.torch is not None and (device := peers.device()):
            a = peers.torch.from_numpy(matrix).to(device)
            runs["torch", size] = partial(
                _repeat_in_torch, peers.thread_counts()[-1], partial(peers.torch.mm, a, a, out=a.clone())
            )
    return runs


def speed(product: Product, timing: Timing) -> float:
    """FLOP/s of a matrix product."""
    return 2 * product[1] ** 3 / timing.best


_product = jax.jit(partial(jnp.matmul, precision="highest"))


def _products_of_jax(matrix: jax.Array, times: int) -> None:
    jax.block_until_ready([_product(matrix, matrix) for _ in range(times)][-1])


def _repeat(run: Callable[[], object], times: int) -> None:
    for _ in range(times):
        run()


def _repeat_in_torch(threads: int | None, run: Callable[[], object], times: int) -> None:
    peers.use_threads(threads)
    _repeat(run, times)
    peers.wait()


def copies(numbers: int) -> dict[str, Callable[[int], object]]:
    """Ways to copy so many float32 numbers, to be timed in turn with the contestants: `run(times)`."""
    if jax.default_backend() != "cpu":
        return {"jax": partial(_copies_of_jax, jnp.ones(numbers, jnp.float32))}
    source, target = np.ones(numbers, np.float32), np.zeros(numbers, np.float32)
    runs: dict[str, Callable[[int], object]] = {}
    for threads in filter(None, peers.thread_counts()):
        runs[f"numpy, {peers.threads_name(threads)}"] = partial(
            _copies_of_numpy, ThreadPoolExecutor(threads), threads, target, source
        )
        if peers.torch is not None:
            a, b = peers.torch.from_numpy(target), peers.torch.from_numpy(source)
            runs[f"torch, {peers.threads_name(threads)}"] = partial(_repeat_in_torch, threads, partial(a.copy_, b))
    return runs


_doubled = jax.jit(lambda times, x: jax.lax.fori_loop(0, times, lambda _, v: -v, x))


def _copies_of_jax(x: jax.Array, times: int) -> None:
    # A change of sign, because XLA would leave out a copy: it reads and writes the same.
    _doubled(times, x).block_until_ready()


def _copies_of_numpy(pool: ThreadPoolExecutor, threads: int, target: np.ndarray, source: np.ndarray, times: int) -> None:
    if threads == 1:
        _repeat(partial(np.copyto, target, source), times)
        return
    # Every thread copies its own part all the time: handing out parts would cost more than a small copy.
    parts = zip(np.array_split(target, threads), np.array_split(source, threads), strict=True)
    list(pool.map(lambda part: _repeat(partial(np.copyto, *part), times), parts))
