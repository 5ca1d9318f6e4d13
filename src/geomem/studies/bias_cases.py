"""What the study of the bias trains: families of graphs, dials of facts and models, one measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from geomem.claims.experiment import Experiment, experiment
from geomem.claims.need import Needs, Scale
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.similarity import geometric_level
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.models.configuration import find_architecture
from geomem.training.configuration import RunSettings, Training, default_training
from geomem.training.schedule import learning_rate_factor, snapshot_steps
from geomem.training.treatment import Settings
from geomem.worlds.catalogue import WORLDS
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization

MODELS = ("node2vec", "transformer")
SNAPSHOTS = 8
FIRST_STEP = 20
"""Snapshots before this step are not kept: nothing has happened yet."""
PUBLISHED = 0.01
RATES = {"node2vec": (PUBLISHED,), "transformer": (0.003, PUBLISHED)}
"""Rates that a family of graphs is trained with."""


@dataclass(frozen=True)
class Case:
    """One training of the study."""

    dial: str
    """What is moved: a family of graphs, or a field."""
    value: float | int
    world: str
    model: str
    arguments: tuple[tuple[str, Any], ...] = ()
    """Of the world, by name."""
    changes: tuple[tuple[str, Any], ...] = ()
    """Fields of task or model, by name."""
    kind: Literal["graphs", "facts", "models"] = "graphs"

    @property
    def key(self) -> str:
        """What its experiment is called; a point would end the name of an experiment."""
        return f"{self.model}/{self.dial}/{self.world}/{self.value:g}".replace(".", ",")

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates of its runs."""
        return RATES[self.model] if self.kind == "graphs" else (PUBLISHED,)

    @property
    def graph(self) -> Graph:
        """Its world."""
        return _build(self.world, self.arguments)


@lru_cache(256)
def _build(world: str, arguments: tuple[tuple[str, Any], ...]) -> Graph:
    return WORLDS[world](**dict(arguments))


@dataclass(frozen=True)
class Family:
    """Graphs of one kind, of which one thing is moved."""

    world: str
    moved: str
    values: tuple[float | int, ...]
    arguments: Callable[[Any], Mapping[str, Any]]
    """Those of the world for a value."""


