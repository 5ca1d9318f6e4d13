"""JSON that somebody else wrote."""

import json
from pathlib import Path
from typing import Any

from geomem.errors import InputError
from geomem.files import read_bytes


def read_object(path: Path, limit: int) -> dict[str, Any]:
    """The object in a file of JSON of at most `limit` bytes; raises `InputError` for any other file.

    >>> read_object(Path("/dev/null"), 10)
    Traceback (most recent call last):
    geomem.errors.InputError: /dev/null is a device or a pipe; write its content to a file and give that.
    """
    try:
        found = json.loads(read_bytes(path, limit, links=True))
    except InputError:
        raise
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{path} is not an object of JSON; write the checkpoint again.")
    return found
