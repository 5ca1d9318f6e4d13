"""What shows itself in a notebook: a class names what writes its HTML, which is imported when it is shown.

Results stand low in the house and pages high, so a class gives the place as text, as models do with networks.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TypeVar

Shown = TypeVar("Shown")


def shown_by(place: str) -> Callable[[type[Shown]], type[Shown]]:
    """Give a class the `_repr_html_` that notebooks ask for; `place` is a module, a colon and a function.

    >>> @shown_by("html:escape")
    ... class Label(str): ...
    >>> Label("a < b")._repr_html_()
    'a &lt; b'
    """
    module, _, name = place.partition(":")

    def _repr_html_(shown: object) -> str:
        return getattr(import_module(module), name)(shown)

    def decorate(kind: type[Shown]) -> type[Shown]:
        kind._repr_html_ = _repr_html_  # pyright: ignore[reportAttributeAccessIssue]
        return kind

    return decorate
