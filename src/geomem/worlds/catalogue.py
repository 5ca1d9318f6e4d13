"""Every built-in world by the name the command line uses."""

from collections.abc import Callable

from geomem.worlds.graphs.atlas import europe, united_states
from geomem.worlds.graphs.classics import florentine_families, karate_club, les_miserables
from geomem.worlds.graphs.families import (
    barabasi_albert,
    complete,
    cycle,
    erdos_renyi,
    grid,
    irregular,
    path,
    path_star,
    random_regular,
    tree_star,
    watts_strogatz,
)
from geomem.worlds.graphs.graph import Graph

WORLDS: dict[str, Callable[..., Graph]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        path_star,
        tree_star,
        grid,
        cycle,
        path,
        complete,
        irregular,
        erdos_renyi,
        barabasi_albert,
        watts_strogatz,
        random_regular,
        europe,
        united_states,
        karate_club,
        les_miserables,
        florentine_families,
    )
}
"""The worlds; each is called with the options of its family, all of which have defaults."""

NATURAL_ORDER: dict[str, dict[str, None]] = {
    "path-star": {"world_seed": None},
    "tree-star": {"world_seed": None},
}
"""Options that number the nodes of a world in natural order, where its defaults shuffle them for training."""


def describe_world(name: str) -> str:
    """One line that says what a built-in world is: the first of its docstring.

    >>> describe_world("cycle")
    'Cycle: every node is joined to the next and the last to the first, which is the forward direction.'
    """
    return (WORLDS[name].__doc__ or "").partition("\n")[0]
