"""Steps of one network, for widths x batch sizes: this project, its peers, and the roofline of the machine, all in turn."""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks import machine, peers
from benchmarks.ours import Ours, synthetic
from benchmarks.timing import Effort, Timing, alternate

STEP_SIZE = 0.1  # small: nothing diverges
CHECKED_STEPS = 3
TOLERANCE = 1e-5
CONTESTANTS = ("meanfield", "torch autograd", "torch in place")


class UnequalWorkError(Exception):
    """Two contestants do not compute the same steps: their times say nothing."""


def work(width: int, batch_size: int, dim: int, outputs: int) -> dict[str, float]:
    """What a step must do: FLOPs of its five products, bytes of the particles read once and written once, and their ratio."""
    flops = 4 * width * batch_size * dim + 6 * width * batch_size * outputs
    moved = 2 * 4 * width * (dim + outputs)
    return {"flops": flops, "bytes": moved, "intensity": flops / moved}


def time_cell(data, width: int, batch_size: int, products: dict[machine.Product, Callable], effort: Effort) -> tuple[dict, dict]:
    """Time one width and batch size: the largest differences of the contestants, and {(who, how): timing}.

    Args:
        data: a finite data set.
        width, batch_size: of the network and its steps.
        products: matrix products that take their turn too.
        effort: of the timing.

    Raises:
        UnequalWorkError: the contestants disagree.
        FloatingPointError: one of them diverged.
    """
    ours = Ours(data, width, batch_size, (STEP_SIZE,))
    start, indices = ours.particles(), ours.indices(CHECKED_STEPS)
    x, y = np.asarray(data.x), np.asarray(data.y)
    others = _peers(x, y, batch_size, width, data.outputs)
    differences = check_equal_work(ours, others, start, reference(*start, x, y, indices, STEP_SIZE), indices)

    runs: dict[tuple[str, str], Callable[[int], object]] = {("meanfield", ""): ours.run}
    for name, peer in others.items():
        for variant in peer.variants:
            for threads in peers.thread_counts():
                how = ", ".join(part for part in (variant, peers.threads_name(threads)) if part)
                runs[name, how] = partial(peer.run, variant=variant, threads=threads)
    runs |= {("copy", how): run for how, run in machine.copies(width * (data.dim + data.outputs)).items()}
    runs |= {("product", f"{library}, {size}"): run for (library, size), run in products.items()}
    ours.run(-CHECKED_STEPS % ours.stride)  # to the end of a window
    timings = alternate(runs, effort, {("meanfield", ""): ours.stride})
    finite = {"meanfield": ours.finite()} | {name: _finite(peer.particles()) for name, peer in others.items()}
    if not all(finite.values()):
        raise FloatingPointError(f"diverged at width {width}, batch size {batch_size}: {finite}")
    return differences, timings


def rates(needed: dict, timings: dict, flops_per_second: float, bytes_per_second: float) -> dict:
    """Rates, fractions of the roofline and ratios, of the best rounds and of the median ones.

    Args:
        needed: what `work` returned.
        timings: {(who, how): timing}.
        flops_per_second, bytes_per_second: peak of the machine, bandwidth of the working set.
    """
    best = {name: _best(timings, name) for name in CONTESTANTS}
    roof = {"compute": needed["flops"] / flops_per_second, "memory": needed["bytes"] / bytes_per_second}
    seconds = max(roof.values())
    contestants = {}
    for name in CONTESTANTS:
        found = best[name]
        contestants[name] = found and {
            "variant": found[0],
            "seconds": found[1].best,
            "seconds_median": found[1].median,
            "steps_per_second": 1 / found[1].best,
            "gflops": needed["flops"] / found[1].best / 1e9,
            "gbytes_per_second": needed["bytes"] / found[1].best / 1e9,
            "fraction_of_roofline": seconds / found[1].best,
        }
    ours = contestants["meanfield"]
    assert ours
    times_faster = {
        name: other and {"best": other["seconds"] / ours["seconds"], "median": other["seconds_median"] / ours["seconds_median"]}
        for name, other in contestants.items()
        if name != "meanfield"
    }
    return {
        **needed,
        "roofline": {
            "bytes_per_second": bytes_per_second,
            "flops_per_second": flops_per_second,
            "bound": max(roof, key=lambda name: roof[name]),
            "seconds": seconds,
        },
        "contestants": contestants,
        "times_faster": times_faster,
    }


def _peers(x, y, batch_size: int, width: int, outputs: int) -> dict[str, "peers.Autograd | peers.InPlace"]:
    if peers.device() is None:
        return {}
    kinds = {"torch autograd": peers.Autograd, "torch in place": peers.InPlace}
    return {name: kind(x, y, batch_size, STEP_SIZE, width, outputs) for name, kind in kinds.items()}


