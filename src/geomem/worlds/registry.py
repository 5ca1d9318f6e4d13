"""The registry of worlds: a graph or a table of facts registers where it is defined.

Your own joins through the same decorators, and every command then knows it by name. All parameters have
defaults; bounds stand at them, as `annotated-types` writes them, and are checked before the world is built.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import make_dataclass
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from annotated_types import Interval, doc

from geomem.errors import InputError
from geomem.fields import check_fields
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.graph import Graph

WORLDS: dict[str, Callable[..., Graph]] = {}
"""The graphs by name; each is called with the options of its family, all of which have defaults."""
FACT_WORLDS: dict[str, Callable[..., FactTable]] = {}
"""The tables of facts, likewise."""
NATURAL_ORDER: dict[str, dict[str, None]] = {}
"""Options that number the nodes of a world in natural order, where its defaults shuffle them for training."""

Probability = Annotated[float, Interval(ge=0, le=1), doc("a probability from 0 to 1")]
"""A probability, as a parameter of a world."""

Family = TypeVar("Family", bound=Callable[..., Any])


def world(family: Family) -> Family:
    """Register a function that returns a `Graph`, under its name with hyphens.

    A `world_seed` that may be None shuffles node ids; None is their natural order.

    Raises `InputError` for a name that is taken, a parameter without default, or no docstring.

    >>> @world
    ... def wheel(spokes: Annotated[int, Interval(ge=3, le=99)] = 8) -> Graph:
    ...     "Wheel: a hub and a ring."
    >>> describe_world("wheel")
    'Wheel: a hub and a ring.'
    >>> wheel(2)
    Traceback (most recent call last):
    geomem.errors.InputError: spokes is 2; give a whole number from 3 to 99.
    >>> del WORLDS["wheel"]
    """
    name, checked = _register(family)
    WORLDS[name] = checked
    if NoneType in get_args(get_type_hints(family).get("world_seed")):
        NATURAL_ORDER[name] = {"world_seed": None}
    return checked


def table(family: Family) -> Family:
    """Register a function that returns a `FactTable`, as `world` does for a graph.

    >>> from geomem.worlds.catalogue import FACT_WORLDS
    >>> FACT_WORLDS["random-bijections"](4, 2).fact_count
    8
    """
    name, checked = _register(family)
    FACT_WORLDS[name] = checked
    return checked


def checked_arguments(function: Family) -> Family:
    """The function with the bounds at its parameters checked: `InputError` for the first that does not hold.

    >>> @checked_arguments
    ... def toss(heads: Probability = 0.5): ...
    >>> toss(2.0)
    Traceback (most recent call last):
    geomem.errors.InputError: heads is 2.0; give a probability from 0 to 1.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*positional: Any, **named: Any) -> Any:
        given = signature.bind(*positional, **named)
        given.apply_defaults()
        hints, values = get_type_hints(function, include_extras=True), dict(given.arguments)
        for name in list(values):
            if NoneType in (kinds := get_args(hints[name])):
                hints[name] = next(kind for kind in kinds if kind is not NoneType)
                if values[name] is None:
                    del values[name]
        check_fields(make_dataclass("Arguments", [(name, hints[name]) for name in values])(**values))
        return function(*positional, **named)

    return checked  # pyright: ignore[reportReturnType]


def describe_world(name: str) -> str:
    """One line that says what a registered graph or table is: the first of its docstring.

    >>> from geomem.worlds.catalogue import WORLDS
    >>> describe_world("cycle")
    'Cycle: every node is joined to the next and the last to the first, which is the forward direction.'
    """
    return (inspect.getdoc((WORLDS | FACT_WORLDS)[name]) or "").partition("\n")[0]


def _register(family: Callable[..., Any]) -> tuple[str, Any]:
    name = family.__name__.replace("_", "-")
    parameters = inspect.signature(family).parameters.values()
    if name in WORLDS or name in FACT_WORLDS:
        raise InputError(f"There is a world {name!r} already; give yours another name.")
    if lacking := [one.name for one in parameters if one.default is inspect.Parameter.empty]:
        raise InputError(f"The world {name!r} has no default for {lacking[0]}; give every parameter one.")
    if not family.__doc__:
        raise InputError(f"The world {name!r} has no docstring; say in its first line what it is.")
    return name, checked_arguments(family)
