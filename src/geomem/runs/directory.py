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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from geomem.errors import InputError
from geomem.files import Writer, fingerprint, replace_file, system_errors, write_json

FORMAT = 1
"""Version of a directory's layout; a reader refuses any other."""

MANIFEST, DONE = "manifest.json", "DONE"

JSON_LIMIT = 1 << 28
"""Bytes of JSON a reader takes in: a graph of some ten million edges; more is not one of our files."""


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
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunLocked(
            f"Another process is {doing} {path} now; wait until it ends and run the same command again."
        ) from error
    except OSError as error:
        raise InputError(
            f"The run directory {path} cannot be opened ({error.strerror}); choose another with --directory."
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


def require_disk(path: Path, needed_bytes: int) -> None:
    """Raise `InputError` unless the disk that will hold `path` has `needed_bytes` free."""
    existing = next(parent for parent in [path, *path.parents, Path(".")] if parent.exists())
    free = shutil.disk_usage(existing).free
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
    """Whether a directory has its `DONE`."""
    return (path / DONE).is_file()


def damaged(path: Path, why: str) -> InputError:
    """The one sentence about a file that is not what it should be."""
    return InputError(
        f"{path} is damaged ({why}); delete the directory {path.parent} and run the same command again."
    )


def check_directory(path: Path, files: Sequence[str]) -> None:
    """Raise `InputError` unless a finished directory's files are those its `DONE` lists."""
    fingerprints = read_json(path / DONE)
    if not isinstance(fingerprints, dict) or not fingerprints.keys() >= set(files):
        raise damaged(path / DONE, "it does not list the run's files")
    for name in files:
        check_file(path / name)
        expected = fingerprints[name] if isinstance(fingerprints[name], dict) else {}
        size = (path / name).stat().st_size
        if size != expected.get("bytes"):
            raise damaged(path / name, f"{size} bytes, written were {expected.get('bytes')}")
        if fingerprint(path / name) != expected:
            raise damaged(path / name, "its content changed after it was written")


def read_json(path: Path) -> Any:
    """Read one of our JSON files; raises `InputError` if it is missing, a link, too large or not JSON."""
    check_file(path)
    if path.stat().st_size > JSON_LIMIT:
        raise damaged(path, f"it is larger than {JSON_LIMIT >> 20} MiB")
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # ValueError covers bad UTF-8 and bad JSON
        raise damaged(path, "it is not JSON") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file; raises `InputError` if it is missing, a link, truncated or not safetensors."""
    check_file(path)
    try:
        with safe_open(path, "numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise damaged(path, "it is not a complete safetensors file") from error


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a safetensors file, without reading them; raises `InputError` if it is none."""
    try:
        with safe_open(path, "numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged(path, "it is not a complete safetensors file") from error


def check_file(path: Path) -> None:
    """Raise `InputError` unless `path` is a plain file; links would lead out of the run directory."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise damaged(path, "it is not a plain file")
    if not path.exists():
        raise damaged(path, "it is missing")


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
