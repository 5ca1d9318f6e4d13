"""The version of this code: that of its own source tree, installed or not, or of the installed package."""

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

UNKNOWN = "0+source"
"""What a copy of the code is called that neither is installed nor has its `pyproject.toml`."""


@cache
def find_version() -> str:
    """The version in the `pyproject.toml` that this code lies under, else that of the installed package.

    >>> find_version()
    '0.1.0'
    """
    root = Path(__file__).parents[2]
    return _version_of_tree(root) or _version_of_package() or UNKNOWN


def _version_of_tree(root: Path) -> str:
    """What a source tree of geomem says in its `pyproject.toml`; nothing where there is none."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return project["version"] if project["name"] == "geomem" else ""
    except (OSError, ValueError, KeyError):
        return ""


def _version_of_package() -> str:
    try:
        return version("geomem")
    except PackageNotFoundError:
        return ""
