"""Calls of the package are checked in the tests: types by beartype, the axes of arrays by jaxtyping.

jaxtyping's own wrapper binds every call in Python and asks beartype twice about each argument, which took a
third of the tests' time and could find no more: where annotations name axes, a scope for their sizes around
beartype's wrapper finds the same.
"""

from collections.abc import Iterator
from functools import partial, wraps
from inspect import isgeneratorfunction
from types import FunctionType
from typing import Any, ForwardRef, Literal, get_args, get_origin

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook, jaxtyped

# One for all: a scope holds nothing, it opens and closes one of the sizes of axes.
SIZES = jaxtyped("context")


def innermost(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: types, names of types, arrays with axes."""
    parts = annotation if isinstance(annotation, list) else get_args(annotation)
    if not parts or get_origin(annotation) is Literal:
        yield annotation
    else:
        for part in parts:
            yield from innermost(part)


def names_axes(annotation: Any) -> bool:
    """Whether something in an annotation is an array with axes."""
    return any(isinstance(part, type) and issubclass(part, AbstractArray) for part in innermost(annotation))


def is_deferred(annotation: Any) -> bool:
    """Whether something in an annotation is a name of something that is not there yet."""
    return any(isinstance(part, str | ForwardRef) for part in innermost(annotation))


def check_calls(function=None, *, typechecker):
    """Decorate a function or class of the package as the import hook does."""
    if function is None:
        return partial(check_calls, typechecker=typechecker)
    if not isinstance(function, FunctionType) or any(map(is_deferred, function.__annotations__.values())):
        return jaxtyped(function, typechecker=typechecker)
    if not any(map(names_axes, function.__annotations__.values())):
        return beartype(function)
    if isgeneratorfunction(function):  # beartype asks about its arguments when the scope is closed
        return jaxtyped(function, typechecker=typechecker)
    checked = beartype(function)

    @wraps(function)
    def call(*arguments, **options):
        with SIZES:
            return checked(*arguments, **options)

    return call


def check_package() -> None:
    """Have the package checked; before its first import."""
    jaxtyping.jaxtyped = check_calls  # what the hook writes above every function
    install_import_hook("geomem", "beartype.beartype")
