"""Everything that is timed, in one process, with this machine's limits and other people's way beside it.

    python -m benchmarks.run --out DIR [--quick]

writes into DIR: benchmarks.json, table.md, roofline.png; and prints the tables.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from benchmarks import grid, machine, peers, sections
from benchmarks.timing import Effort
from meanfield import _check, _files
from sims import _job, _tables

SECTIONS = ("grid", "ensembles", "recursion", "estimators", "width", "steps", "memory", "main_job")
_say = partial(Console(stderr=True).print, style="dim")
Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


@dataclass(frozen=True, kw_only=True)
class Config(_job.Sized):
    """Speed and memory of this project, beside torch and beside the roofline of the machine, all measured in turn."""

    out: Path = Path("out/bench")
    """Directory for the results; made if it is not there."""
    sections: tuple[str, ...] = SECTIONS
    """What to measure."""
    widths: tuple[int, ...] = (256, 4096, 65536)
    """Numbers of neurons of the grid."""
    batch_sizes: tuple[int, ...] = (1, 4, 10, 32, 100)
    """Examples a step of the grid."""
    dim: int = 784
    """Length of an input."""
    outputs: int = 10
    """Number of classes."""
    rounds: int = 3
    """How often every contestant has its turn."""
    seconds: float = 0.3
    """Shortest time of a turn; that of a chunk of `mf.simulate`."""
    earlier: Path | None = None
    """File of benchmarks.main_job of an earlier revision, to stand beside the main job."""
    quick: bool = False
    """A small run, to see that everything works; it also takes smaller sizes in the other sections."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, widths=(64,), batch_sizes=(2,), dim=16, rounds=2, seconds=0.01)


def measure(config: Config) -> dict:
    """All sections; nothing is written."""
    for name in config.sections:
        _check.choice("sections", name, SECTIONS)
    for name in ("dim", "outputs", "rounds"):
        _check.integer(name, getattr(config, name), at_least=1)
    for name in ("widths", "batch_sizes"):
        _check.integers(name, getattr(config, name), at_least=1)
    _check.number("seconds", config.seconds, "be a number >= 0", lambda v: v >= 0)
    earlier = config.earlier is None or config.earlier.is_file()
    _check.require(earlier, "earlier", "be a file written by benchmarks.main_job", _check.words(str(config.earlier)))
    quick = config.quick
    effort = Effort(config.rounds, config.seconds)
    widths, batch_sizes, dim = config.widths, config.batch_sizes, config.dim
    found: dict = {"machine": machine.describe(), "about": ABOUT}

    def section(name, run):
        if name in config.sections:
            _say(name)
            start = time.perf_counter()
            found[name] = run()
            found.setdefault("section_seconds", {})[name] = time.perf_counter() - start

    def steps_grid():
        sizes = (256,) if quick else None
        found["peak"], cells = grid.measure(widths, batch_sizes, dim, config.outputs, effort, sizes, _say)
        return cells

    cells, dims = ((1, 4), (16,)) if quick else ((1, 4, 16, 64, 256), (64, 784))
    section("grid", steps_grid)
    section("ensembles", lambda: sections.ensembles(cells, 16 if quick else 256, dims, config.outputs, effort))
    section("recursion", lambda: sections.recursion(quick))
    section("estimators", lambda: sections.estimators((1000,) if quick else (10**4, 10**5, 10**6), 1 if quick else 3))
    many = (16, 64) if quick else tuple(4**k for k in range(4, 10))
    section("width", lambda: sections.against_width(many, dim, config.outputs, effort))
    lengths = (100, 200) if quick else (40_000, 80_000, 160_000, 320_000)
    section("steps", lambda: sections.against_steps(16 if quick else 256, dim, lengths))
    section("memory", lambda: [sections.memory(width, dim) for width in ((64,) if quick else (4096, 65536))])
    section("main_job", lambda: sections.main_job(quick, config.earlier))
    return found


