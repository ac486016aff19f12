"""A step of two-layer SGD: this project, torch with autograd, torch in place, and the machine's limits, in one process.

All contestants train f_N(x) = (1/N) sum_i a_i relu(<w_i, x>) by cross-entropy on the same data, in the time scale of one neuron. They
take turns, round by round, and of each the best round counts. The limit of a step is

    t_roof = max(flops / peak, bytes / bandwidth),    flops = 4 N b d + 6 N b k,    bytes = 2 * 4 N (d + k),

every weight read once and written once. Peak and bandwidth are measured in the same turns: the largest rate of a square float32
product, and that of a copy of the same number of bytes, so that weights which fit the cache are held to the speed of the cache.
A fraction above 1 is no mistake: this project takes several steps in one trip through the weights (meanfield/systems/window.py).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import meanfield as mf
from meanfield.simulate import ensemble

try:
    import torch
except ImportError:  # an extra: without it its columns are empty
    torch = None

STEP_SIZE = 0.1


@dataclass(frozen=True)
class Cell:
    """One size: N neurons, batch size b, inputs in R^dim, `outputs` classes."""

    width: int
    batch_size: int
    dim: int = 784
    outputs: int = 10

    @property
    def flops(self) -> float:
        """Of one step."""
        return self.width * self.batch_size * (4.0 * self.dim + 6.0 * self.outputs)

    @property
    def numbers(self) -> int:
        """Weights."""
        return self.width * (self.dim + self.outputs)


def examples(dim: int, outputs: int, count: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian inputs of mean square norm 1 and random labels."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(count, dim)) / dim**0.5).astype(np.float32), rng.integers(0, outputs, count)


def best_of(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Let them take turns; the best of what each returned."""
    best = dict.fromkeys(contestants, np.inf)
    for _ in range(rounds):
        for name, run in contestants.items():
            best[name] = min(best[name], run())
    return best


def seconds_per(call: Callable[[], object], at_least: float) -> Callable[[], float]:
    """A contestant: seconds per call of `call`, over so many calls that they take `at_least` seconds."""
    call()
    start = time.perf_counter()
    call()
    count = max(1, round(at_least / (time.perf_counter() - start)))

    def run():
        start = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - start) / count

    return run


def ours(cell: Cell, at_least: float, step_sizes=(STEP_SIZE,), seeds: int = 1) -> Callable[[], float]:
    """A contestant: seconds per step of all cells of a grid, as `mf.simulate` takes them; donated state, one program."""
    data = mf.data.from_arrays(*examples(cell.dim, cell.outputs), classes=cell.outputs)
    system = mf.System(mf.TwoLayer(), data, mf.dynamics.SGD(list(step_sizes), cell.batch_size))
    grid = ensemble.make_grid(system.dynamics, tuple(range(seeds)), jax.random.key(0))
    states = ensemble.init(grid.dynamics, grid.keys, network=system.network, width=cell.width)
    bad = jnp.full(len(grid.keys), np.iinfo(np.int32).max, jnp.int32)
    stride = system.dynamics.stride(system.network, cell.width)

    def take(steps):
        nonlocal states, bad
        states, bad, broken = ensemble.advance(grid.dynamics, data, grid.keys, states, bad, jnp.asarray(steps))
        if np.asarray(broken).any():
            raise RuntimeError("the weights are not finite: there is nothing to time")

    take(stride)
    start = time.perf_counter()
    take(stride)
    steps = stride * max(1, round(at_least / (time.perf_counter() - start)))

    def run():
        start = time.perf_counter()
        take(steps)
        return (time.perf_counter() - start) / steps

    return run


