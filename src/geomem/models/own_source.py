"""Where a person's factory comes from, and a hash of everything that it is made from; no torch."""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
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


def load_source(named: str, say: Callable[[str], object]) -> Source:
    """Execute a file, having said so, and take a function from it; raises `InputError` if that fails."""
    file, colon, function = named.rpartition(":")
    if not colon or not file or not function:
        raise InputError(f"The module is {named!r}; give file and function, as in mine.py:factory.")
    path = Path(file).absolute()
    module = execute_file(path, lambda: say(f"Executing {file}."))
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
    found = find_source(factory)
    return Source(found.name, found.digest, factory, f"{path}:{function}")


def execute_file(path: Path, before: Callable[[], object] = int) -> ModuleType:
    """Execute a file of Python, once per content; raises `InputError`, one sentence, if that fails.

    `before` is called as soon as the file is read.
    """
    # A name that differs with the content: another version of the file is another module.
    digest = _digest([read_bytes(path, LARGEST_SOURCE, links=True)])
    before()
    name = f"own_module_{digest}"
    return sys.modules.get(name) or _execute(path, name)


def _execute(path: Path, name: str) -> ModuleType:
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

    In a notebook the text of the function and of what it calls stands for the file. Raises `InputError` for
    what cannot be called, or has no source, or takes a value that no hash can name.
    """
    if not callable(factory):
        raise InputError(
            f"The model is a {type(factory).__name__}; give an architecture, its name, or a function from "
            "sizes to a torch.nn.Module."
        )
    pieces: list[bytes] = []
    function: Any = factory
    while isinstance(function, partial):
        pieces.append(_name_value("an argument", (function.args, sorted(function.keywords.items()))))
        function = function.func
    if not inspect.isfunction(function) and not inspect.isclass(function):
        raise InputError(
            f"The factory is an object of type {type(function).__name__}; give a function, or a partial of "
            "one, whose source can be read."
        )
    reached = _reach(function)
    file = inspect.getsourcefile(function) or ""
    in_file = Path(file).is_file()
    pieces += [Path(file).read_bytes()] if in_file else [_read_source(part) for part in reached]
    pieces += [piece for part in reached for piece in _taken_values(part, strict=part is function)]
    place = Path(file).name if in_file else "notebook"
    return Source(f"{place}:{function.__name__}", _digest(pieces), factory)


def _reach(function: Any) -> list[Any]:
    """A function, and the functions and classes of its module that it uses, and that these use."""
    reached, todo = [], [function]
    while todo:
        current = todo.pop(0)
        if any(current is other for other in reached):
            continue
        reached.append(current)
        for part in _functions(current):
            used = inspect.getclosurevars(part)
            for _, value in sorted({**used.globals, **used.nonlocals}.items()):
                own = inspect.isfunction(value) or inspect.isclass(value)
                todo += [value] if own and value.__module__ == function.__module__ else []
    return reached


def _functions(part: Any) -> list[Any]:
    """The function itself, or the methods of a class."""
    parts = [part] if inspect.isfunction(part) else vars(part).values()
    return [own for own in parts if inspect.isfunction(own)]


def _taken_values(part: Any, *, strict: bool) -> Iterator[bytes]:
    """The values that a function or class takes from around it: its closure, its defaults, its globals.

    What no hash can name is left out, unless it is in a closure or a default of the factory: elsewhere it
    stands in the source.
    """
    for function in _functions(part):
        used = inspect.getclosurevars(function)
        defaults = {**dict(enumerate(function.__defaults__ or ())), **(function.__kwdefaults__ or {})}
        for names, needed in ((used.nonlocals, True), (defaults, strict), (used.globals, False)):
            for name, value in sorted(names.items(), key=str):
                if needed or _is_plain(value):
                    yield f"{name}=".encode() + _name_value(repr(name), value)


def _read_source(part: Any) -> bytes:
    """The text of a function; of a class, whose own text a notebook does not know, those of its methods."""
    try:
        texts = [inspect.getsource(function) for function in _functions(part)]
    except (OSError, TypeError) as error:
        raise InputError(
            f"The source of {part.__name__} cannot be read, and runs are told apart by it; put it into a "
            "file and import it."
        ) from error
    if inspect.isclass(part):
        texts += [f"{part.__bases__}", *(f"{n}={v!r}" for n, v in sorted(vars(part).items()) if _is_plain(v))]
    return "\n".join(texts).encode()


def _is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) and " at 0x" not in repr(value)


def _name_value(name: str, value: Any) -> bytes:
    """A value as text that is the same in every process; raises `InputError` if it has none."""
    if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value):
        return getattr(value, "__qualname__", value.__name__).encode()
    if _is_plain(value):
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
