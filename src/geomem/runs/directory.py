"""Run directories: complete with their `DONE`, locked by who writes, read as if a stranger wrote them.

`geomem.files` says how files are written. A directory is complete when it has its `DONE`, which lists size
and SHA-256 of every other file and is written last. No pickle.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from geomem.errors import InputError
from geomem.files import (
    PARTIAL,
    Writer,
    check_name,
    check_plain_file,
    existing_place,
    fingerprint,
    replace_file,
    system_errors,
    write_json,
)

FORMAT = 1
"""Version of a directory's layout; a reader refuses any other."""

MANIFEST, DONE = "manifest.json", "DONE"
WORLD, VOCABULARY, FACTS = "world.json", "vocabulary.json", "facts.json"
METRICS, WEIGHTS, SNAPSHOTS = "metrics.parquet", "weights.safetensors", "snapshots.safetensors"
ARRAYS, CHECKPOINT = "arrays.safetensors", "checkpoint.safetensors"

CURRENT = "CURRENT"
"""File in the directory of a memory that was edited: which directory within holds the current version."""
EDITED = ".edited"
"""Such a directory as geomem wrote it before there were numbers: it counts from its `DONE` on."""
VERSION = re.compile(r"version-([1-9][0-9]{0,8})")
"""Name of a version's directory."""
_OWN_FILES = {
    MANIFEST,
    DONE,
    WORLD,
    VOCABULARY,
    FACTS,
    METRICS,
    WEIGHTS,
    SNAPSHOTS,
    ARRAYS,
    CHECKPOINT,
    CURRENT,
}
_OWN_DIRECTORY = re.compile(rf"{VERSION.pattern}|\{EDITED}(\.partial)?")
_OF_BROWSERS = re.compile(r"\.DS_Store|\._.*|\.directory|Thumbs\.db|desktop\.ini", re.IGNORECASE)
"""Files that file browsers leave in every directory they show."""

JSON_LIMIT = 1 << 28
"""Bytes of JSON a reader takes in: a graph of some ten million edges; more is not one of our files."""
DONE_LIMIT, MANIFEST_LIMIT = 1 << 20, 1 << 26
"""Bytes of a `DONE` and of a manifest."""
ROW_LIMIT, ROWS_PER_BYTE = 5_000_000, 4
"""Rows of a table that a reader takes in, and those of a larger one by the size of its file: a small file of
parquet can claim to unpack to any number, and losses do not repeat."""
_SURROGATE = re.compile(r"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")
"""Half a character as JSON escapes it, which no text that we write has."""


class RunLocked(InputError):
    """Another process holds the directory; waiting helps."""


def canonical_json(configuration: Mapping[str, Any]) -> str:
    """The one text of a configuration: keys sorted, no spaces, no NaN.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(
        configuration, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """First twelve hexadecimal digits of the SHA-256 of the canonical configuration.

    >>> configuration_hash({"a": 1}) == configuration_hash({"a": 1}), len(configuration_hash({"a": 1}))
    (True, 12)
    """
    return hashlib.sha256(canonical_json(configuration).encode()).hexdigest()[:12]


def safe_name(text: str) -> str:
    """A text as part of a file's name: letters of any script, digits, dots, dashes; never hidden or a path.

    >>> safe_name("../../etc/passwd"), safe_name("Länder, 2024"), safe_name("..")
    ('etc-passwd', 'Länder-2024', 'world')
    """
    name = re.sub(r"[^\w.]+", "-", text).strip("-._")
    while len(name.encode()) > 80:  # file systems count bytes, 255 of them at most
        name = name[:-1]
    return name.rstrip("-._") or "world"


def run_path(directory: str | os.PathLike[str], name: str, configuration: Mapping[str, Any]) -> Path:
    """Place of a configuration's run directory.

    >>> run_path("runs", "a b", {"a": 1}).as_posix()
    'runs/a-b-015abd7f5cc5'
    """
    return Path(directory) / f"{safe_name(name)}-{configuration_hash(configuration)}"


def write_directory(path: Path, files: Mapping[str, Writer]) -> None:
    """Write every file of a directory, then its `DONE`; raises `InputError` when the disk is full or refuses.

    >>> import tempfile
    >>> from geomem.files import json_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_directory(Path(folder) / "new", {"a.json": json_file([1])})
    ...     check_directory(Path(folder) / "new", ["a.json"])
    ...     read_json(Path(folder) / "new" / "a.json")
    [1]
    """
    with system_errors(path, "made"):
        path.mkdir(parents=True, exist_ok=True)
    for name, write in files.items():
        replace_file(path / name, write)
    write_json(path / DONE, {name: fingerprint(path / name) for name in files})


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write named arrays as safetensors; renamed into place."""
    replace_file(path, array_file(arrays, metadata))


