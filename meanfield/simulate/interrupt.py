"""Ctrl-C: a flag that the host loop reads between chunks, and how many steps all processes take next."""

import signal
import threading
from contextlib import contextmanager

from meanfield.simulate import mesh as meshes


class Clock:
    """How many steps to take next. All processes must take the same number, or their sums over the neurons would not meet."""

    def __init__(self, mesh, interrupted: threading.Event):
        self._mesh, self._interrupted = mesh, interrupted

    def agree(self, steps: int) -> int:
        """The steps that process 0 wants to take; 0 if Ctrl-C was pressed in any process."""
        wishes = meshes.agreed(self._mesh, steps, int(self._interrupted.is_set()))
        return 0 if wishes[:, 1].any() else int(wishes[0, 0])


@contextmanager
def interrupt_flag():
    """Yield an event that Ctrl-C sets. A second Ctrl-C interrupts at once.

    A flag, not an exception: an exception between the start of a chunk and its assignment would lose the donated state.
    """
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def set_flag(number, frame):
        flag.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, set_flag) or signal.SIG_DFL
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)