def _best(timings: dict, name: str) -> tuple[str, Timing] | None:
    """The fastest variant."""
    found = {how: timing for (who, how), timing in timings.items() if who == name}
    return min(found.items(), key=lambda item: item[1].best) if found else None


def _finite(arrays) -> bool:
    return all(bool(np.all(np.isfinite(v))) for v in arrays)


def reference(w, a, x, y, indices: np.ndarray, step_size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same steps in float64 numpy: weights afterwards (float32), and which neurons have a derivative that rounding cannot change.

    A pre-activation within rounding of 0 may fall on either side of relu's kink.
    """
    w, a, width = np.array(w, np.float64), np.array(a, np.float64), len(w)
    clear = np.ones(width, bool)
    for index in indices:
        inputs = x[index].astype(np.float64)
        z = w @ inputs.T
        clear &= (np.abs(z) > TOLERANCE).all(axis=1)
        h = np.maximum(z, 0)
        f = h.T @ a / width
        p = np.exp(f - f.max(axis=1, keepdims=True))
        residual = p / p.sum(axis=1, keepdims=True)
        residual[np.arange(len(index)), y[index]] -= 1
        slope = (a @ residual.T) * (z > 0)
        rate = step_size / len(index)
        w -= rate * slope @ inputs
        a -= rate * h @ residual
    return w.astype(np.float32), a.astype(np.float32), clear


def check_equal_work(ours: Ours, others: dict, start, expected, indices: np.ndarray) -> dict[str, float]:
    """Let every contestant take the same steps from the same weights; the largest difference of a weight from `expected`.

    Args:
        ours: at step 0; takes the first steps of its run.
        others: the peers, by name.
        start: weights at step 0.
        expected: what `reference` returned.
        indices: the examples of every step.

    Raises:
        UnequalWorkError: a weight differs by more than 1e-5.
    """
    *weights, clear = expected

    def difference(arrays):
        """Largest of all neurons but those at the kink."""
        return float(np.max([np.max(np.max(np.abs(v - e), axis=1)[clear]) for v, e in zip(arrays, weights, strict=True)]))

    ours.run(len(indices))
    differences = {"meanfield": difference(ours.particles())}
    for name, peer in others.items():
        for variant in peer.variants:
            peer.load(*start)
            for index in peer.x.new_tensor(indices, dtype=peer.y.dtype):
                peer.step(index, variant)
            differences[f"{name}: {variant}" if variant else name] = difference(peer.particles())
    unequal = {name: d for name, d in differences.items() if not d <= TOLERANCE}
    if unequal:
        raise UnequalWorkError(f"weights after {len(indices)} steps differ from the expected by {unequal}, more than {TOLERANCE}")
    return differences


def measure(widths, batch_sizes, dim: int, outputs: int, effort: Effort, sizes=None, say=print) -> tuple[dict, list[dict]]:
    """The peak of the machine, and all cells.

    A machine that others use too has good and bad minutes. So the two fastest matrix products take their turn in every cell, and the
    roofline is made of the best of the whole run: of all products, and of all copies of the same working set.

    Args:
        widths, batch_sizes, dim, outputs: of the networks.
        effort: of the timing.
        sizes: of the matrices whose products are timed.
        say: told what is being done.
    """
    products = machine.products(sizes)
    speeds = {name: machine.speed(name, timing) for name, timing in alternate(products, effort, {}).items()}
    fastest = sorted(speeds, key=lambda name: speeds[name])[-2:]
    data, timed, copies = synthetic(dim, outputs), {}, dict.fromkeys(widths, 0.0)
    for width in widths:
        for batch_size in batch_sizes:
            say(f"grid: width {width}, batch size {batch_size}")
            _, timings = timed[width, batch_size] = time_cell(
                data, width, batch_size, {name: products[name] for name in fastest}, effort
            )
            for name in fastest:
                again = timings["product", f"{name[0]}, {name[1]}"]
                speeds[name] = max(speeds[name], machine.speed(name, again))
            fastest_copy = min(timing.best for (who, _), timing in timings.items() if who == "copy")
            copies[width] = max(copies[width], 2 * 4 * width * (dim + outputs) / fastest_copy)
    peak = max(speeds.values())
    cells = []
    for (width, batch_size), (differences, timings) in timed.items():
        needed = work(width, batch_size, dim, outputs)
        cells.append(
            {"width": width, "batch_size": batch_size, "dim": dim, "outputs": outputs}
            | rates(needed, timings, peak, copies[width])
            | {"largest_difference": differences}
            | {"seconds": {f"{who}: {how}" if how else who: timing.as_dict() for (who, how), timing in timings.items()}}
        )
    every = {f"{library}, {size}": speed for (library, size), speed in speeds.items()}
    return {"flops_per_second": peak, "all": every}, cells