def array_file(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Writer:
    """Writes named arrays as safetensors."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    def write(path: Path) -> None:
        path.touch()
        mode = path.stat().st_mode  # safetensors makes files for the owner alone
        with _errors_as_system():
            save_file(contiguous, path, metadata=dict(metadata))
        path.chmod(mode)

    return write


def table_file(table: pl.DataFrame) -> Writer:
    """Writes a table as parquet."""

    def write(path: Path) -> None:
        with _errors_as_system():
            table.write_parquet(path)

    return write


@contextmanager
def _errors_as_system() -> Iterator[None]:
    """Raise `OSError` for what safetensors and polars say of the system, which they hand on as text only."""
    try:
        yield
    except (SafetensorError, pl.exceptions.PolarsError) as error:
        full = "os error 28" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error


@contextmanager
def locked_run(path: Path, doing: str = "training") -> Iterator[None]:
    """Hold a directory for this process; the lock ends with the process, however that ends.

    The lock file stands beside the directory, so that the directory can be renamed. Raises `RunLocked` if
    another process holds it, `InputError` if the directory cannot be made.
    """
    check_name(path)
    lock = FileLock(lock_path(path), timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunLocked(
            f"Another process is {doing} {path} now; wait until it ends and run the same command again."
        ) from error
    except OSError as error:
        way_out = "choose another with --directory" if doing == "training" else "see to it and run this again"
        raise InputError(
            f"The run directory {path} cannot be opened ({error.strerror}); {way_out}."
        ) from error
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.rmdir()  # where nothing was written
        raise
    finally:
        if os.name == "posix":  # whoever opened this file meanwhile sees that it is gone, and makes another
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def lock_path(path: Path) -> Path:
    """The file that whoever writes a directory holds; a killed process leaves it and no longer holds it."""
    path = Path(os.path.abspath(path))
    return path.with_name(f".{path.name}.lock")


def require_disk(path: Path, needed_bytes: int) -> None:
    """Raise `InputError` unless the disk that will hold `path` has `needed_bytes` free."""
    free = shutil.disk_usage(existing_place(path)).free
    if free < needed_bytes:
        raise InputError(
            f"The run {path} needs {format_bytes(needed_bytes)} of disk but {format_bytes(free)} are free; "
            "free some space, choose another --directory, or keep fewer --snapshots."
        )


def format_bytes(count: int | float) -> str:
    """A number of bytes for people.

    >>> format_bytes(900), format_bytes(2_500_000), format_bytes(83_200_000_000)
    ('900 B', '2.5 MB', '83 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


# Everything below treats the directory as written by a stranger.


def is_finished(path: Path) -> bool:
    """Whether a directory has its `DONE`; whoever reads that says if it is not a file."""
    return os.path.lexists(path / DONE)


def current_version(path: Path) -> str:
    """Name of the directory within a memory's that holds its current version; empty if its own files are it.

    Raises `InputError` if the file that names it is not one of ours.
    """
    if os.path.lexists(path / CURRENT):
        check_file(path / CURRENT, limit=64)
        name = (path / CURRENT).read_bytes().decode("ascii", "replace").strip()
        if not VERSION.fullmatch(name) or (path / name).is_symlink() or not (path / name).is_dir():
            raise damaged(path / CURRENT, "it does not name a version that is there")
        return name
    edited = path / EDITED
    return EDITED if is_finished(edited) and not edited.is_symlink() else ""


def strange_entries(directory: Path) -> list[str]:
    """What lies in a directory and neither geomem nor a file browser wrote: links, and names unknown to it.

    What a killed process left half-written is geomem's, whatever its libraries put there.
    """
    found = []
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            if _OWN_DIRECTORY.fullmatch(entry.name):
                found += [f"{entry.name}/{name}" for name in strange_entries(Path(entry.path))]
                continue
            if PARTIAL.fullmatch(entry.name):
                continue
        elif entry.is_file(follow_symlinks=False):
            own = entry.name.removesuffix(".partial") in _OWN_FILES
            if own or _OF_BROWSERS.fullmatch(entry.name):
                continue
        found.append(entry.name)
    return sorted(found)


def damaged(path: Path, why: str) -> InputError:
    """The one sentence about a file that is not what it should be; to delete only what can be made again."""
    directory = path.parent
    way_out = f"delete the directory {directory} and run the same command again"
    with suppress(OSError):
        if strange := strange_entries(directory):
            way_out = f"move {strange[0]}, which geomem did not write, out of it, then {way_out}"
        if (edits := _edits(directory)) is not None:
            other = "" if edits else f"; if it was never edited, {way_out}"
            way_out = f"no command makes the edits of a memory again, so take it from a copy{other}"
            if path.name != FACTS and _is_json(directory / FACTS):
                way_out = f"its facts can still be read in {directory / FACTS}; {way_out}"
    return InputError(f"{path} is damaged ({why}); {way_out}.")


def _edits(directory: Path) -> bool | None:
    """Whether a memory was edited: None if not, False if nobody can tell any more."""
    if directory.name == EDITED or VERSION.fullmatch(directory.name):
        return True
    if not os.path.lexists(directory / FACTS):
        return None
    manifest = _is_json(directory / MANIFEST)
    if not isinstance(manifest, dict):
        return False
    return True if manifest.get("edits") else None


def _is_json(path: Path) -> Any:
    """What a small file of JSON holds; None if it is not one."""
    try:
        small = check_plain_file(path).st_size < 1 << 26
        return json.loads(path.read_bytes()) if small else None
    except (OSError, ValueError, RecursionError):
        return None


def check_directory(path: Path, files: Sequence[str]) -> None:
    """Raise `InputError` unless a finished directory's files are those its `DONE` lists."""
    check_name(path)
    fingerprints = read_json(path / DONE, limit=DONE_LIMIT)
    if not isinstance(fingerprints, dict) or not fingerprints.keys() >= set(files):
        raise damaged(path / DONE, "it does not list the run's files")
    for name in files:
        size = check_file(path / name).st_size
        expected = fingerprints[name] if isinstance(fingerprints[name], dict) else {}
        if size != expected.get("bytes"):
            raise damaged(path / name, f"{size} bytes, written were {expected.get('bytes')}")
        if fingerprint(path / name) != expected:
            raise damaged(path / name, "its content changed after it was written")


def read_json(path: Path, *, limit: int = JSON_LIMIT) -> Any:
    """Read one of our JSON files; raises `InputError` if it is missing, a link, too large or not JSON."""
    check_file(path, limit=limit)
    try:
        with system_errors(path, "read"):
            text = path.read_bytes().decode()
        if _SURROGATE.search(text):
            raise ValueError("half a character")
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError covers bad UTF-8 and bad JSON
        raise damaged(path, "it is not JSON") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file; raises `InputError` if it is missing, a link, truncated or not safetensors."""
    with open_arrays(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_array(path: Path, name: str, *, rows: int | None = None) -> np.ndarray:
    """One array of a safetensors file, or the first rows of each of its runs."""
    with open_arrays(path) as file:
        return file.get_tensor(name) if rows is None else file.get_slice(name)[:, :rows]


def array_shapes(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every array of a safetensors file, without reading them."""
    with open_arrays(path) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}


def read_table(
    path: Path, schema: Mapping[str, Any], *, damaged: Callable[[Path, str], InputError] = damaged
) -> pl.DataFrame:
    """Read a parquet file of these columns; raises `InputError` for any other, and for too many rows.

    `damaged` says what is wrong and what to do.
    """
    size = check_file(path).st_size
    try:
        lazy = pl.scan_parquet(path, glob=False)
        if dict(lazy.collect_schema()) != dict(schema):
            raise damaged(path, f"it is not a table of {', '.join(schema)}")
        if lazy.select(pl.len()).collect().item() > max(ROW_LIMIT, ROWS_PER_BYTE * size):
            raise damaged(path, "it would unpack to more rows than its size can hold")
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise damaged(path, "it is not a complete parquet file") from error


@contextmanager
def open_arrays(path: Path) -> Iterator[Any]:
    """An open safetensors file; raises `InputError` for whatever is wrong with it."""
    check_file(path)
    try:
        with safe_open(path, "numpy") as file:
            yield file
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, "it is not a complete safetensors file") from error


def check_file(path: Path, *, limit: int | None = None) -> os.stat_result:
    """The status of a plain file in a run directory, of at most `limit` bytes; `InputError` for any other."""
    try:
        status = check_plain_file(path)
    except InputError as error:
        if isinstance(error.__cause__, OSError):  # the system refuses
            raise
        why = "it is not a plain file" if os.path.lexists(path) else "it is missing"
        raise damaged(path, why) from None
    if limit is not None and status.st_size > limit:
        raise damaged(path, f"it is larger than {format_bytes(limit)}")
    return status


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    if not isfinite(number := float(text)):
        raise ValueError(f"{text} is beyond every number")
    return number
