"""Does geometry help? The same facts held as a lookup table and as a geometry, and what each is good for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from geomem.claims.check import Check, check
from geomem.claims.claim import Decorator, checked, claim, conditions, expects, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.need import Need, Scale
from geomem.models.configuration import Transformer
from geomem.studies.benefit import (
    LOOKUPS,
    TASKS,
    conclude,
    differences,
    draw_benefit,
    draw_dose,
    tabulate_comparisons,
    tabulate_dose,
    tabulate_held,
    tabulate_judged,
    tabulate_scores,
)
from geomem.studies.study import Study
from geomem.training.configuration import Training
from geomem.training.treatment import Settings, intervene
from geomem.worlds.graphs.atlas import europe, united_states
from geomem.worlds.graphs.families import grid, path_star, tree_star
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization

PAGE = "docs/studies/helps.md"
STEPS, LATE = 1000, 3000

WORLDS: dict[str, Graph] = {"tree": tree_star(3, 5), "grid": grid(6, 7), "europe": europe()}
"""A tree of 46 nodes, a grid of 42, and the borders of 42 countries."""
FURTHER: dict[str, Graph] = {"star": path_star(8, 6), "states": united_states()}
"""What the full scale has beside them."""


@dataclass(frozen=True)
class Arm:
    """One way to hold the facts."""

    interventions: tuple[str, ...] = ()
    steps: int = STEPS
    frozen: bool = False
    """The embeddings stay as drawn while the facts are learned."""
    embedding_start: float = 1.0
    """Factor on the embeddings' start, N(0, .02²)."""
    node2vec_steps: int = 0
    """The embeddings start as Node2Vec's after so many steps."""


ARMS: dict[str, Arm] = {
    "frozen": Arm(embedding_start=50.0, frozen=True),
    "frozen, small": Arm(embedding_start=15.0, frozen=True),
    "wide start": Arm(embedding_start=50.0),
    "untied": Arm(("untied",)),
    "plain": Arm(),
    "late": Arm(steps=LATE),
    "spectral start": Arm(("spectral-start",)),
    "Node2Vec start": Arm(node2vec_steps=3000),
    "penalty": Arm(("dirichlet",)),
}
"""The ways to hold them, from lookup tables to geometries."""


