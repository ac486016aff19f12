"""How much memory a program needs, and how many runs fit into what is free."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import jax
from jax.sharding import Mesh

from meanfield import _check
from meanfield.simulate import mesh as meshes

_MIB = 2**20


def size(tree: Any) -> int:
    """Bytes of the arrays of a tree."""
    return sum(v.size * v.dtype.itemsize for v in jax.tree.leaves(tree) if hasattr(v, "dtype"))


def needs(compiled: jax.stages.Compiled) -> int:
    """Bytes that a compiled program needs on each of its devices, its arguments among them; 0 where its compiler does not say."""
    about = compiled.memory_analysis()
    if about is None:
        return 0
    new = about.output_size_in_bytes - about.alias_size_in_bytes
    return about.argument_size_in_bytes + new + about.temp_size_in_bytes


def available(mesh: Mesh | None) -> int:
    """Bytes that are free on the fullest device; CPU devices share what their host has left."""
    devices = [
        d for d in (jax.local_devices()[:1] if mesh is None else mesh.devices.flat) if d.process_index == jax.process_index()
    ]
    free = []
    for device in devices:
        stats = device.memory_stats() if device.platform != "cpu" else None
        if stats and "bytes_limit" in stats:
            free.append(stats["bytes_limit"] - stats["bytes_in_use"])
        else:
            free.append(host_memory() // len(devices))
    return least(mesh, min(free))


def is_host(mesh: Mesh | None) -> bool:
    """Whether the devices share the memory of the host."""
    return (jax.default_backend() if mesh is None else mesh.devices.flat[0].platform) == "cpu"


def least(mesh: Mesh | None, count: int) -> int:
    """The smallest of a number of bytes in all processes of the mesh, in whole MiB (bytes do not fit into an integer of jax)."""
    return int(meshes.agreed(mesh, min(count // _MIB, 2**31 - 1)).min()) * _MIB


def host_memory() -> int:
    """Bytes that are free on this host, or in the control groups that this process lives in; 2^60 where that is not known."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", _read("/proc/meminfo"))
    free = int(found[1]) * 1024 if found else 2**60
    for folder, limit, used in _control_groups():
        limit, used = (_read(f"{folder}/{name}").strip() for name in (limit, used))
        if limit.isdigit() and used.isdigit():
            files = re.search(r"^(?:total_)?inactive_file (\d+)", _read(f"{folder}/memory.stat"), re.M)  # given back on demand
            free = min(free, int(limit) - int(used) + (int(files[1]) if files else 0))
    return max(0, free)


def _control_groups() -> Iterator[tuple[str, str, str]]:
    """The folder of every control group over this process, its own first, with the names of the files of its limit and its use.

    A scheduler limits a group deep in the tree, a container sees its own as the root: all of them hold.
    """
    lines = [line.split(":", 2) for line in _read("/proc/self/cgroup").splitlines() if line.count(":") >= 2]
    own = {"memory": "/", "": "/"} | {kind: path for _, kinds, path in lines for kind in kinds.split(",")}
    for kind, root, limit, used in (
        ("", "/sys/fs/cgroup", "memory.max", "memory.current"),
        ("memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        path = PurePosixPath(own[kind])
        for folder in (path, *path.parents):
            yield f"{root}{folder}".rstrip("/"), limit, used


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def plan(bytes_per_group: int, groups: int, free: int, width: int, taken: int = 0) -> list[int]:
    """Sizes of the fewest programs of nearly equal size, in groups of runs, that each fit into 90 % of the free memory that is not taken.

    Raises:
        ValueError: a single group does not fit.

    Examples:
        >>> plan(30, 10, 100, 8), plan(30, 10, 1000, 8)
        ([3, 3, 3, 1], [10])
    """
    most = (int(0.9 * free) - taken) // max(1, bytes_per_group)
    beside = f", beside final particles of {text(taken)}" if taken else ""
    must = f"leave room for one run in the memory that a device has free, {text(free)}{beside}"
    _check.require(most > 0, "widths", must, _check.words(f"{width}, for which a run needs {text(bytes_per_group)} of a device"))
    each = -(-groups // -(-groups // most))
    return [min(each, groups - start) for start in range(0, groups, each)]


def text(count: int) -> str:
    """Bytes in words.

    Examples:
        >>> text(3 * 2**30), text(5000)
        ('3.0 GiB', '4.9 KiB')
    """
    power = min(5, max(0, (max(1, count).bit_length() - 1) // 10))
    return f"{count / 1024**power:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power]}"
