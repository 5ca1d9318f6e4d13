"""Which world a person means: a graph or table, a built-in name, a file, or an object of another library."""

import os
from pathlib import Path

from geomem.errors import InputError, unknown_name
from geomem.files import is_there
from geomem.worlds.catalogue import FACT_WORLDS, WORLDS
from geomem.worlds.facts.columns import FactLayout
from geomem.worlds.facts.reader import facts_from, read_fact_file
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.readers import graph_from, read_graph
from geomem.worlds.text_file import show_label


def find_world(world: Graph | str | os.PathLike[str] | object) -> Graph:
    """Find a graph by name, file or object; a built-in name comes before a file, `./name` is the file.

    Raises `InputError` if it is none of these, or cannot be read.

    >>> find_world("cycle").node_count
    15
    """
    if isinstance(world, Graph):
        return world
    if isinstance(world, str) and world in WORLDS:
        return WORLDS[world]()
    if isinstance(world, str) and not is_there(world):
        raise unknown_world(world)
    if isinstance(world, str | os.PathLike):
        return read_graph(Path(world))
    return graph_from(world)


def unknown_world(world: str) -> InputError:
    """The error for a text that is neither a built-in world nor a file, with the nearest names.

    >>> print(unknown_world("countries"))
    'countries' is a table of facts and not a graph; `geomem learn countries` trains models on it.
    """
    if world in FACT_WORLDS:
        return InputError(
            f"{world!r} is a table of facts and not a graph; `geomem learn {world}` trains models on it."
        )
    sentence = f"'{show_label(world, 200)}' is neither a built-in world nor a file that exists"
    return unknown_name(sentence, world, WORLDS, otherwise="`geomem worlds` lists the built-in ones")


def find_facts(
    facts: FactTable | str | os.PathLike[str] | object,
    *,
    several: bool = False,
    layout: FactLayout | None = None,
) -> FactTable:
    """Find a table of facts by the rules of `find_world`; `several` is that of `read_facts`.

    `layout` says how a file is laid out. Raises `InputError` if it is none of these, or cannot be read.

    >>> find_facts("countries").fact_count
    1169
    """
    if isinstance(facts, str) and facts in FACT_WORLDS:
        return FACT_WORLDS[facts]()
    if isinstance(facts, str) and not is_there(facts):
        raise unknown_facts(facts)
    if isinstance(facts, str | os.PathLike):
        return read_fact_file(Path(facts), layout or FactLayout(), several=several)
    return facts_from(facts, several=several)


def unknown_facts(facts: str) -> InputError:
    """The error for a text that is neither a built-in table nor a file, with the nearest names.

    >>> print(unknown_facts("europe"))
    'europe' is a graph and not a table of facts; `geomem memorize europe` trains models on it.
    """
    if facts in WORLDS:
        return InputError(
            f"{facts!r} is a graph and not a table of facts; `geomem memorize {facts}` trains models on it."
        )
    sentence = f"'{show_label(facts, 200)}' is neither a built-in table of facts nor a file that exists"
    return unknown_name(
        sentence, facts, FACT_WORLDS, otherwise=f"those built in are {', '.join(FACT_WORLDS)}"
    )
