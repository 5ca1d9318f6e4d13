"""Failures of the system or of a file as one sentence, and signals that end a command as Ctrl-C does."""

import errno
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from geomem.errors import InputError
from geomem.files import describe_system_error

SIGNALS = ("SIGTERM", "SIGHUP")
"""What ends a command as Ctrl-C does, where the system has it: a job's end, a terminal that is gone."""

FILE_ERRORS = {
    "zipfile": "a zip file",
    "zlib": "a compressed file",
    "_lzma": "a compressed file",
    "safetensors": "a .safetensors file",
    "polars": "a table",
}
"""What the errors of a library are about, by the module that has them; importing it would take its time."""


_NO_MEMORY = re.compile(r"(allocate|out of|enough) memory|bad_alloc")
_CARD_MEMORY = re.compile(r"CUDA out of memory\. (Tried to allocate [\d.]+ \w+)")


def describe_failure(error: BaseException) -> str:
    """What to do about an error that a person or the system caused; nothing for a defect of geomem.

    >>> describe_failure(MemoryError("Unable to allocate 7 GiB"))
    'The memory did not suffice (Unable to allocate 7 GiB); close other programs, or ask for less.'
    >>> describe_failure(KeyError("width"))
    ''
    """
    said = " ".join(str(error).split()) or type(error).__name__
    match error:
        case InputError():
            return str(error)
        case OSError():
            return describe_system_error(error)
        case MemoryError():
            return _too_little_memory(said)
        case RuntimeError() if asked := _CARD_MEMORY.match(said):  # as torch says it of a card
            return (
                f"The card's memory did not suffice ({asked[1]}); end other programs on it, or ask for fewer "
                "seeds or a smaller width."
            )
        case RuntimeError() if _NO_MEMORY.search(said):  # as torch says it
            return _too_little_memory(said.partition("DefaultCPUAllocator: ")[2] or said)
        case RecursionError():
            return "Something given is nested deeper than can be followed; give what is flatter."
        case UnicodeError():
            return f"A name or a file is not valid UTF-8 ({said}); write it in UTF-8."
        case OverflowError():
            return f"A number is greater than can be computed with ({said}); give a smaller one."
        case ValueError() if "embedded null" in said:
            return "A name has a null character in it; give one without."
    if "os error 28" in said:  # a full disk, which libraries in Rust hand on as text
        return describe_system_error(OSError(errno.ENOSPC, said))
    if kind := FILE_ERRORS.get(type(error).__module__.partition(".")[0]):
        return f"What should be {kind} cannot be read ({said}); give a whole one."
    return ""


def _too_little_memory(said: str) -> str:
    return f"The memory did not suffice ({said}); close other programs, or ask for less."


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what runs meanwhile as Ctrl-C does, unless they are ignored (nohup)."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = {}
    if threading.current_thread() is threading.main_thread():  # no other thread hears signals
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        former = {
            number: signal.signal(number, interrupt)
            for number in numbers
            if signal.getsignal(number) is signal.SIG_DFL
        }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
