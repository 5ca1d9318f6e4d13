"""Work on other machines: what a worker checks before it begins, and how a cluster is reached."""

import socket
from contextlib import closing
from importlib import import_module
from pathlib import Path
from types import ModuleType

from geomem.errors import InputError
from geomem.sweep.engines.work import Outcome, Work, do_work
from geomem.version import find_version

CONNECT_SECONDS = 2.0
"""How long an address may take to answer; Ray itself would try for minutes."""


def do_sent(work: Work, version: str, place: str) -> Outcome:
    """Do a work that another machine sent, of that version, which keeps its results in that directory.

    Refused are other versions, whose results may differ, and machines that do not see the directory.

    >>> print(do_sent(Work(Path("/a"), 0, abs, seconds=1.0), "0.0.9", "/").error.partition(" has ")[2])
    geomem 0.1.0, this command 0.0.9; install the same version on every machine.
    """
    own, here = find_version(), socket.gethostname()
    if own != version:
        error = f"The worker {here} has geomem {own}, this command {version}"
        return Outcome(work.path, "refused", f"{error}; install the same version on every machine.")
    if not Path(place).is_dir():
        error = f"The worker {here} sees no directory {place}"
        return Outcome(work.path, "refused", f"{error}; give --directory a place on a disk that all share.")
    return do_work(work)


def sent(work: Work) -> tuple[Work, str, str]:
    """What `do_sent` takes for a work of this machine."""
    return work, find_version(), str(work.path.parent.absolute())


def describe_misfit(work: Work, error: BaseException) -> Outcome:
    """The outcome of a work that a worker could not even read."""
    lines = str(error).strip().splitlines() or [""]
    why = " ".join(f"{type(error).__name__.partition('(')[0]}: {lines[-1]}".split())
    advice = f"install geomem {find_version()} with the same Python and libraries on every machine"
    return Outcome(work.path, "refused", f"A worker could not read its work ({why}); {advice}.")


def import_engine(module: str, extra: str) -> ModuleType:
    """What an engine needs; raises `InputError` if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"The engine {extra} needs what is not installed here ({error}); install geomem[{extra}]."
        ) from None


def check_address(address: str, what: str, example: str, *, hello: bytes = b"", answer: bytes = b"") -> None:
    """Raise `InputError` unless something listens at an address, and answers a hello with what has the bytes
    `answer` after its first three.

    >>> check_address("localhost", "Ray cluster", "10.0.0.1:6379")
    Traceback (most recent call last):
    geomem.errors.InputError: The address 'localhost' is not HOST:PORT; write 10.0.0.1:6379, for one.
    """
    host, _, port = address.rpartition("://")[2].rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InputError(f"The address {address!r} is not HOST:PORT; write {example}, for one.")
    place = (host.strip("[]"), int(port))
    try:
        with closing(socket.create_connection(place, timeout=CONNECT_SECONDS)) as connection:
            connection.sendall(hello)
            said = connection.recv(9)
    except OSError as error:
        why = error.strerror or str(error)
    else:
        if said and said[3:].startswith(answer):
            return
        why = "what listens there speaks something else"
    raise InputError(f"No {what} answers at {address} ({why}); start one, or correct the address.")


def unusable(what: str, address: str, error: Exception) -> InputError:
    """The error for a cluster that answers but cannot be used."""
    why = " ".join(str(error).split()).partition(". ")[0].rstrip(".") or type(error).__name__
    return InputError(f"The {what} at {address} cannot be used ({why}); see to it and run this again.")
