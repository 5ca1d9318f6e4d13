"""geomem: a laboratory for geometric memory in sequence models.

This is the table of contents. Names are looked up when first used, so `import geomem` is quick and imports
no torch; measuring embeddings never does.

>>> import geomem
>>> geomem.path_star(arms=4, length=5).node_count
17
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geomem.claims.reproduce import reproduce
    from geomem.errors import InputError
    from geomem.measure import (
        READINGS,
        Measurement,
        Portrait,
        measure_embeddings,
        measure_fleet,
        portrait_table,
    )
    from geomem.memorize import Announcement, memorize
    from geomem.models.configuration import MODELS, Associative, Bilinear, Mamba, Node2Vec, Transformer
    from geomem.report import write_report
    from geomem.store import (
        StoredFleet,
        fleet_embeddings,
        fleet_metrics,
        fleet_snapshots,
        fleet_weights,
        read_fleet,
    )
    from geomem.sweep import Sweep, sweep
    from geomem.training.configuration import RunSettings, Training, default_training
    from geomem.training.fleet import train_fleet
    from geomem.worlds.atlas import europe, united_states
    from geomem.worlds.catalogue import WORLDS
    from geomem.worlds.families import cycle, grid, path_star, tree_star
    from geomem.worlds.graph import Graph
    from geomem.worlds.readers import graph_from, read_graph
    from geomem.worlds.tasks import EdgeMemorization, Examples, edge_examples

__all__ = [
    "MODELS",
    "READINGS",
    "WORLDS",
    "Announcement",
    "Associative",
    "Bilinear",
    "EdgeMemorization",
    "Examples",
    "Graph",
    "InputError",
    "Mamba",
    "Measurement",
    "Node2Vec",
    "Portrait",
    "RunSettings",
    "StoredFleet",
    "Sweep",
    "Training",
    "Transformer",
    "cycle",
    "default_training",
    "edge_examples",
    "europe",
    "fleet_embeddings",
    "fleet_metrics",
    "fleet_snapshots",
    "fleet_weights",
    "graph_from",
    "grid",
    "measure_embeddings",
    "measure_fleet",
    "memorize",
    "path_star",
    "portrait_table",
    "read_fleet",
    "read_graph",
    "reproduce",
    "sweep",
    "train_fleet",
    "tree_star",
    "united_states",
    "write_report",
]

_HOMES = {
    "geomem.claims.reproduce": ("reproduce",),
    "geomem.errors": ("InputError",),
    "geomem.measure": (
        "READINGS",
        "Measurement",
        "Portrait",
        "measure_embeddings",
        "measure_fleet",
        "portrait_table",
    ),
    "geomem.memorize": ("Announcement", "memorize"),
    "geomem.models.configuration": ("MODELS", "Associative", "Bilinear", "Mamba", "Node2Vec", "Transformer"),
    "geomem.report": ("write_report",),
    "geomem.store": (
        "StoredFleet",
        "fleet_embeddings",
        "fleet_metrics",
        "fleet_snapshots",
        "fleet_weights",
        "read_fleet",
    ),
    "geomem.sweep": ("Sweep", "sweep"),
    "geomem.training.configuration": ("RunSettings", "Training", "default_training"),
    "geomem.training.fleet": ("train_fleet",),
    "geomem.worlds.atlas": ("europe", "united_states"),
    "geomem.worlds.catalogue": ("WORLDS",),
    "geomem.worlds.families": ("cycle", "grid", "path_star", "tree_star"),
    "geomem.worlds.graph": ("Graph",),
    "geomem.worlds.readers": ("graph_from", "read_graph"),
    "geomem.worlds.tasks": ("EdgeMemorization", "Examples", "edge_examples"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


class _Contents(ModuleType):
    """Keeps `geomem.memorize` and `geomem.sweep` the functions, not the modules of the same names."""

    def __setattr__(self, name: str, value: object) -> None:
        is_verb = name in ("memorize", "sweep") and isinstance(value, ModuleType)
        super().__setattr__(name, getattr(value, name) if is_verb else value)


sys.modules[__name__].__class__ = _Contents


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'geomem' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
