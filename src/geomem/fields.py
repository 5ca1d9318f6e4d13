"""Fields of settings: the bound stands at the field, and check, error sentence and options follow from it.

A bound is one of `annotated-types`, a choice a `Literal`; the command line ignores the former, and
`hypothesis.strategies.from_type` draws valid settings from both. `doc(...)` at a field replaces the words of
its error.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from math import inf, isfinite
from operator import index
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import DocInfo, Ge, Gt, Interval, Le, Lt, Predicate, doc

from geomem.errors import InputError

MOST = 10**9
"""What no machine has so many of."""
MOST_SEEDS = 100_000

Count = Annotated[int, Ge(1), Le(MOST)]
"""A whole number of at least 1."""
Layers = Annotated[Count, Le(10_000)]
"""A number of layers: each is described before any is made."""
Seeds = Annotated[int, Ge(1), Le(MOST_SEEDS), doc(f"a count of at least 1 and at most {MOST_SEEDS:,}")]
"""How many runs."""
WholeNumber = Annotated[int, Ge(0)]
"""A whole number of at least 0."""
NonNegative = Annotated[float, Ge(0), Predicate(isfinite)]
"""A finite number of at least 0."""
Deviation = Annotated[NonNegative, doc("a finite standard deviation of at least 0")]
"""A standard deviation."""
ShareBelowOne = Annotated[float, Ge(0), Lt(1)]
"""A share of at least 0 and below 1."""
Share = Annotated[float, Interval(ge=0, le=1), doc("a share from 0 to 1")]
"""A share of at least 0 and at most 1."""

LATER = MappingProxyType({"later": True})
"""Metadata of a field that came after runs were kept: their hashes have it only where it differs."""

Settings = TypeVar("Settings")


def describe_fields(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, as manifests and hashes have them.

    >>> from dataclasses import dataclass, field
    >>> @dataclass
    ... class Bath:
    ...     taps: Count = 2
    ...     salt: Share = field(default=0.0, metadata=LATER)
    >>> describe_fields(Bath()), describe_fields(Bath(salt=0.5))
    ({'taps': 2}, {'taps': 2, 'salt': 0.5})
    """
    unchanged = {
        own.name
        for own in fields(settings)
        if own.metadata == LATER and getattr(settings, own.name) == own.default
    }
    return {name: value for name, value in asdict(settings).items() if name not in unchanged}


@lru_cache(256)
def field_hints(kind: type) -> dict[str, Any]:
    """The annotations of a dataclass, with their bounds; sweeps ask for the same ones thousands of times."""
    return get_type_hints(kind, include_extras=True)


@lru_cache(256)
def field_types(kind: type) -> dict[str, Any]:
    """The annotations of a dataclass, without bounds."""
    return get_type_hints(kind)


def check_fields(settings: Any) -> None:
    r"""Raise `InputError` for the first field of a dataclass that its type, choices or bounds do not allow.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Bath:
    ...     taps: Count = 2
    ...     heat: Annotated[float, Interval(ge=0, le=1), doc("a share from 0 (cold) to 1")] = 0.5
    ...     side: Literal["left", "right"] = "left"
    >>> check_fields(Bath())
    >>> for wrong in (Bath(taps=0), Bath(heat=2.0), Bath(side="top")):
    ...     try:
    ...         check_fields(wrong)
    ...     except InputError as error:
    ...         print(error)
    taps is 0; give a whole number of at least 1.
    heat is 2.0; give a share from 0 (cold) to 1.
    side is 'top'; give one of 'left', 'right'.
    """
    hints = field_hints(type(settings))
    for field in fields(settings):
        _check_value(field.name, getattr(settings, field.name), hints[field.name])


def coerce_fields(settings: Settings) -> Settings:
    """Convert fields to their annotated types, so that 1 and 1.0 hash alike.

    Raises `InputError` for what is not a number where one is needed.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Bath:
    ...     heat: NonNegative = 0.5
    >>> coerce_fields(Bath(heat=1))
    Bath(heat=1.0)
    """
    types = field_types(type(settings))
    convert = {float: float, int: index}
    values = {}
    for name, value in asdict(settings).items():  # pyright: ignore[reportArgumentType]
        try:
            values[name] = convert[types[name]](value) if types[name] in convert else value
        except (TypeError, ValueError) as error:
            noun = "whole number" if types[name] is int else "number"
            raise InputError(f"{name} is {value!r}; give a {noun}.") from error
    return type(settings)(**values)


