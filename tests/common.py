"""What tests of several rooms share."""

from typing import IO


def read_until(stream: IO[str], text: str) -> str:
    """Wait until another process has written `text`; all that it has written up to there."""
    seen = ""
    while text not in seen:
        piece = stream.read(1)
        assert piece, f"ended before {text!r}: {seen}"
        seen += piece
    return seen
