"""TOML files of settings: read within limits, with plain values only."""

import tomllib
from math import isfinite
from pathlib import Path
from typing import Any

from geomem.errors import InputError
from geomem.files import read_bytes
from geomem.worlds.text_file import control_character, show_label

LARGEST_CONFIGURATION = 1 << 20
"""Bytes of a TOML file that are read."""


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file; raises `InputError` if it is missing, too large, or not TOML."""
    data = read_bytes(path, LARGEST_CONFIGURATION, links=True)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # ValueError covers UTF-8, TOML, and numbers of many digits
        why = show_label(str(error).partition(";")[0], 100)
        raise InputError(
            f"The configuration {path} is not TOML ({why}); write lines like `steps = 500`."
        ) from error


def what_is_wrong(value: Any) -> str:
    """Why a value is not one of an option, and what to do; nothing if it is.

    >>> what_is_wrong(5), what_is_wrong(float("inf"))
    ('', 'inf; give a finite number')
    """
    if not isinstance(value, bool | int | float | str):
        return "not a number, text or list of such; write one option per line"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "a whole number beyond 64 bits; give a smaller one"
    if isinstance(value, float) and not isfinite(value):
        return f"{value}; give a finite number"
    if isinstance(value, str) and (found := control_character(value)):
        return f"a text with the control character {found}; give plain text"
    return ""