def torch_contestants(cell: Cell, at_least: float) -> dict[str, Callable[[], float]]:
    """Contestants "autograd" and "in place", each with one thread and with all: `name, threads`; none without torch."""
    if torch is None:
        return {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made = {}
    for threads in {1, torch.get_num_threads()} if device == "cpu" else {1}:
        for name, step in {"autograd": _autograd, "in place, rows": _in_place, "in place, columns": _in_place_columns}.items():
            run = step(cell, device)

            def timed(run=run, threads=threads):
                torch.set_num_threads(threads)
                try:
                    run()
                    if device == "cuda":
                        torch.cuda.synchronize()
                finally:
                    torch.set_num_threads(_THREADS)

            made[f"{name}, {threads} threads"] = seconds_per(timed, at_least)
    return made


_THREADS = torch.get_num_threads() if torch is not None else 0


def _torch_data(cell, device):
    x, y = (torch.from_numpy(v).to(device) for v in examples(cell.dim, cell.outputs))
    generator = torch.Generator(device=device).manual_seed(0)
    return x, y, lambda: torch.randint(0, len(x), (cell.batch_size,), generator=generator, device=device)


def _autograd(cell, device):
    """As in the founding paper's code: a module, a loss, an optimiser."""
    x, y, draw = _torch_data(cell, device)
    torch.manual_seed(0)
    layers = (
        torch.nn.Linear(cell.dim, cell.width, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(cell.width, cell.outputs, bias=False),
    )
    model = torch.nn.Sequential(*layers).to(device)
    loss, optimiser = torch.nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=STEP_SIZE)

    def step():
        index = draw()
        optimiser.zero_grad()
        loss(model(x[index]), y[index]).backward()
        optimiser.step()

    return step


class InPlace:
    """SGD in mean-field scaling with the gradient in closed form, no memory allocated, an update of rank b into the weights."""

    def __init__(self, w, a, batch_size: int):
        width, outputs = a.shape
        self.w, self.a = w, a
        empty = lambda *shape: torch.empty(shape, device=w.device)  # noqa: E731
        self.h, self.s, self.f = empty(width, batch_size), empty(width, batch_size), empty(batch_size, outputs)
        self.mask = torch.empty((width, batch_size), dtype=torch.bool, device=w.device)
        self.rows = torch.arange(batch_size, device=w.device)

    @torch.no_grad() if torch is not None else (lambda f: f)
    def step(self, x, y, eta):
        """One step on the examples x (b, dim), labels y (b,)."""
        torch.mm(self.w, x.t(), out=self.h)
        self.h.clamp_(min=0)
        torch.gt(self.h, 0, out=self.mask)
        torch.mm(self.h.t(), self.a, out=self.f)
        residual = torch.softmax(self.f.div_(len(self.w)), dim=1)
        residual[self.rows, y] -= 1
        torch.mm(self.a, residual.t(), out=self.s)
        self.s.mul_(self.mask)
        self.a.addmm_(self.h, residual, alpha=-eta / len(x))
        self.w.addmm_(self.s, x, alpha=-eta / len(x))


class InPlaceColumns(InPlace):
    """The same with the neurons on the last axis of what is in between: which is faster depends on the size."""

    def __init__(self, w, a, batch_size: int):
        super().__init__(w, a, batch_size)
        self.h, self.s, self.mask = (v.t().contiguous() for v in (self.h, self.s, self.mask))

    @torch.no_grad() if torch is not None else (lambda f: f)
    def step(self, x, y, eta):
        """One step on the examples x (b, dim), labels y (b,)."""
        torch.mm(x, self.w.t(), out=self.h)
        self.h.clamp_(min=0)
        torch.gt(self.h, 0, out=self.mask)
        torch.mm(self.h, self.a, out=self.f)
        residual = torch.softmax(self.f.div_(len(self.w)), dim=1)
        residual[self.rows, y] -= 1
        torch.mm(residual, self.a.t(), out=self.s)
        self.s.mul_(self.mask)
        self.a.addmm_(self.h.t(), residual, alpha=-eta / len(x))
        if len(x) == 1:
            self.w.addr_(self.s[0], x[0], alpha=-eta)
        else:
            self.w.addmm_(self.s.t(), x, alpha=-eta / len(x))


def _in_place(cell, device, kind=InPlace):
    x, y, draw = _torch_data(cell, device)
    torch.manual_seed(0)
    weights = torch.randn(cell.width, cell.dim, device=device), torch.randn(cell.width, cell.outputs, device=device)
    network = kind(*weights, cell.batch_size)

    def step():
        index = draw()
        network.step(x.index_select(0, index), y.index_select(0, index), STEP_SIZE)

    return step


def _in_place_columns(cell, device):
    return _in_place(cell, device, InPlaceColumns)


def peak_contestants(at_least: float) -> dict[str, Callable[[], float]]:
    """Contestants that multiply square matrices: seconds per flop."""
    made = {}
    for size in (2048, 4096):
        rng = np.random.default_rng(0)
        a = rng.normal(size=(size, size)).astype(np.float32)
        on_device = jnp.asarray(a)
        product = jax.jit(lambda v: jnp.matmul(v, v, precision="highest"))
        calls = {"jax": lambda product=product, v=on_device: product(v).block_until_ready()}
        if jax.default_backend() == "cpu":
            calls["numpy"] = lambda a=a: a @ a
            if torch is not None:
                calls["torch"] = lambda t=torch.from_numpy(a): t @ t
        for name, call in calls.items():
            timed = seconds_per(call, at_least)
            made[f"{name} {size}"] = lambda timed=timed, size=size: timed() / (2 * size**3)
    return made


def copy_contestant(cell: Cell, at_least: float) -> Callable[[], float]:
    """A contestant that copies as many numbers as there are weights: seconds per byte, read and written."""
    count = cell.numbers
    if jax.default_backend() != "cpu":
        grow = jax.jit(lambda v: jax.lax.fori_loop(0, 50, lambda _, u: u + 1, v), donate_argnums=0)
        box = [jnp.zeros(count)]

        def call():
            box[0] = grow(box[0]).block_until_ready()

        return lambda timed=seconds_per(call, at_least): timed() / (50 * 8 * count)
    if torch is not None:
        source, target = torch.zeros(count), torch.empty(count)
        return lambda timed=seconds_per(lambda: target.copy_(source), at_least): timed() / (8 * count)
    from_, to = np.zeros(count, np.float32), np.empty(count, np.float32)
    return lambda timed=seconds_per(lambda: np.copyto(to, from_), at_least): timed() / (8 * count)


def measure(cell: Cell, rounds: int = 5, at_least: float = 0.15) -> dict:
    """Time one cell: steps a second of all, and of ours GFLOP/s, GB/s, fraction of the limit and ratios to the peers."""
    contestants = {"ours": ours(cell, at_least), "copy": copy_contestant(cell, at_least)}
    contestants |= {f"peak {name}": run for name, run in peak_contestants(at_least).items()}
    contestants |= torch_contestants(cell, at_least)
    best = best_of(contestants, rounds)
    peak = 1 / min(v for name, v in best.items() if name.startswith("peak"))
    step, roof = best["ours"], max(cell.flops / peak, 8 * cell.numbers * best["copy"])
    peers = {}
    for peer in ("autograd", "in place"):
        times = {name: v for name, v in best.items() if name.startswith(peer)}
        if times:
            name = min(times, key=lambda n: times[n])
            peers[peer.replace(" ", "_")] = {"steps_per_s": 1 / times[name], "which": name, "ratio": times[name] / step}
    return {
        "width": cell.width,
        "batch_size": cell.batch_size,
        "dim": cell.dim,
        "outputs": cell.outputs,
        "steps_per_s": 1 / step,
        "gflops": cell.flops / step / 1e9,
        "gb_per_s": 8 * cell.numbers / step / 1e9,
        "peak_gflops": peak / 1e9,
        "copy_gb_per_s": 1 / best["copy"] / 1e9,
        "bound": "flops" if cell.flops / peak > 8 * cell.numbers * best["copy"] else "bytes",
        "fraction_of_roof": roof / step,
        **peers,
    }


def same_step(cell: Cell, eta: float = STEP_SIZE) -> float:
    """Largest difference of the weights after one step of ours and of torch in place from the same start, over the largest move."""
    x, y = examples(cell.dim, cell.outputs, cell.batch_size)
    network = mf.TwoLayer(dim=cell.dim, outputs=cell.outputs)
    start = network.init(jax.random.key(0), cell.width)
    dynamics = mf.dynamics.SGD(STEP_SIZE, cell.batch_size)
    state = mf.dynamics.State(start, jnp.zeros((), jnp.int32), network)
    after, _ = dynamics.step(jax.random.key(0), state, (jnp.asarray(x), jnp.asarray(y)))
    worst = 0.0
    for kind in (InPlace, InPlaceColumns):
        rival = kind(torch.tensor(np.asarray(start.w)), torch.tensor(np.asarray(start.a)), cell.batch_size)
        rival.step(torch.from_numpy(x), torch.from_numpy(y), eta)
        for ours_, theirs, before in zip(
            (after.particles.w, after.particles.a), (rival.w, rival.a), (start.w, start.a), strict=True
        ):
            moved = np.abs(np.asarray(ours_) - np.asarray(before)).max()
            worst = max(worst, float(np.abs(np.asarray(ours_) - theirs.numpy()).max() / moved))
    return worst
