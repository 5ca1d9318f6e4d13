"""The site misses no module and no public name, and its pages load nothing from anywhere."""

import re
from pathlib import Path

import pytest

import initializations

ROOT = Path(__file__).parents[1]
PICTURES = sorted((ROOT / "docs" / "images").glob("*.svg"))


def test_every_package_has_a_reference_page():
    listed = set(
        re.findall(r"^modules/(\w+)$", (ROOT / "docs" / "api" / "index.md").read_text(), re.MULTILINE)
    )
    packages = {path.parent.name for path in (ROOT / "src" / "geomem").glob("*/__init__.py")}
    assert listed == packages - {"cli"} | {"geomem"}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_load_nothing(picture):
    text = picture.read_text()
    # Namespaces are names that look like addresses; nothing is fetched from them.
    text = re.sub(r'xmlns(:\w+)?="[^"]*"|<metadata>.*?</metadata>|<!DOCTYPE[^>]*>', "", text, flags=re.DOTALL)
    assert "http" not in text


def test_both_pictures_of_the_readme_exist_in_light_and_dark():
    assert {picture.name for picture in PICTURES} >= {
        f"{name}-{shade}.svg" for name in ("two-memories", "europe") for shade in ("light", "dark")
    }


def test_the_table_of_initialisations_is_that_of_the_models():
    assert initializations.section() in initializations.PAGE.read_text(encoding="utf-8")
