"""A figure as inline SVG that takes the colours of the page it stands in."""

import io
import re
import warnings
from collections.abc import Mapping
from itertools import count
from types import MappingProxyType

import matplotlib
from matplotlib.figure import Figure

from geomem.figures.drawing import STYLE
from geomem.figures.palette import LIGHT, Theme

NAMED = ("paper", "card", "ink", "muted", "line", "edge", "accent", "warm", "gold", "slate")
"""Colours of a theme that a page has as variables of the same name; branches are series-0, series-1, ..."""

NONE: Mapping[str, str] = MappingProxyType({})


def page_svg(figure: Figure, *, name: str, more: Mapping[str, str] = NONE) -> str:
    """The figure as an inline SVG element: colours are the page's variables, ids begin with `name`.

    `more` has further colours, `#rrggbb`, and the name of the variable that stands for each.

    >>> from geomem.figures.drawing import dressed_axes, new_figure
    >>> figure = new_figure(4.0, 3.0, LIGHT)
    >>> _ = dressed_axes(figure, LIGHT, 1, 1, 1).plot([0.5, 0.7], color=LIGHT.accent)
    >>> text = page_svg(figure, name="claim-1")
    >>> text.startswith("<svg"), LIGHT.accent in text, "var(--accent)" in text
    (True, False, True)
    """
    file = io.StringIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "geomem"}, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    # Fixed sizes would not shrink with the window, the viewBox does.
    text = re.sub(r'(<svg[^>]*?) (?:height|width)="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) (?:height|width)="[^"]*"', r"\1", text, count=1)
    numbers = count(1)
    short: dict[str, str] = {}
    for found in re.findall(r' id="([^"]+)"', text):
        short.setdefault(found, f"{name}-{next(numbers)}")
    text = re.sub(r' id="([^"]+)"', lambda match: f' id="{short[match[1]]}"', text)
    text = re.sub(
        r'(url\(|href=")#([^")]+)', lambda match: f"{match[1]}#{short.get(match[2], match[2])}", text
    )
    for colour, variable in (colour_variables(LIGHT) | dict(more)).items():
        text = text.replace(colour, f"var(--{variable})")
    return text


def colour_variables(theme: Theme) -> dict[str, str]:
    """Name of the page's variable for each colour of a theme that a figure may use.

    >>> colour_variables(LIGHT)[LIGHT.ink]
    'ink'
    """
    named = {getattr(theme, name): name for name in NAMED}
    branches = {colour: f"series-{number}" for number, colour in enumerate(theme.branches)}
    return branches | named
