"""One line of the speed table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was timed, our figure beside theirs, and the promise it is held to."""

    what: str
    ours: str
    theirs: str = ""
    ratio: float | None = None
    """Ours over theirs in runs (or steps) per second, both timed in this process one after the other."""
    required: str = ""
    holds: bool | None = None
    """Whether the promise is kept; None where none is made."""
