"""Files that no crash leaves half-written and no link leads astray: one way to write, one check to read.

Whatever is written is written in a new directory of a random name beside its place, flushed to the disk and
renamed into place. While its process lives it holds that directory by a lock; what a killed process left is
removed by the next one that writes in the same place.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what only writes texts need not wait for it
    import polars as pl

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove what another process has open
    fcntl = None

from geomem.errors import InputError

Writer = Callable[[Path], object]
"""Writes the whole content of one file, or of one directory."""

PARTIAL = re.compile(r"\.geomem-[0-9a-f]{16}\.partial")
"""Name of a directory for what is being written."""


def replace_file(path: Path, write: Writer) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk, then rename it into place.

    Whoever reads `path`, after a crash or a power cut too, finds the former file or the whole new one, and
    of two processes that write it one wins. Nothing is written through a link. Raises `InputError` where the
    disk is full or refuses, and where `path` is a link, a directory or a device; it stays as it was then.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     replace_file(Path(folder) / "a.txt", text_file("whole"))
    ...     sorted(os.listdir(folder)), (Path(folder) / "a.txt").read_text()
    (['a.txt'], 'whole')
    """
    with system_errors(path, "written"):
        check_replaceable(path)
        with partial_directory(path.parent) as folder:
            partial = folder / path.name
            write(partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        sync_directory(path.parent)


def write_whole(directory: Path, write: Writer) -> None:
    """Let `write` fill a new directory beside `directory`, then rename it into place.

    Raises `InputError` where the disk is full or refuses, and where `directory` exists and is not empty.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "new", lambda path: replace_file(path / "a.txt", text_file("whole")))
    ...     os.listdir(folder), os.listdir(Path(folder) / "new")
    (['new'], ['a.txt'])
    """
    check_name(directory)
    with system_errors(directory, "written"):
        if directory.is_symlink():
            raise InputError(f"{directory} is a link; give the place itself.")
        directory.parent.mkdir(parents=True, exist_ok=True)
        with partial_directory(directory.parent) as folder:
            partial = folder / directory.name
            partial.mkdir()
            try:
                write(partial)
            except InputError as error:  # of a file whose place nobody knows
                raise InputError(str(error).replace(str(partial), str(directory))) from error
            sync_directory(partial)
            os.replace(partial, directory)
        sync_directory(directory.parent)


def check_name(path: Path) -> None:
    """Raise `InputError` for a name that is not UTF-8: what writes tables and arrays takes none."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"The name {path} is not valid UTF-8; give a place whose name is.") from None


def check_replaceable(path: Path) -> None:
    """Raise `InputError` where a file cannot be put: at a link, a directory, a pipe or a device."""
    check_name(path)
    with system_errors(path, "written"):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if S_ISDIR(mode):
            raise InputError(f"{path} is a directory; give the name of a file.")
        if S_ISLNK(mode):
            raise InputError(f"{path} is a link; give the place that it leads to.")
        if not S_ISREG(mode):
            raise InputError(f"{path} is a device or a pipe; give the name of a file.")


def check_place(path: Path) -> None:
    """Raise `InputError` where a file could not be put with its missing directories: before the work begins.

    An empty one of that name is made beside its place, and removed.

    >>> check_place(Path("/dev/null"))
    Traceback (most recent call last):
    geomem.errors.InputError: /dev/null is a device or a pipe; give the name of a file.
    """
    check_replaceable(path)
    with system_errors(path, "written"):
        place = path.absolute()
        parent = next(parent for parent in place.parents if os.path.lexists(parent))
        with partial_directory(parent) as folder:
            trial = folder / place.relative_to(parent)
            make_parent(trial)
            trial.touch()


def make_parent(path: Path) -> None:
    """Make the directory that a file goes to; raises `InputError` where it cannot be made."""
    with system_errors(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def partial_directory(parent: Path) -> Iterator[Path]:
    """A new directory in `parent` for what is being written; it is gone at the end, whatever happens.

    Its name is random and the directory this process's alone, so that nobody can put a link in it.
    """
    remove_leftovers(parent)
    folder = parent / f".geomem-{secrets.token_hex(8)}.partial"
    while True:
        folder.mkdir(mode=0o700)
        held = _hold(folder, wait=True)
        if folder.exists():  # else another process found it before it was held, and removed it
            break
        _release(held)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _release(held)


def _hold(folder: Path, *, wait: bool) -> int | None:
    """Lock a directory for as long as this process has it open; None if another holds it or it is gone."""
    if fcntl is None:
        return None
    held = None
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        _release(held)
        return None
    return held


def _release(held: int | None) -> None:
    if held is not None:
        os.close(held)


@cache
def remove_leftovers(parent: Path) -> None:
    """Remove, once per process, what killed processes left half-written in a directory."""
    with suppress(OSError):
        names = [entry.name for entry in os.scandir(parent) if PARTIAL.fullmatch(entry.name)]
        for name in names:
            if (held := _hold(parent / name, wait=False)) is not None:
                shutil.rmtree(parent / name, ignore_errors=True)
                _release(held)


def sync_directory(path: Path) -> None:
    """Flush a directory, so that renames in it outlive a power cut."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def system_errors(path: str | os.PathLike[str], verb: str) -> Iterator[None]:
    """Make what the system refuses meanwhile an `InputError` that names the place; `verb` is a participle.

    Where a directory is read, the file in it is named.

    >>> with system_errors("a/b", "read"):
    ...     raise PermissionError(errno.EACCES, "Permission denied")
    Traceback (most recent call last):
    geomem.errors.InputError: a/b could not be read (Permission denied); see to it and run this again.
    """
    try:
        yield
    except OSError as error:
        place, within = os.fspath(path), error.filename
        if verb == "read" and isinstance(within, str) and within.startswith(f"{place}{os.sep}"):
            place = within
        raise InputError(describe_system_error(error, place, verb)) from error


def describe_system_error(
    error: OSError, path: str | os.PathLike[str] | None = None, verb: str = "used"
) -> str:
    """One sentence on what the system refused; of the place that the error names, if none is given.

    >>> describe_system_error(PermissionError(errno.EACCES, "Permission denied", "a/b"))
    'a/b could not be used (Permission denied); see to it and run this again.'
    """
    place = error.filename if path is None else path
    place = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        meanwhile = f" while {place} was {verb}" if place else ""
        return f"The disk became full{meanwhile}; free some space and run this again."
    why = error.strerror or str(error)
    return f"{place or 'Something'} could not be {verb} ({why}); see to it and run this again."


def existing_place(path: Path) -> Path:
    """A path, or the nearest directory above it that is there.

    >>> existing_place(Path("/no/such/place"))
    PosixPath('/')
    """
    path = path.absolute()
    return next(place for place in [path, *path.parents] if place.exists())


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether something is at a path, as far as the system says; a name that no file can have names nothing.

    >>> is_there("."), is_there("a" * 300)
    (True, False)
    """
    try:
        os.stat(path)
    except ValueError:
        return False
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP)
    return True


def check_plain_file(path: Path, *, links: bool = False) -> os.stat_result:
    """The status of a plain file; raises `InputError` for anything else, before it is opened.

    Links are refused too unless `links`: in a directory that a stranger may have written they would lead out
    of it; among a person's own files they are as good as what they lead to.
    """
    with system_errors(path, "read"):
        try:
            status = path.stat() if links else path.lstat()
        except FileNotFoundError:
            raise InputError(f"There is no file {path}; give one that exists.") from None
        except ValueError:  # a NUL, or half a surrogate pair
            raise InputError(f"{str(path)!r} is not a name that a file can have; give another.") from None
    if S_ISLNK(status.st_mode):
        raise InputError(f"{path} is a link; give the file that it leads to.")
    if S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a directory; give a file.")
    if not S_ISREG(status.st_mode):
        raise InputError(f"{path} is a device or a pipe; write its content to a file and give that.")
    return status


def read_bytes(path: Path, limit: int, *, links: bool = False) -> bytes:
    """The content of a plain file of at most `limit` bytes; raises `InputError` for any other."""
    if check_plain_file(path, links=links).st_size > limit:
        raise InputError(f"{path} is larger than {limit:,} bytes; give a smaller file.")
    with system_errors(path, "read"), path.open("rb") as file:
        return file.read(limit)


def text_file(text: str) -> Writer:
    """Writes a text, with line ends as they are."""
    return lambda path: path.write_text(text, encoding="utf-8", newline="\n")


def json_file(content: Any) -> Writer:
    """Writes JSON for people: indented, in any script, no NaN."""
    return text_file(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def csv_file(table: "pl.DataFrame") -> Writer:
    """Writes a table as CSV for people, whose spreadsheets run a text that begins like a formula.

    Such a text, unless it is a number, gets an apostrophe before it (OWASP, CSV injection).
    Files that geomem reads again, as `write_facts` makes them, say labels as they are.

    >>> import polars as pl, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     replace_file(Path(folder) / "a.csv", csv_file(pl.DataFrame({"node": ["=1+1", "-5", "Ada"]})))
    ...     (Path(folder) / "a.csv").read_text().split()
    ['node', "'=1+1", '-5', 'Ada']
    """
    import polars as pl

    text = pl.col(pl.String)
    number = text.str.contains(r"^[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?$")
    formula = text.str.contains("^[=+@\t\r\n-]") & ~number
    safe = table.with_columns(pl.when(formula).then("'" + text).otherwise(text).name.keep())
    return safe.write_csv


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people; renamed into place."""
    replace_file(path, json_file(content))


def fingerprint(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, as `DONE` lists them."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
