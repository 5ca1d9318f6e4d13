"""The one console of rich: what it draws keeps its own codes, and the texts in it have none."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from geomem.cli.streams import escape_controls, styled_stream


class _EscapingConsole(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text), segment.style)


def open_console(**options: Any) -> Console:
    r"""A console on standard output, or by `stderr=True` on standard error; `options` are rich's.

    Nothing in a text is taken for markup, and its control characters are shown as escapes.

    >>> open_console().print("a [red]label\x1b[31m")
    a [red]label\x1b[31m
    """
    file = styled_stream(sys.stderr if options.get("stderr") else sys.stdout)
    return _EscapingConsole(**{"file": file, "highlight": False, "markup": False, "emoji": False} | options)
