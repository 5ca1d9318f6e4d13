"""Weights that runs begin with in place of drawn ones: those of finished runs, or of a file."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from geomem.errors import InputError
from geomem.models.configuration import Model
from geomem.runs.configuration import model_kind
from geomem.runs.directory import configuration_hash
from geomem.runs.run import Run, select_runs
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.language.telling import Telling


@dataclass(frozen=True, eq=False)
class Start:
    """What a training begins with, one run per seed; the arrays are read when it begins."""

    digest: str
    """What the configuration of the runs says of it."""
    weights: Callable[[], Mapping[str, np.ndarray]]
    """Every parameter of the model, [run, ...], by name."""


def start_of(stored: Run, graph: Graph, model: Model, seeds: tuple[int, ...]) -> Start:
    """The weights of finished runs, one per seed; raises `InputError` if they do not fit."""
    if stored.graph.digest != graph.digest:
        raise InputError(
            f"The run {stored.path} has another vocabulary, that of {stored.graph.name!r}, than "
            f"{graph.name!r}; start from a run on the same world."
        )
    if isinstance(stored.task, Telling):
        raise InputError(
            f"The run {stored.path} was told its graph in sentences and has other tokens; start from one of "
            "`geomem memorize` or `geomem paths`."
        )
    if missing := [seed for seed in seeds if seed not in stored.seeds]:
        raise InputError(
            f"The run {stored.path} has the seeds {', '.join(map(str, stored.seeds))} and not {missing[0]}; "
            "start runs of seeds that it has."
        )
    there, here = ({"kind": model_kind(own), **asdict(own)} for own in (stored.model, model))
    for name in here:
        # Whether embeddings are trained changes no shape: frozen ones may start from trained ones. Shapes
        # themselves, which a longer input may change, are compared one by one.
        if name not in ("frozen_embeddings", "sizes", "described") and here[name] != there.get(name):
            raise InputError(
                f"The run {stored.path} has model {name} {there.get(name)} and this one {here[name]}; "
                "leave the model's options out to start from it."
            )
    chosen = select_runs(stored, [stored.seeds.index(seed) for seed in seeds])
    return Start(configuration_hash(stored.configuration), chosen.weights)
