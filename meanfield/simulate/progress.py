"""A progress bar with steps a second and the time left; silent when nobody watches."""

from contextlib import contextmanager


@contextmanager
def progress_bar(work: int, show: bool | None):
    """Yield `report(work_done, description, steps_per_second)`.

    Args:
        work: neuron-steps in all, so that the time left is right although wide networks step more slowly.
        show: True or False; None: only on a terminal.
    """
    from rich.console import Console  # here, so that the import of meanfield is light
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True, force_terminal=show)
    shown = console.is_terminal if show is None else show
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not shown, transient=True) as bar:
        task = bar.add_task("", total=work, speed="")

        def report(done: int, description: str, steps_per_second: float | None = None) -> None:
            speed = "compiling" if steps_per_second is None else f"{steps_per_second:,.0f} steps/s"
            bar.update(task, completed=done, description=description, speed=speed)

        yield report