ABOUT = {
    "flops": "4 N b d + 6 N b k a step: two products of the forward pass and three of the gradient",
    "bytes": "particles read once and written once a step, 8 N (d + k)",
    "seconds": "of one unit of work; best and median of the rounds; contestants take turns; compilation is not in it",
    "roofline": "the larger of flops / peak of square matrix products and bytes / copy bandwidth of the same working set; of both "
    "the best of the whole run",
    "fraction_of_roofline": "seconds of the roofline / best seconds measured",
    "above_1": "possible: several steps are taken in one trip of the particles through memory, where the roofline counts a trip a step",
    "times_faster": "seconds of the other / ours, of the best rounds and of the medians; above 1 we are faster",
    "variant": "the fastest of all spellings and thread counts that were tried; `seconds` holds all of them",
    "largest_difference": f"of a weight from float64 numpy after {grid.CHECKED_STEPS} steps: contestants do the same work",
    "compile_seconds": "tracing, lowering and compiling, as jax reports them",
}
NOTES = (
    "Every number is that of the best round; ratios of the medians in brackets. Contestants took turns in one process.",
    "More than 100 % of the roofline is possible: several steps are taken in one trip of the particles through memory, where the roofline "
    "counts a trip a step.",
)


def tables(found: dict) -> list[Table]:
    """What was measured, for the terminal and for table.md."""
    kinds = {"grid": _grid_tables, "ensembles": _ensembles, "recursion": _recursion, "estimators": _estimators}
    kinds |= {"width": _width, "steps": _steps, "memory": _memory, "main_job": _main_job}
    return [table for name, make in kinds.items() if found.get(name) for table in make(found[name])]


def _grid_tables(cells: list[dict]) -> list[Table]:
    speeds, ratios = [], []
    for cell in cells:
        where = f"{cell['width']:,}", f"{cell['batch_size']}"
        for name in grid.CONTESTANTS:
            if one := cell["contestants"][name]:
                rates = f"{one['gflops']:.1f}", f"{one['gbytes_per_second']:.1f}"
                part = f"{one['fraction_of_roofline']:.0%}"
                speeds.append((*where, name, f"{one['steps_per_second']:,.0f}", *rates, part, one["variant"]))
        roof = cell["roofline"]
        others = [cell["times_faster"][name] for name in grid.CONTESTANTS[1:]]
        ratios.append(
            (
                *where,
                f"{cell['contestants']['meanfield']['steps_per_second']:,.0f}",
                f"{cell['contestants']['meanfield']['fraction_of_roofline']:.0%}",
                *(f"{other['best']:.2f} ({other['median']:.2f})" if other else "" for other in others),
                roof["bound"],
                f"{1 / roof['seconds']:,.0f}",
                f"{roof['bytes_per_second'] / 1e9:.1f}",
            )
        )
    peak = cells[0]["roofline"]["flops_per_second"] / 1e9
    sizes = f"d = {cells[0]['dim']}, k = {cells[0]['outputs']}"
    return [
        (
            f"Ours, beside peers and the roofline ({sizes}; peak {peak:.0f} GFLOP/s)",
            (
                "N",
                "b",
                "steps/s",
                "of roofline",
                *(f"times faster than {name}" for name in grid.CONTESTANTS[1:]),
                "bound",
                "roofline, steps/s",
                "copy, GB/s",
            ),
            ratios,
        ),
        (f"Every contestant ({sizes})", ("N", "b", "who", "steps/s", "GFLOP/s", "GB/s", "of roofline", "how"), speeds),
    ]


def _ensembles(rows: list[dict]) -> list[Table]:
    columns = ("d", "N", "b", "cells", "cell-steps/s", "times that of one cell")
    body = [
        (
            *(str(row[name]) for name in ("dim", "width", "batch_size", "cells")),
            f"{row['cell_steps_per_second']:,.0f}",
            f"{row['ratio_to_first']:.2f}",
        )
        for row in rows
    ]
    return [("Ensembles", columns, body)]


def _recursion(found: dict) -> list[Table]:
    rows = found.get("rows", [])
    if not rows:
        return []
    return [("Linear recursion", tuple(rows[0]), [[_short(value) for value in row.values()] for row in rows])]


