"""`geomem headroom`: the study of interventions, on worlds of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import tyro

from geomem.cli.options import parse_options
from geomem.cli.study import RunOptions, show_study
from geomem.errors import InputError

DESCRIPTION = """Try every intervention on a world: which brings the Transformer to Node2Vec's geometry?

WORLD is a built-in graph or a file of edges; several are judged together. Without one it is the study of the
four tiny graphs and the borders of Europe, as `geomem study headroom`."""


@dataclass(frozen=True)
class HeadroomOptions:
    """On which worlds, how large, and where things go."""

    worlds: tyro.conf.Positional[tuple[str, ...]] = ()
    """Built-in graphs or files of edges."""
    run: tyro.conf.OmitArgPrefixes[RunOptions] = field(default_factory=RunOptions)


def run(arguments: Sequence[str]) -> int:
    """Do the study on the worlds given."""
    options = parse_options(HeadroomOptions, arguments, verb="headroom", description=DESCRIPTION)

    from geomem.studies.headroom import STUDY, headroom_on
    from geomem.worlds.find import find_world

    graphs = {graph.name: graph for graph in map(find_world, options.worlds)}
    if len(graphs) < len(options.worlds):
        raise InputError("Two of the worlds have one name; give each world once.")
    return show_study(headroom_on(graphs) if graphs else STUDY, options.run)
