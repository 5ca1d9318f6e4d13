"""A list of things to choose from: name, what it is, options with their defaults."""

import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.padding import Padding
from rich.text import Text

from geomem.cli.console import open_console


@dataclass(frozen=True)
class ListingOptions:
    """How the list is printed."""

    json: bool = False
    """Print JSON in place of text."""


def print_listing(entries: Sequence[tuple[str, str, Mapping[str, Any]]], *, json: bool) -> None:
    """Print (name, description, options with defaults) for people, or as JSON."""
    if json:
        content = {name: {"description": text, "options": dict(options)} for name, text, options in entries}
        print(json_module.dumps(content, indent=2, ensure_ascii=False))
        return
    console = open_console()
    for name, text, options in entries:
        console.print(Text(name, style="bold"))
        console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))
        for line in _option_lines(options, console.width - 2):
            console.print(Padding(Text(line, style="dim"), (0, 0, 0, 2), expand=False))


def _option_lines(options: Mapping[str, Any], width: int) -> list[str]:
    """Options with their defaults, as they would be typed; no line ends between an option and its value."""
    lines: list[str] = []
    for option, default in options.items():
        name = option.replace("_", "-")
        word = f"--{'' if default else 'no-'}{name}" if isinstance(default, bool) else f"--{name} {default}"
        if lines and len(lines[-1]) + 2 + len(word) <= width:
            lines[-1] += f"  {word}"
        else:
            lines.append(word)
    return lines