def read_fields(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """A settings class from the fields of a file; what the file lacks gets its default, and that is logged.

    Raises `InputError` for a field that the class does not have, and as `check_fields` does.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Bath:
    ...     taps: Count = 2
    >>> read_fields(Bath, {})
    Bath(taps=2)
    """
    hints = field_hints(kind)
    names = {field.name for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    if unknown := values.keys() - names:
        raise InputError(f"{min(unknown)} is not a field of {kind.__name__}; leave it out.")
    first = {own.name for own in fields(kind) if own.metadata != LATER}  # pyright: ignore[reportArgumentType]
    if missing := first - values.keys():
        logging.getLogger(__name__).info(
            "%s has no %s; the defaults are taken", kind.__name__, ", ".join(sorted(missing))
        )
    known = {}
    for name, value in values.items():
        plain = _take_apart(hints[name])[0]
        is_tuple = isinstance(value, list) and get_origin(plain) is tuple
        known[name] = tuple(value) if is_tuple else value
        _check_value(name, known[name], hints[name])
        if plain is float:
            known[name] = float(value)  # pyright: ignore[reportArgumentType]
    return kind(**known)


def _check_value(name: str, value: Any, hint: Any) -> None:
    if not _is_allowed(value, hint):
        raise InputError(f"{name} is {value!r}; give {_wanted(hint, value)}.")


def _is_allowed(value: Any, hint: Any) -> bool:
    kind, bounds = _take_apart(hint)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_allowed(entry, get_args(kind)[0]) for entry in value)
    if kind is bool:
        return isinstance(value, bool)
    if kind not in (int, float) or isinstance(value, bool):
        return kind not in (int, float)
    try:
        number = index(value) if kind is int else float(value)
    except (TypeError, ValueError):
        return False
    return all(_holds(number, bound) for bound in bounds)


def _holds(number: int | float, bound: Any) -> bool:
    match bound:
        case Ge(least):
            return number >= least  # pyright: ignore[reportOperatorIssue]
        case Gt(below):
            return number > below  # pyright: ignore[reportOperatorIssue]
        case Le(most):
            return number <= most  # pyright: ignore[reportOperatorIssue]
        case Lt(above):
            return number < above  # pyright: ignore[reportOperatorIssue]
        case Predicate():
            return bool(bound.func(number))
    return True


def _wanted(hint: Any, given: Any = None) -> str:
    """What a field takes, in the words of an error about what was given.

    Of a bound that stands for what no machine has, only what exceeds it is told.

    >>> _wanted(Count), _wanted(ShareBelowOne), _wanted(Annotated[int, Interval(ge=1, le=8)])
    ('a whole number of at least 1', 'a share of at least 0 and below 1', 'a whole number from 1 to 8')
    >>> _wanted(NonNegative), _wanted(Annotated[float, Gt(0), Le(1)]), _wanted(tuple[Literal["a", "b"], ...])
    ('a finite number of at least 0', 'a share above 0 and at most 1', "some of 'a', 'b'")
    >>> _wanted(Count, 10**10)
    'a whole number of at most 1,000,000,000'
    """
    kind, bounds = _take_apart(hint)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if get_origin(kind) is tuple:
        return _wanted(get_args(kind)[0]).replace("one of", "some of", 1)
    words = {type(bound): bound for bound in bounds}
    if DocInfo in words:
        return words[DocInfo].documentation
    least, above = words.get(Ge), words.get(Gt)
    most, below = words.get(Le), words.get(Lt)
    top = most.le if most else below.lt if below else inf
    noun = "whole number" if kind is int else "share" if top == 1 else "number"
    if Predicate in words:
        noun = f"finite {noun}"
    if least and most and most.le >= 1000:
        too_many = isinstance(given, int | float) and given > most.le
        return f"a {noun} of at most {most.le:,}" if too_many else f"a {noun} of at least {least.ge}"
    if least and most:
        return f"a {noun} from {least.ge} to {most.le}"
    low = f"of at least {least.ge}" if least else f"above {above.gt}" if above else ""
    high = f"at most {most.le}" if most else f"below {below.lt}" if below else ""
    return " ".join([f"a {noun}", " and ".join(side for side in (low, high) if side)]).strip()


def _take_apart(hint: Any) -> tuple[Any, list[Any]]:
    """A field's plain type and its bounds, one relation each."""
    if get_origin(hint) is not Annotated:
        return hint, []
    kind, *metadata = get_args(hint)
    return kind, [part for entry in metadata for part in (entry if isinstance(entry, Interval) else [entry])]
