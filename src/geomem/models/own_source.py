"""Where a person's factory comes from, and a hash of everything that it is made from; no torch."""

import hashlib
import importlib.util
import inspect
import linecache
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from geomem.errors import InputError, unknown_name
from geomem.files import read_bytes

LARGEST_SOURCE = 1 << 22
"""Bytes of a file that is executed."""
PLAIN = (bool, int, float, complex, str, bytes, type(None), tuple, list, dict, set, frozenset)
"""Types whose values a hash can name."""


@dataclass(frozen=True, eq=False)
class Source:
    """A factory, and what it is known by."""

    name: str
    """File and function, as in mine.py:factory."""
    digest: str
    factory: Callable[[Any], Any]
    path: str = ""
    """File and function with the whole path, if the file was executed by its name."""

    @property
    def portable(self) -> Callable[[Any], Any] | None:
        """The factory, for another process that has no file to execute."""
        return None if self.path else self.factory


def load_source(named: str) -> Source:
    """Execute a file and take a function from it; raises `InputError`, one sentence, if that fails."""
    file, colon, function = named.rpartition(":")
    if not colon or not file or not function:
        raise InputError(f"The module is {named!r}; give file and function, as in mine.py:factory.")
    path = Path(file).absolute()
    text = read_bytes(path, LARGEST_SOURCE, links=True)
    # A name that differs with the content: another version of the file is another module.
    digest = _digest([text])
    module = sys.modules.get(f"own_module_{digest}") or _execute(path, f"own_module_{digest}", digest)
    if not hasattr(module, function):
        known = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
        raise unknown_name(
            f"{file} defines no {function!r}", function, known, otherwise="name a function that it defines"
        )
    factory = getattr(module, function)
    if not callable(factory):
        raise InputError(
            f"{function} in {file} is a {type(factory).__name__}; name a function that takes sizes and "
            "returns a torch.nn.Module."
        )
    return Source(f"{path.name}:{function}", digest, factory, f"{path}:{function}")


def _execute(path: Path, name: str, digest: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no file of Python; give one whose name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(
            f"{path.name} could not be executed ({type(error).__name__}: {_one_line(error)}); mend it and "
            "run this again."
        ) from error
    return module


def find_source(factory: Any) -> Source:
    """Where a function was defined, and a hash of that file and of the values it takes from around it.

    In a notebook the text of the function and of what it calls stands for the file, of a class its cell.
    Raises `InputError` for what cannot be called, or has no source, or takes a value that no hash can name.
    """
    if not callable(factory):
        raise InputError(
            f"The model is a {type(factory).__name__}; give an architecture, its name, or a function from "
            "sizes to a torch.nn.Module."
        )
    pieces: list[bytes] = []
    function: Any = factory
    while isinstance(function, partial):
        pieces.append(_name_value("an argument", (function.args, function.keywords)))
        function = function.func
    if not inspect.isfunction(function) and not inspect.isclass(function):
        raise InputError(
            f"The factory is an object of type {type(function).__name__}; give a function, or a partial of "
            "one, whose source can be read."
        )
    file = inspect.getsourcefile(function) or ""
    in_file = Path(file).is_file()
    if in_file:
        pieces.insert(0, Path(file).read_bytes())
        values = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    else:
        values = _collect_texts(function, pieces)
    pieces += [name.encode() + _name_value(repr(name), value) for name, value in sorted(values.items())]
    place = Path(file).name if in_file else "notebook"
    return Source(f"{place}:{function.__name__}", _digest(pieces), factory)


def _collect_texts(function: Any, pieces: list[bytes]) -> dict[str, Any]:
    """Add the text of a function and of what it uses; return the plain values that it uses."""
    values: dict[str, Any] = {}
    todo, seen = [function], set()
    while todo:
        current = todo.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        try:
            pieces.append(_read_text(current).encode())
        except (OSError, TypeError) as error:
            raise InputError(
                f"The source of {current.__name__} cannot be read, and runs are told apart by it; put it "
                "into a file and import it."
            ) from error
        parts = [current] if inspect.isfunction(current) else _methods(current)
        for part in parts:
            used = inspect.getclosurevars(part)
            for name, value in sorted({**used.globals, **used.nonlocals}.items()):
                if inspect.isfunction(value) or inspect.isclass(value):
                    todo += [value] if value.__module__ == function.__module__ else []
                elif not inspect.ismodule(value):
                    values[name] = value
    return values


def _read_text(current: Any) -> str:
    """The source of a function or class; of a class of a notebook the whole cell, which its methods know."""
    try:
        return inspect.getsource(current)
    except (OSError, TypeError):
        # inspect looks a class up in the file of its module, and a notebook has none.
        methods = _methods(current) if inspect.isclass(current) else []
        cells = ["".join(linecache.getlines(method.__code__.co_filename)) for method in methods]
        if not any(cells):
            raise
        return next(filter(None, cells))


def _methods(kind: type) -> list[Any]:
    return [value for value in vars(kind).values() if inspect.isfunction(value)]


def _name_value(name: str, value: Any) -> bytes:
    """A value as text that is the same in every process; raises `InputError` if it has none."""
    if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value):
        return getattr(value, "__qualname__", value.__name__).encode()
    if isinstance(value, PLAIN) and " at 0x" not in repr(value):
        return repr(sorted(value, key=repr) if isinstance(value, set | frozenset) else value).encode()
    raise InputError(
        f"The factory uses {name}, an object of type {type(value).__name__}, and runs are told apart by what "
        "they are made from; use numbers and texts alone."
    )


def _digest(pieces: list[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little") + piece)
    return digest.hexdigest()[:16]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
