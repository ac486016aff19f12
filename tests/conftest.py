"""Strict settings for every test, set before jax looks at them; and the three tiers of tests."""

import ctypes
import gc
import hashlib
import importlib
import json
import os
import resource
import signal
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"

import jax
import jaxtyping
import pytest

from tests import typecheck  # noqa: F401  looked up by its name below

# Shapes are checked at every call. Before the first import.
jaxtyping.install_import_hook("meanfield.measure", "tests.typecheck.arrays")
systems = ["meanfield.systems.networks", "meanfield.systems.dynamics"]
jaxtyping.install_import_hook(systems, "tests.typecheck.arrays_and_pytrees")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

# CPU seconds of one test, its processes included, by tier. `make test` runs the unmarked ones, `make test-all` also the long ones.
BUDGET = {"unmarked": 8.0, "long": 60.0}
GROWTH = 3 * 2**28  # bytes that a worker may grow until compiled programs are let go


def pytest_addoption(parser):
    parser.addoption("--share", default="1/1", help="k/n: run the k-th of n parts of the chosen tests")


def pytest_configure(config):
    if config.option.markexpr != "slow":
        # XLA compiles without optimisation, which is faster; for slow tests, and those with the fixture `optimised`, as users have it.
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # for the processes that tests start
        jax.config.update("jax_disable_most_optimizations", True)
    rest = "of a parametrised test `cases` cases, spread evenly; its other cases are"
    config.addinivalue_line("markers", f"short(cases): for `make test` {rest} long")
    config.addinivalue_line("markers", f"long(cases): seconds of compilation or processes, for `make test-all`; {rest} slow")
    config.addinivalue_line("markers", "slow: for `make test-slow`")


def _leave(items, tier, rest):
    """Mark `rest` all but `cases` of the cases of each test marked `tier(cases)`, spread evenly: every run sees some of each kind."""
    families = {}
    for item in items:
        mark = item.get_closest_marker(tier)
        if mark and mark.args:
            families.setdefault((item.path, item.originalname), (mark.args[0], []))[1].append(item)
    for cases, members in families.values():
        kept = {int((i + 0.5) * len(members) / cases) for i in range(min(cases, len(members)))}
        for i, item in enumerate(members):
            if i not in kept:
                item.add_marker(rest)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Move the cases that their tier does not run to the next one, and keep one share of the tests."""
    _leave(items, "short", pytest.mark.long)
    _leave(items, "long", pytest.mark.slow)
    part, parts = (int(number) for number in config.getoption("--share").split("/"))
    if parts > 1:
        mine = [item for item in items if int(hashlib.md5(item.nodeid.encode()).hexdigest(), 16) % parts == part % parts]
        config.hook.pytest_deselected(items=[item for item in items if item not in mine])
        items[:] = mine


def _cpu_seconds():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Fail a test that takes more than the budget of its tier."""
    start = _cpu_seconds()
    outcome = yield
    took = _cpu_seconds() - start
    tier = "long" if item.get_closest_marker("long") else "unmarked"
    if not item.get_closest_marker("slow") and took > BUDGET[tier] and outcome.excinfo is None:
        outcome.force_exception(
            AssertionError(f"This test took {took:.1f} s of CPU; {tier} tests have {BUDGET[tier]:g}. See CONTRIBUTING.md, tiers.")
        )


_LEAST = [0]  # resident bytes after the last time


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.fixture(autouse=True)
def _memory():
    """Let compiled programs go when a worker has grown since the last time: tests share few of them."""
    yield
    if _resident() > _LEAST[0] + GROWTH:
        jax.clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # or the system never gets back what was freed
        _LEAST[0] = _resident()


@pytest.fixture(scope="session")
def digits():
    import meanfield as mf

    return mf.data.digits()


@pytest.fixture(scope="module")
def pool():
    """Twelve examples of four classes."""
    import numpy as np

    import meanfield as mf

    return mf.data.from_arrays(np.random.default_rng(1).normal(size=(12, 3)), np.arange(12) % 4)


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """A function that runs the quick mode of a simulation, once: its summary and its folder."""
    done = {}

    def run(name):
        if name not in done:
            job = importlib.import_module(f"sims.{name}")
            out = tmp_path_factory.mktemp(name)
            assert job.main(job.Config(out=out, quick=True).sized()) == 0
            done[name] = json.loads((out / "summary.json").read_text()), out
        return done[name]

    return run


@pytest.fixture
def optimised():
    """XLA as users have it, for tests of what it makes of a program."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def unchecked():
    """Shapes are not checked, as users have it: a wrong one meets the sentence that refuses it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def key():
    return jax.random.key(20211103)


@pytest.fixture
def ctrl_c(monkeypatch):
    """A function that has Ctrl-C pressed, by a real signal, within the next simulations: after the first "chunk" of steps or "width"."""
    from meanfield.simulate import driver

    def within(what):
        owner, name = {"chunk": (driver.Threads, "advance"), "width": (driver, "joined")}[what]
        original = getattr(owner, name)

        def pressed(*arguments):
            found = original(*arguments)
            signal.raise_signal(signal.SIGINT)
            return found

        monkeypatch.setattr(owner, name, pressed)

    return within
