"""Arrays of numbers and labels from `.npy`, `.npz` and `.safetensors`; sizes are checked before reading.

Axis names: `run`, `node` (a row), `width`.
"""

import io
import json
import math
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from geomem.errors import InputError
from geomem.files import check_plain_file, system_errors
from geomem.measure.vectors.matching import names_labels
from geomem.worlds.columns import words
from geomem.worlds.text_file import MAXIMUM_LABEL_CHARACTERS

LARGEST_UNPACKED = 2 << 30
"""Bytes that one packed array may unfold to: 1.7 million rows of width 300 in float32."""

NPY_HEADER, SAFETENSORS_HEADER = 512, 16 << 20
"""Bytes accepted of the description in front of the numbers; NumPy takes seconds for 10,000 wrong ones."""

MOST_ARRAYS, MOST_LABELS, MOST_AXES = 2_000, 20_000_000, 32
"""Arrays of one file, labels of one array, and axes of an array that are read."""

TENSOR_KINDS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "|u1",
}
"""Kinds of safetensors that are read, as NumPy calls them; a bfloat16 is read as the two bytes it is."""

WAYS = {
    ".npy": "numpy.save(path, array)",
    ".npz": "numpy.savez(path, labels=labels, vectors=vectors)",
    ".safetensors": "safetensors.numpy.save_file(arrays, path)",
}
"""How a file of each kind is written."""

VECTOR_ARRAYS = words("vectors vector embeddings embedding emb weights weight")
"""Last words of an array's name, in lower case, that say that it holds the vectors."""


@dataclass(frozen=True)
class StoredArray:
    """Where an array lies in a file, and of which kind it is."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool = False
    offset: int = 0
    """Where its numbers begin, in the file or in the file's part of this name."""
    is_bfloat16: bool = False

    @property
    def title(self) -> str:
        """Its name in a sentence."""
        return repr(self.name[:80])


