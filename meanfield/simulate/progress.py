"""A progress bar with steps a second and the time left; without a terminal a plain line a minute."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SILENCE = 60.0  # seconds between two plain lines


@contextmanager
def progress_bar(work: int, show: bool | None) -> Iterator:
    """Yield `report(work_done, description, steps_per_second)`. A terminal that goes away stops the bar, and not the run.

    Args:
        work: neuron-steps in all, so that the time left is right although wide networks step more slowly.
        show: True: a bar. False: nothing. None: a bar on a terminal, else a line on standard error once a minute.
    """
    from rich.console import Console  # here, so that the import of meanfield is light
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True, force_terminal=show)
    if show is False or (show is None and not console.is_terminal):
        yield _lines(work) if show is None else lambda *_: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("", total=work, speed="")

    def report(done: int, description: str, steps_per_second: float | None = None) -> None:
        speed = "compiling" if steps_per_second is None else f"{steps_per_second:,.0f} steps/s"
        with suppress(OSError, ValueError):  # of a stream that is gone, or closed
            bar.update(task, completed=done, description=description, speed=speed)

    with suppress(OSError, ValueError):
        bar.start()
    try:
        yield report
    finally:
        with suppress(OSError, ValueError):
            bar.stop()


def _lines(work: int):
    """A report that writes one plain line a minute; the first after a minute."""
    start = last = time.monotonic()
    begun: int | None = None  # more than 0 in a run that goes on

    def report(done: int, description: str, steps_per_second: float | None = None) -> None:
        nonlocal last, begun
        now, begun = time.monotonic(), done if begun is None else begun
        if now - last < SILENCE or steps_per_second is None or done == begun:
            return
        last, share = now, done / work
        left = (now - start) * (work - done) / (done - begun)
        with suppress(OSError, ValueError):
            print(
                f"{description}: {share:.0%}, {steps_per_second:,.0f} steps/s, {left / 60:.0f} min left",
                file=sys.stderr,
                flush=True,
            )

    return report
