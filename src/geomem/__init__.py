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
    from geomem.measure.edges import (
        READINGS,
        Measurement,
        Portrait,
        measure_embeddings,
        measure_fleet,
        measure_vectors,
        portrait_table,
    )
    from geomem.measure.facts import measure_memory
    from geomem.measure.vectors.reading import read_embeddings
    from geomem.memories.ask import ask, open_memory
    from geomem.memories.construct import construct_memory, edit_fact, forget_fact
    from geomem.models.configuration import (
        MODELS,
        Associative,
        Bilinear,
        Gru,
        Mamba,
        Node2Vec,
        Recall,
        Transformer,
    )
    from geomem.report import write_report
    from geomem.runs.edges import Announcement, memorize
    from geomem.runs.facts import learn_facts
    from geomem.runs.memory_store import StoredMemory, read_memory
    from geomem.runs.paths import find_paths
    from geomem.runs.store import (
        StoredFleet,
        fleet_embeddings,
        fleet_metrics,
        fleet_snapshots,
        fleet_weights,
        read_fleet,
    )
    from geomem.sweep import Sweep, sweep
    from geomem.training.configuration import (
        PathTraining,
        RecallTraining,
        RunSettings,
        Training,
        default_training,
    )
    from geomem.training.edges import train_fleet
    from geomem.worlds.catalogue import WORLDS
    from geomem.worlds.facts.countries import countries, countries_with_borders
    from geomem.worlds.facts.families import random_bijections
    from geomem.worlds.facts.reader import facts_from, read_facts
    from geomem.worlds.facts.table import FactTable
    from geomem.worlds.graphs.atlas import europe, united_states
    from geomem.worlds.graphs.families import cycle, grid, path_star, tree_star
    from geomem.worlds.graphs.graph import Graph
    from geomem.worlds.graphs.readers import graph_from, read_graph
    from geomem.worlds.in_context import InContextPathFinding
    from geomem.worlds.path_finding import PathFinding
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
    "FactTable",
    "Graph",
    "Gru",
    "InContextPathFinding",
    "InputError",
    "Mamba",
    "Measurement",
    "Node2Vec",
    "PathFinding",
    "PathTraining",
    "Portrait",
    "Recall",
    "RecallTraining",
    "RunSettings",
    "StoredFleet",
    "StoredMemory",
    "Sweep",
    "Training",
    "Transformer",
    "ask",
    "construct_memory",
    "countries",
    "countries_with_borders",
    "cycle",
    "default_training",
    "edge_examples",
    "edit_fact",
    "europe",
    "facts_from",
    "find_paths",
    "fleet_embeddings",
    "fleet_metrics",
    "fleet_snapshots",
    "fleet_weights",
    "forget_fact",
    "graph_from",
    "grid",
    "learn_facts",
    "measure_embeddings",
    "measure_fleet",
    "measure_memory",
    "measure_vectors",
    "memorize",
    "open_memory",
    "path_star",
    "portrait_table",
    "random_bijections",
    "read_embeddings",
    "read_facts",
    "read_fleet",
    "read_graph",
    "read_memory",
    "reproduce",
    "sweep",
    "train_fleet",
    "tree_star",
    "united_states",
    "write_report",
]

_HOMES = {
    "geomem.memories.ask": ("ask", "open_memory"),
    "geomem.claims.reproduce": ("reproduce",),
    "geomem.memories.construct": ("construct_memory", "edit_fact", "forget_fact"),
    "geomem.errors": ("InputError",),
    "geomem.measure.edges": (
        "READINGS",
        "Measurement",
        "Portrait",
        "measure_embeddings",
        "measure_fleet",
        "measure_vectors",
        "portrait_table",
    ),
    "geomem.runs.edges": ("Announcement", "memorize"),
    "geomem.measure.facts": ("measure_memory",),
    "geomem.runs.memory_store": ("StoredMemory", "read_memory"),
    "geomem.models.configuration": (
        "MODELS",
        "Associative",
        "Bilinear",
        "Gru",
        "Mamba",
        "Node2Vec",
        "Recall",
        "Transformer",
    ),
    "geomem.runs.paths": ("find_paths",),
    "geomem.runs.facts": ("learn_facts",),
    "geomem.report": ("write_report",),
    "geomem.runs.store": (
        "StoredFleet",
        "fleet_embeddings",
        "fleet_metrics",
        "fleet_snapshots",
        "fleet_weights",
        "read_fleet",
    ),
    "geomem.sweep": ("Sweep", "sweep"),
    "geomem.training.configuration": (
        "PathTraining",
        "RecallTraining",
        "RunSettings",
        "Training",
        "default_training",
    ),
    "geomem.training.edges": ("train_fleet",),
    "geomem.measure.vectors.reading": ("read_embeddings",),
    "geomem.worlds.graphs.atlas": ("europe", "united_states"),
    "geomem.worlds.catalogue": ("WORLDS",),
    "geomem.worlds.facts.countries": ("countries", "countries_with_borders"),
    "geomem.worlds.facts.families": ("random_bijections",),
    "geomem.worlds.facts.reader": ("facts_from", "read_facts"),
    "geomem.worlds.facts.table": ("FactTable",),
    "geomem.worlds.graphs.families": ("cycle", "grid", "path_star", "tree_star"),
    "geomem.worlds.graphs.graph": ("Graph",),
    "geomem.worlds.in_context": ("InContextPathFinding",),
    "geomem.worlds.path_finding": ("PathFinding",),
    "geomem.worlds.graphs.readers": ("graph_from", "read_graph"),
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
