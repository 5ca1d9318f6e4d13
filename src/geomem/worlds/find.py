"""Which world a person means: a graph, a built-in name, a file, or a graph of another library."""

import os
from pathlib import Path

from geomem.errors import InputError, unknown_name
from geomem.worlds.catalogue import WORLDS
from geomem.worlds.graph import Graph
from geomem.worlds.readers import graph_from, read_graph


def find_world(world: Graph | str | os.PathLike[str] | object) -> Graph:
    """The graph that is meant. A built-in name comes before a file of the same name; `./name` is the file.

    Raises `InputError` if it is nothing of all that, or cannot be read.

    >>> find_world("cycle").node_count
    15
    """
    if isinstance(world, Graph):
        return world
    if isinstance(world, str) and world in WORLDS:
        return WORLDS[world]()
    if isinstance(world, str) and not Path(world).exists():
        raise unknown_world(world)
    if isinstance(world, str | os.PathLike):
        return read_graph(Path(world))
    return graph_from(world)


def unknown_world(world: str) -> InputError:
    """The error for a text that is neither a built-in world nor a file, with the nearest names."""
    sentence = f"{world!r} is neither a built-in world nor a file that exists"
    return unknown_name(sentence, world, WORLDS, otherwise="`geomem worlds` lists the built-in ones")
