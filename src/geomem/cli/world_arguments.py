"""Options of a verb that looks at vectors, and of the graph or table of facts that they should know."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, make_dataclass
from typing import Annotated, Any

import tyro

from geomem.cli.facts import FactFileOptions
from geomem.cli.options import (
    GraphFileOptions,
    first_line,
    option_names,
    option_values,
    parse_options,
    refuse_file_options,
    signature_options,
    value_of,
)
from geomem.errors import InputError
from geomem.files import is_there
from geomem.worlds.catalogue import FACT_WORLDS, NATURAL_ORDER, WORLDS
from geomem.worlds.facts.table import FactTable
from geomem.worlds.find import find_facts, unknown_facts, unknown_world
from geomem.worlds.graphs.graph import Graph


def read_world_arguments(
    kind: type, arguments: Sequence[str], *, verb: str, description: str
) -> tuple[Any, Graph | FactTable | None]:
    """The options of a verb, and the world that `--graph` or, if it has that option, `--facts` names.

    A world is a file, whose layout may follow, or a built-in one by its options, a graph in natural order.
    Raises `InputError` for options that cannot be read, and for a world that is not there.
    """
    about_facts = "--facts" in option_names(kind) and value_of("--facts", arguments) is not None
    option = "--facts" if about_facts else "--graph"
    world = value_of(option, arguments)
    built_in: Mapping[str, Callable[..., Graph | FactTable]] = FACT_WORLDS if about_facts else WORLDS
    files = FactFileOptions if about_facts else GraphFileOptions
    if about_facts and value_of("--graph", arguments) is not None:
        raise InputError("Give either --graph or --facts; each is an audit of its own.")
    if world is not None and world in built_in:
        group = signature_options(built_in[world])
        title, default = f"Options of {world}.", group(**NATURAL_ORDER.get(world, {}))
        refuse_file_options(arguments, world, option_names(kind, group))
    else:
        group, title, default = files, first_line(files), files()
    entries = [
        (verb, kind, field(default=kind())),
        ("world", Annotated[group, tyro.conf.arg(help=title)], field(default=default)),
    ]
    name = f"{kind.__name__.removesuffix('Options')}Arguments"
    options = parse_options(
        make_dataclass(name, entries, frozen=True), arguments, verb=verb, description=description
    )
    if world is None:
        if options.world != default:
            raise InputError(
                "Options on how a file of edges is laid out go with --graph FILE; name the file."
            )
        return getattr(options, verb), None
    if world in built_in:
        return getattr(options, verb), built_in[world](**option_values(options.world))
    if not is_there(world):
        raise unknown_facts(world) if about_facts else unknown_world(world)
    if about_facts:
        return getattr(options, verb), find_facts(world, several=True, layout=options.world.layout)
    return getattr(options, verb), options.world.read(world)
