"""Real graphs that come with Python: imports of its standard library, and what characters consist of.

Nothing is downloaded. Both differ between versions of Python, and the first with what is installed of it.
"""

import ast
import sys
import sysconfig
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from geomem.errors import InputError
from geomem.worlds.graphs.graph import Graph, component_labels, induced_subgraph, simple_graph

LEFT_OUT = frozenset(
    ("test", "tests", "idlelib", "lib2to3", "pydoc_data", "turtledemo", "ensurepip", "site-packages")
)
"""Directories of the standard library that are no part of it for a program."""
CODE_POINTS = 0x110000


@cache
def imports() -> Graph:
    """Who imports whom in the installed standard library: its largest connected part, modules by name.

    Every `import` in the source counts, those within functions too; a module that is written in C is a node
    if one of the others imports it. Forward is from the module that imports.

    Raises `InputError` if the source of the standard library is not installed.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = {name: path for path in sorted(root.rglob("*.py")) if (name := _module_name(root, path))}
    if not files:
        raise InputError(f"There is no source of the standard library in {root}; install it.")
    known = files.keys() | sys.stdlib_module_names
    pairs = [
        (name, found)
        for name, path in files.items()
        for target in imported_names(path.read_bytes(), name, is_package=path.stem == "__init__")
        if (found := _longest_known(target, known)) and found != name
    ]
    return _largest_part("imports", pairs)


def imported_names(source: bytes, module: str, *, is_package: bool = False) -> Iterator[str]:
    """Full names of all that the source of a module imports; of `from a import b`, "a.b".

    >>> list(imported_names(b"import os.path\\nfrom . import tasks\\nfrom .. import x", "a.b.c"))
    ['os.path', 'a.b.tasks', 'a.x']
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")
            above = above[: len(above) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def decompositions(*, everything: bool = False) -> Graph:
    """Characters of Unicode and those that they consist of: é is joined to e and to the acute accent.

    The largest connected part of the canonical decompositions; Korean syllables, which a rule decomposes,
    are not among them. With `everything` compatibility decompositions and capitals as well, and all parts.

    >>> graph = decompositions()
    >>> edges = graph.edges[graph.edges[:, 0] == graph.labels.index("é")]
    >>> sorted(graph.labels[head] for head in edges[:, 1])
    ['e', '\\u0301']
    """
    pairs = []
    for code in range(CODE_POINTS):
        parts = unicodedata.decomposition(chr(code)).split()
        if parts and (everything or not parts[0].startswith("<")):
            pairs += [(chr(code), chr(int(part, 16))) for part in parts if not part.startswith("<")]
        other = chr(code).lower()
        if everything and len(other) == 1 and other != chr(code):
            pairs.append((chr(code), other))
    return _graph_of("all-decompositions", pairs) if everything else _largest_part("decompositions", pairs)


def _module_name(root: Path, path: Path) -> str:
    """Dotted name of a file of the standard library; empty for one that is none of its modules."""
    parts = path.relative_to(root).with_suffix("").parts
    if LEFT_OUT & set(parts[:-1]) or parts[0] not in sys.stdlib_module_names or parts[-1] == "__main__":
        return ""
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _longest_known(name: str, known: Iterable[str]) -> str:
    """The module that a name lies in: the longest beginning of it that is one."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def _largest_part(name: str, pairs: list[tuple[str, str]]) -> Graph:
    graph = _graph_of(name, pairs)
    parts = component_labels(graph)
    return induced_subgraph(graph, np.flatnonzero(parts == np.bincount(parts).argmax()))


def _graph_of(name: str, pairs: list[tuple[str, str]]) -> Graph:
    labels = sorted({label for pair in pairs for label in pair})
    numbers = {label: number for number, label in enumerate(labels)}
    return simple_graph(name, labels, np.array([[numbers[end] for end in pair] for pair in pairs]))
