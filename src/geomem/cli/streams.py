"""Standard output and error that never fail and carry no control characters but our own.

`guarded_streams` replaces both while a command runs, so that no verb needs to think of a reader that is gone,
of a full disk, or of labels and file names that would move a cursor.
"""

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def escape_controls(text: str) -> str:
    r"""A text with what moves a cursor, sets a colour or turns lines around as escapes.

    Line ends and tabs stay, and the marks that scripts written from right to left need. In JSON, which has no
    character below a blank, the escapes are JSON's own.

    >>> print(escape_controls("a\x1b[31m\u009b1m\u202eb"))
    a\x1b[31m\u009b1m\u202eb
    """
    return _CONTROL.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    return f"\\x{ord(character):02x}" if character < " " else f"\\u{ord(character):04x}"


class FailSafeStream:
    """A stream that drops what cannot be written, and all that follows."""

    def __init__(self, stream: Any):
        self.stream = stream
        self.failure: Exception | None = None
        """Why writing failed first."""

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        self._attempt(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        self._attempt(self.stream.flush)

    def refused(self) -> str:
        """Why the system did not take the output, if it did not; a reader that is gone wants no more."""
        self.flush()
        if not isinstance(self.failure, OSError) or isinstance(self.failure, BrokenPipeError):
            return ""
        return self.failure.strerror or str(self.failure)

    def _attempt(self, write: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            write()
        except (OSError, ValueError) as error:  # ValueError where it is closed
            self.failure = error
            try:  # what the stream still holds must not fail again when the interpreter ends
                with open(os.devnull, "w") as nowhere:
                    os.dup2(nowhere.fileno(), self.stream.fileno())
            except (OSError, ValueError):
                pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class EscapingStream:
    """A stream that shows control characters as escapes; `styled` is the same one for what has codes."""

    def __init__(self, styled: FailSafeStream):
        self.styled = styled

    def write(self, text: str) -> int:
        """Write a text, its control characters as escapes."""
        self.styled.write(escape_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.styled, name)


@contextmanager
def guarded_streams() -> Iterator[FailSafeStream]:
    """Guard standard output and error meanwhile; gives the former."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # else the next file that is opened would be the output
            os.open(os.devnull, os.O_RDWR)
    with open(os.devnull, "w") as nowhere:
        output, errors = (_guard(stream or nowhere) for stream in (sys.stdout, sys.stderr))
        with redirect_stdout(output), redirect_stderr(errors):  # pyright: ignore[reportArgumentType]
            try:
                yield output.styled
            finally:
                output.flush()
                errors.flush()


def _guard(stream: Any) -> EscapingStream:
    if isinstance(stream, io.TextIOWrapper):
        # Labels are in any script and some terminals are not: show an escape, never fail.
        stream.reconfigure(errors="backslashreplace")
    return EscapingStream(FailSafeStream(stream))


def styled_stream(stream: Any) -> Any:
    """The stream behind a guarded one, for texts whose codes are ours."""
    return stream.styled if isinstance(stream, EscapingStream) else stream
