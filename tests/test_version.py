"""The version is known in one place, in a source tree that nobody installed as well."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import geomem.version as version_module
from geomem.version import UNKNOWN, find_version

ROOT = Path(__file__).parents[1]

NOT_INSTALLED = """
import importlib.metadata as metadata
import sys

found = metadata.version


def version(name):
    if name == "geomem":
        raise metadata.PackageNotFoundError(name)
    return found(name)


metadata.version = version
from geomem.cli import main

sys.exit(main(sys.argv[1:]))
"""
"""`python -m geomem` where the package has no metadata."""


@pytest.fixture
def missing(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(version_module, "version", version)
    find_version.cache_clear()
    yield
    find_version.cache_clear()


def test_a_source_tree_knows_its_version(missing):
    assert find_version() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize(
    "text", [None, "[project]\nname = 'another'\nversion = '7'\n", "[tool]\n", "[project\n", b"\xff"]
)
def test_code_without_its_tree_has_a_word_for_it(missing, monkeypatch, tmp_path, text):
    monkeypatch.setattr(version_module, "__file__", str(tmp_path / "src" / "geomem" / "version.py"))
    if text is not None:
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "pyproject.toml").write_bytes(content)
    assert find_version() == UNKNOWN


def test_a_source_tree_that_is_not_installed_trains(tmp_path):
    command = ["memorize", "cycle", "--steps", "2", "--seeds", "1", "--quiet", "--directory", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", NOT_INSTALLED, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_dir()


def test_nothing_else_asks_for_the_version_of_geomem():
    for path in (ROOT / "src" / "geomem").rglob("*.py"):
        if path.name != "version.py":
            assert 'version("geomem")' not in path.read_text(encoding="utf-8"), path