FAMILIES: dict[str, Family] = {
    "cycles": Family("cycle", "nodes", (8, 16, 32, 64, 128), lambda n: {"nodes": n}),
    "sizes": Family("random-regular", "nodes", (16, 32, 64, 128), lambda n: {"nodes": n, "degree": 4}),
    "degrees": Family(
        "random-regular", "degree", (3, 4, 6, 10, 16, 32), lambda degree: {"nodes": 64, "degree": degree}
    ),
    "small worlds": Family(
        "watts-strogatz",
        "rewiring",
        (0.0, 0.03, 0.1, 0.3, 1.0),
        lambda share: {"nodes": 64, "neighbours": 4, "rewiring": share},
    ),
    "communities": Family(
        "communities",
        "across",
        (0.02, 0.05, 0.1, 0.2, 0.5),
        lambda share: {"nodes": 64, "degree": 4, "across": share},
    ),
    "rectangles": Family(
        "grid", "columns", (8, 16, 32, 64), lambda side: {"rows": 64 // side, "columns": side}
    ),
    "stars": Family(
        "path-star", "arms", (2, 4, 8, 16, 48), lambda arms: {"arms": arms, "length": 1 + 48 // arms}
    ),
    "trees": Family("tree-star", "length", (3, 4, 5), lambda length: {"length": length}),
    "complete": Family("complete", "nodes", (8, 16, 32), lambda n: {"nodes": n}),
    "attachments": Family(
        "barabasi-albert", "attachments", (1, 2, 4, 8), lambda m: {"nodes": 64, "attachments": m}
    ),
    "random": Family(
        "erdos-renyi", "probability", (0.1, 0.2, 0.4), lambda p: {"nodes": 64, "probability": p}
    ),
}
"""Families of graphs by name; random ones are drawn once, from the world seed 0."""
REAL = "real"
REAL_GRAPHS = ("florentine-families", "karate-club", "davis-women", "les-miserables")
REAL_GRAPHS += ("europe", "united-states", "fullerene")

DIALS: dict[str, tuple[Literal["facts", "models"], tuple[float | int, ...]]] = {
    "reverse_share": ("facts", (0.0, 0.25, 0.5, 0.75, 1.0)),
    "zipf_exponent": ("facts", (0.0, 0.5, 1.0, 1.5, 2.0)),
    "noise_share": ("facts", (0.0, 0.1, 0.2, 0.4, 0.8)),
    "layers": ("models", (1, 2, 4)),
    "width": ("models", (8, 16, 32, 64)),
}
"""Fields that are moved on `DIAL_WORLDS`, and their values."""
DIAL_WORLDS = ("path-star", "grid", "europe")


def family_cases(model: str, *families: str) -> tuple[Case, ...]:
    """The trainings of a model on families of graphs, all of them and the real ones if none is named."""
    cases = []
    for name in families or (*FAMILIES, REAL):
        if name == REAL:
            cases += [Case(REAL, number, world, model) for number, world in enumerate(REAL_GRAPHS)]
            continue
        family = FAMILIES[name]
        for value in family.values:
            arguments = tuple(family.arguments(value).items())
            cases.append(Case(name, value, family.world, model, arguments))
    return tuple(cases)


def dial_cases(model: str, dial: str) -> tuple[Case, ...]:
    """The trainings of a model with a field moved; none if the model does not have it."""
    kind, values = DIALS[dial]
    if dial == "layers" and model == "node2vec":
        return ()
    return tuple(
        Case(dial, value, world, model, changes=((dial, value),), kind=kind)
        for world in DIAL_WORLDS
        for value in values
    )


def bias_needs(cases: Callable[[str], tuple[Case, ...]], models: tuple[str, ...] = MODELS) -> Needs:
    """The need of what some cases measure, for all models."""

    def request(scale: Scale) -> tuple[Experiment, ...]:
        return tuple(ask_for(case, scale) for model in models for case in cases(model))

    return request


def on_families(*names: str) -> Callable[[str], tuple[Case, ...]]:
    """The cases of families by model."""
    return lambda model: family_cases(model, *names)


def on_dial(dial: str) -> Callable[[str], tuple[Case, ...]]:
    """The cases of a dial by model."""
    return lambda model: dial_cases(model, dial)


def on_everything(model: str) -> tuple[Case, ...]:
    """All cases of a model."""
    return (*family_cases(model), *(case for dial in DIALS for case in dial_cases(model, dial)))


def ask_for(case: Case, scale: Scale) -> Experiment:
    """The experiment of a case; at the full scale four times the steps."""
    settings = {
        "world": case.world,
        "arguments": dict(case.arguments),
        "model": case.model,
        "changes": dict(case.changes),
        "rates": list(case.rates),
        "budget": 4 if scale.name == "full" else 1,
        "seeds": list(scale.seeds),
    }
    runs = len(scale.seeds) * len(case.rates)
    nodes = case.graph.node_count
    layers = int(dict(case.changes).get("layers", 1))
    each = 0.03 + 6e-5 * nodes**2 if case.model == "node2vec" else layers * (0.15 + 0.004 * nodes)
    return Experiment(
        case.key, measure_bias, settings, seconds=settings["budget"] * (0.2 * layers + each * runs)
    )


@experiment(version=1)
def measure_bias(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """A model's memory of a graph while it is trained, at several rates.

    `time` is the sum of the learning rates so far, [rate, snapshot]; `level` and `alignment` are
    [rate, snapshot, run], of the graph's edges whatever was told; `recall` at the end is [rate, run], of what
    was told.
    """
    from geomem.runs.edges import edge_job

    graph, seeds, rates = (
        WORLDS[settings["world"]](**settings["arguments"]),
        settings["seeds"],
        settings["rates"],
    )
    kind = find_architecture(settings["model"])
    plain = default_training(kind())
    steps = round(settings["budget"] * plain.steps)
    given = Settings(EdgeMemorization(), kind(), plain).change(
        steps=steps, metric_every=steps, snapshots=SNAPSHOTS, **settings["changes"]
    )
    job = edge_job(graph, model=given.model, task=given.task, training=given.training, seeds=seeds)
    runs = [RunSettings(seed, rate) for rate in rates for seed in seeds]
    trained = job.train(device=device, runs=runs)
    on_progress(0.9)
    kept = snapshot_steps(given.training) >= FIRST_STEP
    snapshots = trained.snapshots[kept]
    shape = (len(snapshots), len(rates), len(seeds))

    def by_rate(values: Any) -> np.ndarray:
        return np.asarray(values, dtype=np.float64).reshape(shape).swapaxes(0, 1)

    return {
        "time": np.outer(rates, summed_schedule(given.training)[kept]),
        "level": by_rate(geometric_level(snapshots, graph.edges)),
        "alignment": by_rate(fiedler_alignment(snapshots, laplacian_spectrum(graph))),
        "recall": trained.metrics["associative_accuracy"][-1].reshape(len(rates), len(seeds)),
    }


def summed_schedule(training: Training) -> np.ndarray:
    """Sum of the schedule's factors up to every snapshot: times the peak rate it is rate times steps.

    >>> summed_schedule(Training(steps=4, snapshots=4, schedule="constant")).tolist()
    [0.0, 1.0, 2.0, 4.0]
    """
    factors = [learning_rate_factor(training, step) for step in range(training.steps)]
    return np.concatenate([[0.0], np.cumsum(factors)])[snapshot_steps(training)]
