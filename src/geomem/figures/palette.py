"""The one set of colours of every picture, to be told apart by colour-blind eyes, in light and dark."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Theme:
    """Colours of a picture's ground, text and marks; `light` and `dark` are the two there are."""

    paper: str
    card: str
    ink: str
    muted: str
    line: str
    edge: str
    accent: str
    warm: str
    gold: str
    slate: str
    branches: tuple[str, ...]
    """One colour per branch of a rooted tree, repeated if there are more."""
    ramp: tuple[str, ...]
    """From the first node of the order to the last, lightness rising all the way."""
    diverging: tuple[str, str, str]
    """Cosine -1, 0, 1."""
    sequential: tuple[str, str]
    """Distance 0 and the largest."""


LIGHT = Theme(
    paper="#faf8f3",
    card="#ffffff",
    ink="#1c2530",
    muted="#55606c",
    line="#ddd7ca",
    edge="#8d96a0",
    accent="#0a6577",
    warm="#b4481c",
    gold="#86640a",
    slate="#47597c",
    branches=("#0a6577", "#d1622b", "#c99a1c", "#5b4b8a", "#4d9a5b", "#b23a6e", "#4a90c2", "#6b6b6b"),
    ramp=("#2f3f7d", "#2b6a94", "#2a9088", "#6cae5c", "#c4b93c", "#f0b13c"),
    diverging=("#b4481c", "#f6f2ea", "#0a6577"),
    sequential=("#0a6577", "#f6f2ea"),
)

DARK = Theme(
    paper="#0f1419",
    card="#161d24",
    ink="#ece8df",
    muted="#a5afb9",
    line="#2d3740",
    edge="#76828e",
    accent="#5cc2d0",
    warm="#f2976c",
    gold="#e3bb55",
    slate="#a2b6dc",
    branches=("#5cc2d0", "#f2976c", "#e3bb55", "#b3a3e6", "#86cf93", "#ec8db5", "#8fc4ee", "#b9b9b9"),
    ramp=("#6f86d6", "#56a3cf", "#4fc0b0", "#8fce7c", "#d8d05e", "#f8c75c"),
    diverging=("#f2976c", "#1d262e", "#5cc2d0"),
    sequential=("#5cc2d0", "#1d262e"),
)

THEMES = {"light": LIGHT, "dark": DARK}

READING_COLOURS = {
    "geometric": "accent",
    "associative": "warm",
    "zig-zag": "gold",
    "collapsed": "muted",
    "mixed": "slate",
}
"""Which of a theme's colours a reading word is printed in."""

WORD_COLOURS = {
    "geometry": "accent",
    "geometry no more than co-occurrence": "slate",
    "lookup": "warm",
    "unknown": "gold",
    "no geometry": "warm",
    "cannot tell": "muted",
}
"""The same of the words of an audit."""


def theme_colour(theme: Theme, word: str) -> str:
    """A colour by its word, a name or a name and a number.

    >>> theme_colour(LIGHT, "branches.9") == LIGHT.branches[1], theme_colour(LIGHT, "card")
    (True, '#ffffff')
    """
    name, _, number = word.partition(".")
    colours = getattr(theme, name)
    return colours[int(number) % len(colours)] if number else colours


def rgb(colour: str) -> Float[np.ndarray, " channel"]:
    """Red, green and blue of `#rrggbb`, 0 to 1.

    >>> rgb("#ff0000").tolist()
    [1.0, 0.0, 0.0]
    """
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def contrast_ratio(first: str, second: str) -> float:
    """Contrast of two colours as WCAG 2 defines it, from 1 to 21; text needs 4.5.

    >>> round(contrast_ratio("#000000", "#ffffff"), 1)
    21.0
    """
    luminances = []
    for colour in (first, second):
        channels = rgb(colour)
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        luminances.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    low, high = sorted(luminances)
    return (high + 0.05) / (low + 0.05)


def node_colours(
    order_shares: Float[np.ndarray, " node"], branches: list[int] | None, theme: Theme
) -> list[str]:
    """Colour of every node: by branch (-1 is the root) where there are any, else along the ramp from 0 to 1.

    >>> node_colours(np.array([0.0, 1.0]), None, LIGHT)
    ['#2f3f7d', '#f0b13c']
    """
    if branches is not None:
        return [
            theme.ink if branch < 0 else theme.branches[branch % len(theme.branches)] for branch in branches
        ]
    stops = np.stack([rgb(colour) for colour in theme.ramp])
    places = np.linspace(0, 1, len(stops))
    mixed = np.stack([np.interp(order_shares, places, stops[:, channel]) for channel in range(3)], axis=1)
    return ["#" + "".join(f"{round(255 * value):02x}" for value in row) for row in mixed]
