"""SGD on least squares: chain-steps a second of `LinearRecursion` and of the best numpy we can write, alternating in one process.

    python -m benchmarks.recursion

Both simulate x <- x - (eta/b) sum_(i<=b) a_i (<a_i, x> - y_i) with fresh Gaussian a_i, y_i for a million chains in R^d. numpy draws
and multiplies in place, a block of chains at a time, with its fastest generator (SFC64) in float32 and in float64; the fastest of all
its runs is the opponent. Ours is the step as `simulate` runs it, a loop of steps in one program. Of every contestant the best time of
all rounds counts: the machine may be busy with something else in some of them.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import meanfield as mf

CASES = ((1, 1, 0.5), (10, 5, 0.1))  # dimension, batch size, step size
CHAINS = 1_000_000
BLOCKS = {1: (16_384, 65_536), 10: (2_048, 16_384)}  # chains that numpy treats at once, by dimension


def measure(chains: int = CHAINS, rounds: int = 3, steps: int = 10) -> dict:
    """Time all cases; takes some twenty seconds.

    Args:
        chains: number of chains.
        rounds: how often numpy and ours alternate.
        steps: steps of ours between two looks at the clock (numpy: one, in more than one dimension of a tenth of the chains).

    Returns:
        `rows`, a list of dictionaries: dim, batch_size; ours, numpy: chain-steps a second; ratio; numpy_best: which spelling won;
        state_gb_s: bytes of the chains that ours reads and writes a second, in 1e9; temporary_mb: what its program allocates.
    """
    return {"chains": chains, "rows": [_case(*case, chains, rounds, steps) for case in CASES]}


def _case(dim, batch_size, eta, chains, rounds, steps) -> dict:
    ours, temporary = _ours(dim, batch_size, eta, chains, steps)
    few = chains if dim == 1 else chains // 10
    contestants = {
        f"{dtype.__name__}, blocks of {block}": _numpy(dim, batch_size, eta, few, block, dtype)
        for dtype in (np.float32, np.float64)
        for block in BLOCKS[dim]
    }
    best, theirs = np.inf, dict.fromkeys(contestants, np.inf)
    for _ in range(rounds):
        best = min(best, _seconds(ours) / (steps * chains))
        for name, run in contestants.items():
            theirs[name] = min(theirs[name], _seconds(run) / few)
    winner = min(theirs, key=lambda name: theirs[name])
    return {
        "dim": dim,
        "batch_size": batch_size,
        "ours": 1 / best,
        "numpy": 1 / theirs[winner],
        "ratio": theirs[winner] / best,
        "numpy_best": winner,
        "state_gb_s": 2 * 4 * dim / best / 1e9,
        "temporary_mb": temporary / 1e6,
    }


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _ours(dim, batch_size, eta, chains, steps) -> tuple[Callable[[], object], int]:
    """A function that takes `steps` steps, compiled and warm; bytes of temporary memory of its program."""
    data = mf.data.gaussian_regression(dim)
    dynamics = mf.dynamics.LinearRecursion(eta, batch_size)
    system = mf.System(mf.dynamics.chains(), data, dynamics)
    key = jax.random.key(0)

    def advance(state, key):
        one = lambda _, state: dynamics.step(key, state, dynamics.draw(data, key, state.step, chains))[0]  # noqa: E731
        return jax.lax.fori_loop(0, steps, one, state)

    state = dynamics.init(key, system.network, chains)
    program = jax.jit(advance, donate_argnums=0).lower(state, key).compile()

    def run():
        nonlocal state
        state = program(state, key)
        state.particles.w.block_until_ready()
        return state

    run()
    assert bool(jnp.isfinite(state.particles.w).all())
    memory = program.memory_analysis()
    assert memory is not None
    return run, memory.temp_size_in_bytes


def _numpy(dim, batch_size, eta, chains, block, dtype) -> Callable[[], object]:
    """A function that takes one step."""
    rng = np.random.Generator(np.random.SFC64(0))
    x = rng.standard_normal((chains, dim), dtype=dtype)
    draws, scratch = np.empty((block, batch_size, dim + 1), dtype), np.empty(block, dtype)
    rate = dtype(eta / batch_size)

    def one_number(x):
        """In one dimension with batch size one: everything in place."""
        a, noise = draws.ravel()[: len(x)], draws.ravel()[-len(x) :]
        rng.standard_normal(out=a, dtype=dtype)
        rng.standard_normal(out=noise, dtype=dtype)
        product = np.multiply(a, x, out=scratch[: len(x)])
        product -= noise
        product *= a
        product *= rate
        x -= product

    def vectors(x):
        mine = draws[: len(x)]
        rng.standard_normal(out=mine, dtype=dtype)
        a = mine[:, :, :-1]
        residual = np.einsum("nbd,nd->nb", a, x)
        residual -= mine[:, :, -1]
        gradient = np.einsum("nbd,nb->nd", a, residual)
        gradient *= rate
        x -= gradient

    def step():
        for first in range(0, chains, block):
            part = x[first : first + block]
            one_number(part[:, 0]) if dim == batch_size == 1 else vectors(part)
        return x

    return step


def main() -> None:
    """Print the table."""
    print("  d   b     ours       numpy    ratio   state GB/s   temporary MB   numpy's best (1e6 chain-steps a second)")
    for row in measure()["rows"]:
        print(
            f"{row['dim']:3d} {row['batch_size']:3d} {row['ours'] / 1e6:8.2f} {row['numpy'] / 1e6:11.3f} {row['ratio']:8.1f}"
            f" {row['state_gb_s']:12.2f} {row['temporary_mb']:14.2f}   {row['numpy_best']}"
        )


if __name__ == "__main__":
    main()
