"""Every world by the name the command line uses; importing this module registers the built-in ones."""

from typing import Any

from geomem.worlds.facts import countries, families
from geomem.worlds.graphs import atlas, classics
from geomem.worlds.graphs import families as graph_families
from geomem.worlds.registry import FACT_WORLDS, NATURAL_ORDER, WORLDS, describe_world

__all__ = ["BUILT_IN", "FACT_WORLDS", "NATURAL_ORDER", "WORLDS", "describe_world"]

BUILT_IN = [module.__name__ for module in (graph_families, atlas, classics, families, countries)]
"""The modules that register the built-in worlds, in the order of the list."""


def _list_in_order(registry: dict[str, Any]) -> None:
    """The built-in worlds first, in the order of their modules, whichever was imported first."""
    names = [name for module in BUILT_IN for name in registry if registry[name].__module__ == module]
    for name in names + [name for name in registry if name not in names]:
        registry[name] = registry.pop(name)


_list_in_order(WORLDS)
_list_in_order(FACT_WORLDS)
