"""The files of a folder of weights that a stranger may have written: bounded JSON, safetensors, no pickle."""

import json
from pathlib import Path
from typing import Any

from geomem.errors import InputError
from geomem.files import check_plain_file, is_there, read_bytes
from geomem.measure.vectors.array_file import StoredArray, safetensors_header

CONFIG, WEIGHTS, WEIGHTS_INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

LARGEST_INDEX = 64 << 20
"""Bytes of the list of weight files that are read."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
"""Endings of weights that are never opened."""


def read_object(path: Path, limit: int) -> dict[str, Any]:
    """The object in a file of JSON of at most `limit` bytes; raises `InputError` for any other file.

    >>> read_object(Path("/dev/null"), 10)
    Traceback (most recent call last):
    geomem.errors.InputError: /dev/null is a device or a pipe; write its content to a file and give that.
    """
    try:
        content = json.loads(read_bytes(path, limit, links=True))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not JSON; save the model again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object; save the model again.")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The safetensors that hold a folder's weights, one or several.

    Raises `InputError` if there are none, or only what is never opened, or if the list of several files leads
    out of the folder.
    """
    if is_there(folder / WEIGHTS):
        return [folder / WEIGHTS]
    if is_there(folder / WEIGHTS_INDEX):
        index = read_object(folder / WEIGHTS_INDEX, LARGEST_INDEX).get("weight_map")
        named = list(index.values()) if isinstance(index, dict) else []
        for name in named:
            if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
                raise InputError(
                    f"{folder / WEIGHTS_INDEX} names the file {str(name)[:80]!r}; weights are .safetensors "
                    "files beside it."
                )
            check_plain_file(folder / name, links=True)
        if named:
            return [folder / name for name in sorted(set(named))]
        raise InputError(f"{folder / WEIGHTS_INDEX} names no weights; save the model again.")
    others = sorted(entry.name for entry in folder.iterdir() if entry.suffix in (*PICKLES, ".gguf"))
    if others and not others[0].endswith(".gguf"):
        raise refuse_pickle(folder / others[0])
    found = f", only {others[0]!r}" if others else ""
    raise InputError(f"{folder} has no {WEIGHTS}{found}; save the model with `save_pretrained`.")


def refuse_pickle(path: Path) -> InputError:
    """The error for weights that are never opened."""
    return InputError(
        f"The weights in {path.parent} are {path.name!r}, a format that can run code and is never opened; "
        "save the model as safetensors (`save_pretrained` does)."
    )


def read_headers(folder: Path) -> dict[str, tuple[Path, StoredArray]]:
    """Every tensor of a folder by name, with the file that it lies in; no number is read.

    Raises `InputError` as `weight_files` does, and for a tensor that two files have.
    """
    found: dict[str, tuple[Path, StoredArray]] = {}
    for path in weight_files(folder):
        for name, array in safetensors_header(path).items():
            if name in found:
                raise InputError(
                    f"{path} and {found[name][0].name} both have {name[:100]}; save the model again."
                )
            found[name] = path, array
    return found
