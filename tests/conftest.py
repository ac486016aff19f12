"""Strict settings for every test: set before jax looks at them."""

import os
import signal

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"

import jax
import pytest
from jaxtyping import install_import_hook

from tests import typecheck  # noqa: F401  looked up by its name below

install_import_hook("meanfield.measure", "tests.typecheck.arrays")  # shapes are checked at every call, before the first import

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture(scope="session")
def digits():
    import meanfield as mf

    return mf.data.digits()


@pytest.fixture
def key():
    return jax.random.key(20211103)


@pytest.fixture
def ctrl_c(monkeypatch):
    """A function that has Ctrl-C pressed, by a real signal, within the next simulations: after the first "chunk" of steps or "width"."""
    from meanfield.simulate import driver

    def within(what):
        owner, name = {"chunk": (driver.Threads, "advance"), "width": (driver, "_joined")}[what]
        original = getattr(owner, name)

        def pressed(*arguments):
            found = original(*arguments)
            signal.raise_signal(signal.SIGINT)
            return found

        monkeypatch.setattr(owner, name, pressed)

    return within