def read_arrays(path: Path, *, wanted: str | None = None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """The vectors of an array file, not yet checked for their axes, and their labels if the file holds any.

    `.npy` holds one array. Of `.npz` and `.safetensors` the vectors are the array called `wanted`, else the
    only one with two or three axes, else the only one of these with a name of `VECTOR_ARRAYS`; labels are
    the array with one axis and a name such as `labels` or `words`, or the only one of text, or of whole
    numbers that differ. Numbers in a plain file are mapped, not loaded. Raises `InputError` for a file that
    is damaged, holds objects, or where the vectors cannot be told.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        return _read_npz(path, wanted)
    if kind == ".safetensors":
        return map_array(path, _vectors_among(path, safetensors_header(path), wanted)), None
    stored = _one_array(path)
    if wanted is not None:
        raise InputError(f"The file {str(path)!r} holds one array without a name; leave out --array.")
    return map_array(path, stored), None


def read_label_array(path: Path) -> tuple[str, ...]:
    """Labels from a `.npy` file with one axis of text or numbers.

    Raises `InputError` if it is damaged or holds anything else.
    """
    stored = _one_array(path)
    _check_labels(path, stored)
    return _as_labels(path, map_array(path, stored))


def _one_array(path: Path) -> StoredArray:
    size = check_plain_file(path, links=True).st_size
    with system_errors(path, "read"), path.open("rb") as file:
        return _npy_header(path, file, size, path.name)


def _read_npz(path: Path, wanted: str | None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = [part for part in archive.infolist() if part.filename.endswith(".npy")]
            usual = {part.compress_type for part in parts} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
            if len(parts) > MOST_ARRAYS or not usual:
                raise _damaged(path)
            stored = {}
            for part in parts:
                name = part.filename.removesuffix(".npy")
                with archive.open(part) as file:
                    stored[name] = _npy_header(path, file, part.file_size, name)
            vectors = _vectors_among(path, stored, wanted)
            labels = _labels_among(path, stored, vectors)
            if labels is not None:
                _check_labels(path, labels)
            read = {array.name: _unpacked(path, archive, array) for array in (vectors, labels) if array}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zipfile lets whatever it stumbles over through
        raise _damaged(path) from error
    if labels is None:
        return read[vectors.name], None
    found = _as_labels(path, read[labels.name])
    # Whole numbers without a name are ids only if they tell the rows apart.
    is_named = names_labels(labels.name) or labels.dtype.kind in "US"
    return read[vectors.name], found if is_named or len(set(found)) == len(found) else None


def _npy_header(path: Path, file: IO[bytes] | io.BufferedIOBase, size: int, name: str) -> StoredArray:
    """What a .npy header promises; raises `InputError` unless exactly that many bytes follow it."""
    # The header says how long it is, and NumPy would read that much of a packed file.
    head = io.BytesIO(file.read(2 * NPY_HEADER))
    try:
        version = np.lib.format.read_magic(head)
        formats = np.lib.format
        read = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
        with warnings.catch_warnings(action="ignore"):  # of headers that Python 2 wrote
            shape, fortran, dtype = read(head, NPY_HEADER)
    except Exception as error:  # a header is a Python literal, and what its parser trips over comes through
        raise _damaged(path) from error
    array = StoredArray(name, dtype, shape, fortran, head.tell())
    if dtype.hasobject:
        raise InputError(
            f"The array {array.title} in {str(path)!r} holds Python objects, which are never unpickled; "
            "convert it first, with array.astype(float) or labels.astype(str)."
        )
    return _checked(path, array, size - head.tell())


def safetensors_header(path: Path) -> dict[str, StoredArray]:
    """Every tensor of a safetensors file by its name, from the JSON in front of them; no number is read.

    Kinds that are not in `TENSOR_KINDS` are left out. Raises `InputError` for a file that is damaged, or
    shorter than it promises.
    """
    size = check_plain_file(path, links=True).st_size
    try:
        with system_errors(path, "read"), path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(SAFETENSORS_HEADER, size - 8):
                raise ValueError("no header of that length")
            header = json.loads(file.read(length))
        stored = {}
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] not in TENSOR_KINDS:
                continue
            shape, (start, end) = entry["shape"], entry["data_offsets"]
            if not all(type(number) is int and 0 <= number <= size - 8 - length for number in (start, end)):
                raise ValueError("it ends before its numbers")
            kind, offset = np.dtype(TENSOR_KINDS[entry["dtype"]]), 8 + length + start
            is_bfloat16 = entry["dtype"] == "BF16"
            array = StoredArray(name, kind, tuple(shape), offset=offset, is_bfloat16=is_bfloat16)
            stored[name] = array, end - start
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path) from error
    return {name: _checked(path, array, length) for name, (array, length) in stored.items()}


def _checked(path: Path, array: StoredArray, size: int) -> StoredArray:
    sizes = all(type(length) is int and 0 <= length < 1 << 60 for length in array.shape)
    if not sizes or len(array.shape) > MOST_AXES or array.dtype.itemsize == 0:
        raise _damaged(path)
    needed = math.prod(array.shape) * array.dtype.itemsize
    if needed != size:
        raise InputError(
            f"The array {array.title} in {str(path)!r} promises {needed:,} bytes and has {size:,}; "
            "the file is damaged: write it again."
        )
    return array


def _vectors_among(path: Path, stored: Mapping[str, StoredArray], wanted: str | None) -> StoredArray:
    if wanted is not None and wanted in stored:
        return stored[wanted]
    tables = [array for array in stored.values() if array.dtype.kind in "fiu" and len(array.shape) in (2, 3)]
    named = [array for array in tables if re.split("[_.]", array.name.lower())[-1] in VECTOR_ARRAYS]
    for choice in (tables, named) if wanted is None else ():
        if len(choice) == 1:
            return choice[0]
    if not stored:
        raise InputError(f"The file {str(path)!r} holds no array; save the vectors as [node, width].")
    listed = ", ".join(f"{array.title} {list(array.shape)}" for array in list(stored.values())[:8])
    listed += f" and {len(stored) - 8} more" if len(stored) > 8 else ""
    wrong = "more than one or none has two axes" if wanted is None else f"none is called {wanted!r}"
    raise InputError(
        f"The file {str(path)!r} holds the arrays {listed}, of which {wrong}; "
        "name the one that holds the vectors with --array."
    )


def _labels_among(path: Path, stored: Mapping[str, StoredArray], vectors: StoredArray) -> StoredArray | None:
    lines = [array for array in stored.values() if len(array.shape) == 1 and array is not vectors]
    named = [array for array in lines if names_labels(array.name)]
    texts = [array for array in lines if array.dtype.kind in "US"]
    counts = [array for array in lines if array.dtype.kind in "iu" and array.shape[0] == vectors.shape[-2]]
    for choice in (named, texts, counts if not texts else []):
        if len(choice) == 1:
            return choice[0]
    if len(named) > 1 or len(texts) > 1:
        names = " and ".join(array.title for array in (named or texts)[:3])
        raise InputError(
            f"The file {str(path)!r} has the arrays {names}, which both could be labels; keep one of them."
        )
    return None


def _check_labels(path: Path, stored: StoredArray) -> None:
    if len(stored.shape) != 1 or stored.dtype.kind not in "USiuf":
        raise InputError(
            f"The array {stored.title} in {str(path)!r} is not a list of labels; give one text per row."
        )
    if stored.dtype.itemsize > 4 * MAXIMUM_LABEL_CHARACTERS:
        raise InputError(
            f"The labels {stored.title} in {str(path)!r} are longer than {MAXIMUM_LABEL_CHARACTERS:,} "
            "characters; give shorter ones."
        )
    if stored.shape[0] > MOST_LABELS:
        raise InputError(f"{str(path)!r} has more than {MOST_LABELS:,} labels; give those of the nodes.")


def _as_labels(path: Path, array: np.ndarray) -> tuple[str, ...]:
    if array.dtype.kind == "S":
        return tuple(label.decode("utf-8", "replace") for label in array.tolist())
    try:
        return tuple(map(str, array.tolist()))
    except (ValueError, SystemError) as error:  # numbers that are no characters of Unicode
        raise _damaged(path) from error


def map_array(path: Path, array: StoredArray) -> np.ndarray:
    """The numbers of an array, mapped and not loaded; bfloat16 as float32, loaded."""
    _refuse_empty(path, array)
    order = "F" if array.fortran else "C"
    numbers = np.memmap(path, array.dtype, "r", array.offset, array.shape, order)
    if not array.is_bfloat16:
        return numbers
    # A bfloat16 is the upper half of a float32.
    return (numbers.astype(np.uint32) << 16).view(np.float32)


def _unpacked(path: Path, archive: zipfile.ZipFile, array: StoredArray) -> np.ndarray:
    _refuse_empty(path, array)
    size = math.prod(array.shape) * array.dtype.itemsize
    if size > LARGEST_UNPACKED:
        raise InputError(
            f"The array {array.title} in {str(path)!r} unfolds to {size / 2**30:.1f} GiB and at most "
            f"{LARGEST_UNPACKED >> 30} are read; keep only the rows of the graph's nodes, or save it as .npy."
        )
    with archive.open(array.name + ".npy") as file:
        file.read(array.offset)
        numbers = np.frombuffer(file.read(size), array.dtype)
    return numbers.reshape(array.shape, order="F" if array.fortran else "C")


def _refuse_empty(path: Path, array: StoredArray) -> None:
    if 0 in array.shape:
        raise InputError(
            f"The array {array.title} in {str(path)!r} has shape {list(array.shape)} and holds no number; "
            "give at least one row and one column."
        )


def _damaged(path: Path) -> InputError:
    kind = path.suffix.lower()
    return InputError(
        f"The file {str(path)!r} is not a complete {kind} file of numbers; write it with {WAYS[kind]}."
    )
