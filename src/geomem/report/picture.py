"""A picture that a page holds: its data, the function that draws them, and both as files."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import polars as pl
from matplotlib.figure import Figure

from geomem.figures.drawing import STYLE, save_figure


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture's data and the function that draws them, in either theme."""

    name: str
    table: pl.DataFrame
    draw: Callable[..., Figure]
    alt: str


def picture_source(picture: Picture, theme: str) -> str:
    """A picture as an address that holds it, for an image that loads nothing."""
    file = io.StringIO()
    with matplotlib.rc_context(STYLE):
        picture.draw(picture.table, theme=theme).savefig(
            file, format="svg", metadata={"Date": None, "Creator": "geomem"}
        )
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue().encode()).decode()


def save_picture(picture: Picture, directory: Path) -> None:
    """Write a picture as PDF and SVG with its data as CSV, named after it."""
    save_figure(picture.draw(picture.table), picture.table, directory / picture.name)