def _short(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _estimators(rows: list[dict]) -> list[Table]:
    sizes = sorted({row["n"] for row in rows})
    seconds = {(row["estimator"], row["n"]): f"{row['seconds']:.3g}" for row in rows}
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    body = [(name, *(seconds.get((name, n), "") for n in sizes)) for name in names]
    return [("Seconds of estimators", ("estimator", *(f"n = {n:,}" for n in sizes)), body)]


def _width(found: dict) -> list[Table]:
    steepness = ["", *(f"{value:.2f}" for value in found["exponents"])]
    body = [
        (f"{row['width']:,}", f"{1e6 * row['seconds']['best']:,.0f}", one)
        for row, one in zip(found["rows"], steepness, strict=True)
    ]
    return [
        (f"Cost against width, b = 1: exponent {found['exponent']:.2f}", ("N", "µs/step", "exponent from the one before"), body)
    ]


def _steps(found: dict) -> list[Table]:
    body = [(f"{row['steps']:,}", f"{row['seconds']:.2f}", f"{row['peak_bytes'] / 1e6:,.0f}") for row in found["rows"]]
    title = f"Cost against steps: {found['largest_departure']:.1%} from a line at most, memory {found['memory_growth']:+.1%}"
    return [(title, ("steps", "seconds", "peak MB"), body)]


def _memory(rows: list[dict]) -> list[Table]:
    columns = ("N", "b", "state, MB", "data, MB", "compiled chunk", "process, after init", "process, after steps")
    body = [
        (
            f"{row['width']:,}",
            str(row["batch_size"]),
            *(f"{row[name] / 1e6:.1f}" for name in ("state", "data")),
            *(f"{row[name]:.2f}" for name in ("chunk_ratio", "process_init", "process_advance")),
        )
        for row in rows
    ]
    return [("Peak memory of one run, in units of particles + state + data", columns, body)]


def _main_job(found: dict) -> list[Table]:
    body = [
        (
            f"{row['width']:,}",
            f"{row['seconds']:.1f}",
            f"{row['compile_seconds']:.1f}",
            f"{row['cell_steps_per_second']:,.0f}",
            *([f"{row['seconds_earlier']:.1f}"] if row.get("seconds_earlier") else []),
        )
        for row in found["rows"]
    ]
    columns = (
        "N",
        "seconds",
        "of them compiling",
        "cell-steps/s",
        *(["seconds, earlier revision"] if "earlier" in found else []),
    )
    body = [(*row, *[""] * (len(columns) - len(row))) for row in body]
    return [(f"Main job: {found['seconds']:.0f} s, of them compiling {found['compile_seconds']:.1f} s", columns, body)]


def markdown(made: list[Table], notes: Sequence[str]) -> str:
    """The tables in Markdown, and the notes under them."""
    parts = []
    for title, columns, rows in made:
        lines = [columns, ["---:"] * len(columns), *rows]
        parts.append(f"**{title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join([*parts, *notes]) + "\n"


# Marker, line and shade differ, so that greyscale keeps them apart.
_LOOKS: dict[str, dict[str, Any]] = {
    "meanfield": {"color": "black", "marker": "o", "linestyle": "-"},
    "torch in place": {"color": "0.45", "marker": "s", "linestyle": "--"},
    "torch autograd": {"color": "0.7", "marker": "^", "linestyle": ":"},
}


def plot(found: dict) -> Figure:
    """A column a width: attained GFLOP/s under the roof of that working set, and fractions of the roofline."""
    cells = found["grid"]
    widths = sorted({cell["width"] for cell in cells})
    figure = Figure(figsize=(4.2 * len(widths) + 0.6, 7.2), layout="constrained")
    axes = figure.subplots(2, len(widths), sharey="row", squeeze=False)
    for (top, bottom), width in zip(axes.T, widths, strict=True):
        of_width = sorted((cell for cell in cells if cell["width"] == width), key=lambda cell: cell["batch_size"])
        _roofline(top, of_width)
        _fractions(bottom, of_width)
        megabytes = of_width[0]["bytes"] / 2e6
        top.set_title(f"N = {width:,}: {megabytes:,.1f} MB", loc="left", fontsize="medium")
    for ax in axes[:, 0]:  # room for the labels
        low, high = ax.get_ylim()
        ax.set_ylim(low * (low / high) ** 0.15, high)
    axes[0, 0].set_ylabel("GFLOP/s")
    axes[1, 0].set_ylabel("part of the roofline")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    about = found["machine"]
    figure.suptitle(f"{about['processor'] or about['device']}, {about['cores']} cores; {about['device']}", fontsize="small")
    return figure


def _roofline(ax: Axes, cells: list[dict]) -> None:
    intensity = np.array([cell["intensity"] for cell in cells])
    line = np.geomspace(intensity[0] / 2, intensity[-1] * 2, 200)
    roof = cells[0]["roofline"]
    label = "roof: matrix products, copies of the working set"
    ax.plot(
        line,
        np.minimum(roof["flops_per_second"], roof["bytes_per_second"] * line) / 1e9,
        color="black",
        linewidth=2.2,
        alpha=0.35,
        label=label,
    )
    for name, look in _LOOKS.items():
        points = [(cell["intensity"], one["gflops"]) for cell in cells if (one := cell["contestants"][name])]
        if points:
            ax.plot(*np.transpose(points), label=name, markersize=5, linewidth=1, **look)
    for cell in cells:
        _below(ax, cell["intensity"], f"b={cell['batch_size']}")
    ax.set(xscale="log", yscale="log", xlabel="FLOP/byte")
    ax.grid(alpha=0.2, which="both")


def _below(ax: Axes, x: float, text: str) -> None:
    """A label at the lower edge, away from the curves."""
    ax.text(x, 0.02, text, transform=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize="x-small")


def _fractions(ax: Axes, cells: list[dict]) -> None:
    for name, look in _LOOKS.items():
        points = [(cell["batch_size"], one["fraction_of_roofline"]) for cell in cells if (one := cell["contestants"][name])]
        if points:
            ax.plot(*np.transpose(points), label=name, markersize=5, linewidth=1, **look)
    for cell in cells:
        others = [cell["times_faster"][name] for name in ("torch in place", "torch autograd")]
        _below(ax, cell["batch_size"], "\n".join(f"{other['best']:.1f}x" if other else "" for other in others))
    ax.axhline(1, color="black", linewidth=2.2, alpha=0.35)
    batch_sizes = [cell["batch_size"] for cell in cells]
    ax.set(xscale="log", yscale="log", xlabel="batch size b (below: times faster than torch in place, autograd)")
    ax.xaxis.label.set_fontsize("small")
    ax.set_xticks(batch_sizes, [str(b) for b in batch_sizes])
    ax.minorticks_off()
    ax.margins(x=0.08)
    ax.grid(alpha=0.2)


def main(config: Config) -> int:
    """Measure, write and print everything; 0."""
    with _check.own_directory("out", config.out) as out:
        return _into(out, config)


def _into(out: Path, config: Config) -> int:
    start = time.perf_counter()
    if peers.device() is None:
        _say("no torch for this device: the columns of the peers stay empty (pip install -e '.[bench]')")
    found = measure(config)
    made = tables(found)
    _files.write_json(out / "benchmarks.json", _files.manifest(dataclasses.asdict(config)) | found)
    notes = NOTES if found.get("grid") else ()
    _files.write_text(out / "table.md", markdown(made, notes))
    written = "benchmarks.json, table.md"
    if found.get("grid"):
        plot(found).savefig(out / "roofline.png", dpi=160)
        written += ", roofline.png"
    _tables.show(
        [_tables.table(*table) for table in made], *notes, f"{time.perf_counter() - start:.0f} s. Written to {out}: {written}"
    )
    return 0


if __name__ == "__main__":
    _job.command(Config, main)