@experiment(version=1)
def measure_uses(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """One way to hold the facts of one world, put to every use: scores by task, and what is held, [run]."""
    from geomem.measure.uses.changing import measure_adding, measure_forgetting
    from geomem.measure.uses.held import Held, hold, measure_memory
    from geomem.measure.uses.learning import measure_paths, measure_two_hops
    from geomem.measure.uses.reading import hidden_edges, measure_links, measure_reading, without

    graph, arm = (WORLDS | FURTHER)[settings["world"]], ARMS[settings["arm"]]
    seeds = tuple(settings["seeds"])
    training = Training(steps=settings["steps"], metric_every=settings["steps"], snapshots=2)
    plain = Settings(EdgeMemorization(), Transformer(position_scale=0.02), training)
    done = intervene(arm.interventions, plain.change(embedding_start=arm.embedding_start))

    def held_on(world: Graph) -> Held:
        return hold(world, done, seeds, frozen=arm.frozen, node2vec_steps=arm.node2vec_steps, device=device)

    held = held_on(graph)
    found = {"seed": np.array(seeds), **measure_memory(held), **measure_reading(held)}
    on_progress(0.1)
    found["two-hops"] = measure_two_hops(held)
    on_progress(0.2)
    found["paths"] = measure_paths(held)
    on_progress(0.5)
    found |= measure_adding(held)
    found |= measure_forgetting(held)
    on_progress(0.7)
    hidden = hidden_edges(graph)
    if len(hidden):
        found["links"] = measure_links(held_on(without(graph, hidden)), graph)
    return found


def all_uses(scale: Scale) -> tuple[Need, ...]:
    """Every way to hold the facts of every world."""
    worlds = WORLDS | FURTHER if scale.name == "full" else WORLDS
    return tuple(
        Experiment(
            f"{world}/{name}",
            measure_uses,
            {"world": world, "arm": name, "seeds": list(scale.seeds), "steps": arm.steps},
            seconds=(4.6 + 0.002 * arm.steps) * len(scale.seeds),
        )
        for world in worlds
        for name, arm in ARMS.items()
    )


def tabulate(runs: Evidence) -> pl.DataFrame:
    """A row per world, arm, task and seed, with what the run holds."""
    rows = []
    for key, seeds in runs.arrays.items():
        case, _, name = key.rpartition(".")
        if name != "seed":
            continue
        world, _, arm = case.partition("/")
        held = {part: runs.arrays[f"{case}.{part}"] for part in ("recall", "level", "alignment")}
        for task in TASKS:
            scores = runs.arrays.get(f"{case}.{task}", ())
            for run, (seed, score) in enumerate(zip(seeds[: len(scores)], scores, strict=True)):
                row = {"world": world, "arm": arm, "task": task, "seed": int(seed), "score": float(score)}
                rows.append(row | {part: float(values[run]) for part, values in held.items()})
    return pl.DataFrame(rows)


# The claims: what was expected before anything was measured.


def imagine_no_benefit(_: object) -> Evidence:
    """Scores that are the same however the facts are held."""
    generator = np.random.default_rng(0)
    experiments = {}
    for world in WORLDS:
        for number, arm in enumerate(ARMS):
            names = [task for task in TASKS if world == "tree" or task != "ancestor"]
            names = [task for task in names if world != "tree" or task != "links"]
            scores = {name: 0.5 + 0.01 * generator.normal(size=3) for name in names}
            held = {"recall": np.ones(3), "level": np.full(3, number / 10), "alignment": np.full(3, 0.5)}
            experiments[f"{world}/{arm}"] = {"seed": np.arange(3), **scores, **held}
    return imagine_arrays(experiments)


SETTING = (
    "Transformer of width 32, AdamW, learning rate .01, cosine to a tenth, 1,000 steps; tree, grid, europe"
)


def check_task(runs: Evidence, task: str, sign: int) -> Iterator[Check]:
    """That a task is helped (1) or harmed (-1) by the rule, with every difference."""
    table = tabulate(runs)
    side = "above" if sign > 0 else "below"
    for lookup in LOOKUPS:
        found = differences(table, task, ("plain", lookup))
        count = sum(one.sign == sign for one in found.values())
        name = f"worlds with an interval {side} 0, {lookup}"
        yield check(name, [count], at_least=min(2, len(found)))
    for lookup in LOOKUPS:
        for world, one in differences(table, task, ("plain", lookup)).items():
            yield check(f"plain less {lookup}, {world}", [one.mean])


def expected_to(task: str, sign: int) -> Decorator:
    """What the claim of a task shares with those of the others."""
    return checked(
        lambda runs: check_task(runs, task, sign),
        needs(all_uses, counterexample=imagine_no_benefit),
        conditions(SETTING),
        expects("helped" if sign > 0 else "harmed", "derived", f"{PAGE}, before the measurement"),
    )


@claim("helps/distance", place=PAGE)
@expected_to("distance", 1)
def distance(runs: Evidence) -> None:
    """Distances can be read from embeddings.

    How far apart two nodes are is read linearly from the embeddings of a geometry better than from those of a
    lookup table with the same facts.
    """


@claim("helps/distance-state", place=PAGE)
@expected_to("distance-state", 1)
def distance_state(runs: Evidence) -> None:
    """And from states.

    The same holds of the states before the read-out, where a lookup table has its facts.
    """


@claim("helps/ancestor", place=PAGE)
@expected_to("ancestor", 1)
def ancestor(runs: Evidence) -> None:
    """Nearest common ancestors too.

    In a tree the depth of the nearest common ancestor of two nodes is read better from a geometry.
    """


@claim("helps/links", place=PAGE)
@expected_to("links", 1)
def links(runs: Evidence) -> None:
    """Edges that were never told are likelier.

    A geometry ranks held-out edges above pairs that no edge joins more often than a lookup table.
    """


@claim("helps/two-hops", place=PAGE)
@expected_to("two-hops", 1)
def two_hops(runs: Evidence) -> None:
    """Two hops reach nodes that were not asked for.

    Trained to name what is two steps from half of the nodes, a geometry knows it of the other half better.
    """


@claim("helps/paths", place=PAGE)
@expected_to("paths", 1)
def paths(runs: Evidence) -> None:
    """Paths reach pairs that were not asked for.

    Trained on paths between some pairs of nodes, a geometry finds more of the others.
    """


@claim("helps/landing", place=PAGE)
@expected_to("adding-lands", 1)
def landing(runs: Evidence) -> None:
    """A new node lands where it belongs.

    Added with one edge alone, a node is placed among those near its neighbour in a geometry.
    """


@claim("helps/adding", place=PAGE)
@expected_to("adding-kept", -1)
def adding(runs: Evidence) -> None:
    """A new node costs more facts.

    Neighbours share directions, so training on one new edge alone loses more old facts in a geometry.
    """


@claim("helps/forgetting", place=PAGE)
@expected_to("forgetting-kept", -1)
def forgetting(runs: Evidence) -> None:
    """Forgetting takes more with it.

    An edge that is forgotten takes more facts of other nodes with it in a geometry.
    """


STUDY = Study(
    name="helps",
    title="Does geometry help? The same facts as a lookup table and as a geometry",
    question="A Transformer may hold facts as a lookup table or as a geometry, and recall them all either "
    "way. What is the geometry good for, and what does it cost?",
    rule="A task is helped if the 95 % interval of the paired difference, the plain Transformer less a "
    "lookup table with the same facts, lies above 0 in at least two of the worlds in which it is asked (in "
    "its one world, if there is one), for both lookup tables: frozen embeddings and a wide start. It is "
    "harmed if below 0 likewise, and open otherwise.",
    claims=(distance, distance_state, ancestor, links, two_hops, paths, landing, adding, forgetting),
    tabulate=tabulate,
    tables={
        "what is held": tabulate_held,
        "differences": tabulate_judged,
        "scores": tabulate_scores,
        "other comparisons": tabulate_comparisons,
        "dose": tabulate_dose,
    },
    figures={"benefit": draw_benefit, "dose": draw_dose},
    conclude=conclude,
)
