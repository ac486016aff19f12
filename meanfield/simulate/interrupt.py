"""Signals that stop: a flag that the host loop reads between chunks, and how many steps all processes take next."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from meanfield.simulate import mesh as meshes

# What a terminal, a scheduler that wants its machine back, one that warns, and a connection that is lost send.
NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or another signal that stops: what is done is kept.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT):
        super().__init__("The run was stopped before its last step; what it has is kept.")
        self.number = int(number)


def exit_status(stop: KeyboardInterrupt) -> int:
    """What a program that a signal stopped ends with, 128 and the number of the signal: 130 for Ctrl-C, 143 for SIGTERM.

    Examples:
        >>> exit_status(KeyboardInterrupt()), exit_status(Interrupted(15))
        (130, 143)
    """
    return 128 + (stop.number if isinstance(stop, Interrupted) else signal.SIGINT)


class Flag:
    """The number of the signal that stops; 0 as long as none does."""

    number = 0


class Clock:
    """How many steps to take next. All processes must take the same number, or their sums over the neurons would not meet."""

    def __init__(self, mesh, flag: Flag):
        self._mesh, self._flag = mesh, flag
        self.number = 0
        """Of the signal that stopped some process."""

    def agree(self, steps: int) -> int:
        """The steps that process 0 wants to take; 0 if a signal stops any process."""
        wishes = meshes.agreed(self._mesh, steps, self._flag.number)
        self.number = int(wishes[:, 1].max())
        return 0 if self.number else int(wishes[0, 0])


@contextmanager
def interrupt_flag() -> Iterator[Flag]:
    """Yield a flag that Ctrl-C and its like set. The same signal once more acts at once.

    A flag, not an exception: an exception between the start of a chunk and its assignment would lose the donated state.
    """
    flag = Flag()

    def raised(number, frame):
        flag.number = number
        signal.signal(number, before[number])

    with _handled(raised) as before:
        yield flag


@contextmanager
def interrupting() -> Iterator[None]:
    """Within it, a signal that stops raises `Interrupted`, as Ctrl-C raises KeyboardInterrupt: for programs."""

    def raised(number, frame):
        raise Interrupted(number)

    with _handled(raised):
        yield


@contextmanager
def _handled(handler) -> Iterator[dict]:
    """The handler in the place of those before, which it yields. Signals that are ignored stay so, SIGHUP under `nohup`, but Ctrl-C."""
    before: dict = {}
    if threading.current_thread() is threading.main_thread():
        heard = [n for n in SIGNALS if n == signal.SIGINT or signal.getsignal(n) is not signal.SIG_IGN]
        before = {number: signal.signal(number, handler) or signal.SIG_DFL for number in heard}
    try:
        yield before
    finally:
        for number, one in before.items():
            signal.signal(number, one)
