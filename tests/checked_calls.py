"""Which calls of the package jaxtyping checks in the tests: those whose annotations name the axes of arrays.

Around any other function its wrapper binds every call in Python and asks beartype twice about each argument,
which took a third of the tests' time and could find no more than beartype alone.
"""

from functools import partial
from types import FunctionType
from typing import Any, ForwardRef, Literal, get_args, get_origin

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook, jaxtyped


def names_axes(annotation: Any) -> bool:
    """Whether something in an annotation is an array with axes, or cannot be told yet."""
    if isinstance(annotation, str | ForwardRef):
        return True
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    if get_origin(annotation) is Literal:
        return False
    parts = annotation if isinstance(annotation, list) else get_args(annotation)
    return any(map(names_axes, parts))


def check_calls(function=None, *, typechecker):
    """Decorate a function or class of the package as the import hook does."""
    if function is None:
        return partial(check_calls, typechecker=typechecker)
    if isinstance(function, FunctionType) and not any(map(names_axes, function.__annotations__.values())):
        return beartype(function)
    return jaxtyped(function, typechecker=typechecker)


def check_package() -> None:
    """Have the package checked; before its first import."""
    jaxtyping.jaxtyped = check_calls  # what the hook writes above every function
    install_import_hook("geomem", "beartype.beartype")
