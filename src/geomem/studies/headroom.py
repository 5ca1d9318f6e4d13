"""Headroom: which interventions bring the Transformer's memory to Node2Vec's geometry, and keep it there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter, process_time
from typing import Any

import numpy as np
import polars as pl

from geomem.claims.check import Check, check
from geomem.claims.claim import OWN, claim, conditions, expects, needs
from geomem.claims.counterexamples import geometric, imagined
from geomem.claims.curves import Curves, curves, imagine_curves
from geomem.claims.evidence import Evidence, FleetEvidence, alignment, final
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.memorize_geometrically.path_settings import (
    EXACT,
    FIRST_HOP,
    PathSetting,
    describe_setting,
    measure_paths,
)
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.claims.need import FleetRequest, Need, Needs, Scale
from geomem.models.configuration import Node2Vec, Transformer
from geomem.runs.presets import NARROW, NARROW_TRAINING
from geomem.studies.headroom_tables import (
    STEPS,
    WITHIN,
    alignments,
    conclude,
    draw_leads,
    draw_paths,
    judged_worlds,
    list_interventions,
    path_table,
)
from geomem.studies.study import Study
from geomem.training.configuration import Training, default_training
from geomem.training.treatment import Settings, intervene
from geomem.worlds.graphs.atlas import europe
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization

PAGE = "docs/studies/headroom.md"

SLOW, PENALTY = "self edges + slow network", "self edges + dirichlet"
IDENTITY = "self edges + identity start + network decay"
STRONG = "strong dirichlet"
ALONE = (
    *("self-edges", "forward-only", "spectral-start", "small-embeddings", "wide-embeddings", "small-start"),
    *("identity-start", "slow-network", "fast-embeddings", "embedding-decay", "network-decay", "dirichlet"),
    *("strong-dirichlet", "noise", "dropout", "untied", "tied-start", "width-8", "gradient-descent"),
    *("muon-network", "muon"),
)
ARMS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    **{name.replace("-", " "): (name,) for name in ALONE},
    SLOW: ("self-edges", "slow-network"),
    PENALTY: ("self-edges", "dirichlet"),
    IDENTITY: ("self-edges", "identity-start", "network-decay"),
    "self edges + muon": ("self-edges", "muon"),
}
"""The interventions of every arm, by its name."""

KEPT = ("nothing", "self edges", "dirichlet", "muon", SLOW, PENALTY, IDENTITY)
"""The arms that the quick scale also trains six times as long, on the tiny graphs."""
LONG = ("nothing", SLOW, PENALTY)
"""Those that it trains forty times as long, on the star."""

WORLDS: dict[str, Graph] = {**GRAPHS, "europe": europe()}
"""The four tiny graphs and a real one."""


def fleet_of(arm: str, budget: int, name: str, world: Graph, seeds: tuple[int, ...]) -> FleetRequest:
    """The runs of an arm at so many times the published 500 steps; its key is "arm@budget/world"."""
    training = Training(steps=budget * STEPS, metric_every=5 * budget)
    done = intervene(ARMS[arm], Settings(EdgeMemorization(), Transformer(), training))
    return FleetRequest(
        f"{arm}@{budget}/{name}", world, done.model, done.training, seeds, done.task, done.treatment
    )


def runs_of(
    arms: Sequence[str], budget: int, worlds: Mapping[str, Graph] = GRAPHS, *, everywhere: bool = False
) -> Needs:
    """The need of arms at a budget; with `everywhere` the full scale has all arms."""

    def request(scale: Scale) -> tuple[FleetRequest, ...]:
        chosen = tuple(ARMS) if everywhere and scale.name == "full" else arms
        return tuple(
            fleet_of(arm, budget, name, world, scale.seeds)
            for arm in chosen
            for name, world in worlds.items()
        )

    return request


def node2vec_on(worlds: Mapping[str, Graph] = GRAPHS) -> Needs:
    """The need of Node2Vec, in its published setting."""

    def request(scale: Scale) -> tuple[FleetRequest, ...]:
        model = Node2Vec()
        return tuple(
            FleetRequest(f"node2vec/{name}", world, model, default_training(model), scale.seeds)
            for name, world in worlds.items()
        )

    return request


@experiment(version=2)
def measure_cost(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Time of a step with each arm's interventions, as a multiple of the first arm's: `ratio`, [arm].

    Processor time, on a card that of the clock. All arms take turns, with few steps and with many, so that
    other work on the machine meets all of them; the fastest rounds count.
    """
    from geomem.runs.edges import edge_job

    clock = process_time if device == "cpu" else perf_counter
    arms, lengths = settings["arms"], (20, 20 + settings["steps"])
    times = np.full((settings["rounds"], len(arms), 2), np.inf)
    for number in range(times.size):
        round_, arm, length = np.unravel_index(number, times.shape)
        steps = lengths[length]
        training = Training(steps=steps, metric_every=steps, snapshots=2)
        given = {"training": training, "seeds": settings["seeds"], "interventions": arms[arm]}
        job = edge_job(GRAPHS["star"], **given)
        began = clock()
        job.train(device=device)
        times[round_, arm, length] = clock() - began
        on_progress((number + 1) / times.size)
    few, many = times.min(axis=0).T
    return {"ratio": (many - few) / (many - few)[0]}


def cost_of_arms(scale: Scale) -> tuple[Need, ...]:
    """The need of the time of all arms."""
    settings = {
        "arms": [list(names) for names in ARMS.values()],
        "seeds": list(scale.seeds),
        "rounds": 10,
        "steps": 120,
    }
    return (Experiment("cost", measure_cost, settings, seconds=0.4 * len(ARMS) * len(scale.seeds)),)


PATH_ARMS, LENGTHS = ("nothing", STRONG), (7, 8)
"""What is tried on paths, and their nodes."""
PATHS = PathSetting(
    NARROW,
    replace(NARROW_TRAINING, epochs=100, stop_at=0.0, metric_every=4, snapshots=2),
    PathFinding(edge_weight=5.0),
    arms=500,
    length=7,
    seconds=50.0,
)
"""The narrow model of the laptop's presets, on 500 arms."""


def paths_of(length: int, arms: Sequence[str] = PATH_ARMS) -> Needs:
    """The need of path finding on arms of so many nodes; three seeds at the quick scale."""

    def request(scale: Scale) -> tuple[Experiment, ...]:
        seeds = scale.seeds[:3] if scale.name == "quick" else scale.seeds
        settings = {
            arm: describe_setting(replace(PATHS, length=length, interventions=ARMS[arm]), seeds)
            for arm in arms
        }
        return tuple(
            Experiment(path_key(arm, length), measure_paths, own, seconds=PATHS.seconds * len(seeds))
            for arm, own in settings.items()
        )

    return request


def path_key(arm: str, length: int) -> str:
    """The key of the curves of an arm on paths of so many nodes."""
    return f"paths/{arm}/{length}"


# The claims.


def lead(runs: Evidence, key: str, graph: str) -> np.ndarray:
    """Fiedler alignment after the last step, less Node2Vec's mean on the same graph."""
    return alignment(runs[f"{key}/{graph}"]) - float(np.mean(alignment(runs[f"node2vec/{graph}"])))


def check_reached(runs: Evidence, arm: str, budget: int) -> Iterator[Check]:
    """That an arm is at Node2Vec's alignment on every graph, with full recall."""
    for graph, fleet in runs.of(f"{arm}@{budget}"):
        ahead = lead(runs, f"{arm}@{budget}", graph)
        yield check(f"alignment less Node2Vec's, {arm}, {graph}", ahead, at_least=-WITHIN, over="mean")
        yield check(f"recall, {arm}, {graph}", final(fleet, "associative_accuracy"), exactly=1)


lookup = imagined("associative", {"node2vec": "geometric"})
"""Every fact recalled from a lookup table, beside a Node2Vec that is a geometry."""
SETTING = "Transformer of width 32, AdamW, learning rate .01, cosine to a tenth"


@claim("headroom/reached", place=PAGE)
@needs(node2vec_on(), runs_of((SLOW, PENALTY, IDENTITY), 1), counterexample=lookup)
@conditions(f"{SETTING}, 500 steps; the four tiny graphs")
@expects("each within .02 of Node2Vec, recall 1", OWN, PAGE)
def reached(runs: Evidence) -> Iterator[Check]:
    """Three combinations reach Node2Vec's geometry.

    Self-edges with a network that learns 30 times slower, with a Dirichlet penalty, or with residual branches
    that start at zero and decay, bring the Transformer to Node2Vec's alignment on every tiny graph, and every
    fact is recalled.
    """
    for arm in (SLOW, PENALTY, IDENTITY):
        yield from check_reached(runs, arm, 1)


@claim("headroom/kept", place=PAGE)
@needs(node2vec_on(), runs_of((PENALTY,), 6), counterexample=lookup)
@conditions(f"{SETTING}, 3,000 steps; the four tiny graphs")
@expects("within .02 of Node2Vec, recall 1", OWN, PAGE)
def kept(runs: Evidence) -> Iterator[Check]:
    """The penalty keeps it.

    Trained six times as long, self-edges with a Dirichlet penalty are still at Node2Vec's alignment on every
    tiny graph, and every fact is recalled.
    """
    yield from check_reached(runs, PENALTY, 6)


@claim("headroom/not-kept", place=PAGE)
@needs(
    node2vec_on({"star": GRAPHS["star"]}),
    runs_of(("nothing", SLOW, IDENTITY), 6, {"star": GRAPHS["star"]}),
    counterexample=geometric,
)
@conditions(f"{SETTING}, 3,000 steps; the star")
@expects("more than .02 below Node2Vec", OWN, PAGE)
def not_kept(runs: Evidence) -> Iterator[Check]:
    """What only slows or starts differently does not.

    Trained six times as long, neither the slow network nor the identity start is still at Node2Vec's
    alignment on the star.
    """
    for arm in ("nothing", SLOW, IDENTITY):
        ahead = lead(runs, f"{arm}@6", "star")
        yield check(f"alignment less Node2Vec's, {arm}, star", ahead, below=-WITHIN, over="mean")


@claim("headroom/wide-start", place=PAGE)
@needs(runs_of(("wide embeddings",), 1), counterexample=geometric)
@conditions(f"{SETTING}, 500 steps, embeddings from N(0, 1); the four tiny graphs")
@expects("alignment .26 to .33, recall 1", OWN, PAGE)
def wide_start(runs: Evidence) -> Iterator[Check]:
    """A wide start is the way down.

    With embeddings from N(0, 1) every fact is recalled from a lookup table: a control for all others.
    """
    for graph, fleet in runs.of("wide embeddings@1"):
        yield check(f"alignment, {graph}", alignment(fleet), at_most=0.5, over="mean")
        yield check(f"recall, {graph}", final(fleet, "associative_accuracy"), at_least=0.99, over="mean")


@claim("headroom/real", place=PAGE)
@needs(
    node2vec_on({"europe": WORLDS["europe"]}),
    runs_of((SLOW, PENALTY), 1, {"europe": WORLDS["europe"]}),
    counterexample=imagined("untrained"),
)
@conditions(f"{SETTING}, 500 steps; the land borders of Europe")
@expects("within .02 of Node2Vec, recall 1", OWN, PAGE)
def real_graph(runs: Evidence) -> Iterator[Check]:
    """The same holds on a real graph.

    On the borders of Europe the slow network and the penalty, with self-edges, reach Node2Vec's alignment,
    and every fact is recalled.
    """
    for arm in (SLOW, PENALTY):
        yield from check_reached(runs, arm, 1)


def imagined_paths(length: int, first_hop: float) -> Evidence:
    """Curves as if every arm ended with that share of held-out first hops."""
    return imagine_curves({path_key(arm, length): {FIRST_HOP: first_hop} for arm in PATH_ARMS})


def check_paths(runs: Evidence, length: int) -> Iterator[Check]:
    """That without intervention paths are not found, and with the strong penalty they are, to the end."""
    for arm in PATH_ARMS:
        ends = final(curves(runs, path_key(arm, length)), FIRST_HOP)
        low, high = (None, 0.5) if arm == "nothing" else (0.9, None)
        yield check(f"held-out first hop, {arm}", ends, at_least=low, at_most=high)


@claim("headroom/seven-nodes", place=PAGE)
@needs(paths_of(7), counterexample=imagined_paths(7, 0.2))
@conditions("500 arms of 7 nodes, Transformer of 2 layers and width 32, the presets' training, 100 epochs")
@expects("from failure to .9", OWN, PAGE)
def seven_nodes(runs: Evidence) -> Iterator[Check]:
    """A penalty turns path finding over 7 nodes from failure to success.

    On path-stars of 500 arms of 7 nodes, where the laptop's training never finds half of the held-out first
    hops, the Dirichlet penalty with a weight of 3 ends at .9 of them.
    """
    yield from check_paths(runs, 7)


@claim("headroom/eight-nodes", place=PAGE)
@needs(paths_of(8), counterexample=imagined_paths(8, 0.2))
@conditions("500 arms of 8 nodes, Transformer of 2 layers and width 32, the presets' training, 100 epochs")
@expects("from failure to .9", OWN, PAGE)
def eight_nodes(runs: Evidence) -> Iterator[Check]:
    """And over 8 nodes.

    The same on arms of 8 nodes.
    """
    yield from check_paths(runs, 8)


@claim("headroom/survey", place=PAGE)
@needs(
    node2vec_on(WORLDS),
    runs_of(tuple(ARMS), 1, WORLDS),
    runs_of(KEPT, 6, everywhere=True),
    runs_of(("nothing", "strong dirichlet", PENALTY), 6, {"europe": WORLDS["europe"]}, everywhere=True),
    runs_of(LONG, 40, {"star": GRAPHS["star"]}, everywhere=True),
    cost_of_arms,
    counterexample=lambda requests: Evidence(lookup(requests).fleets, {"cost.ratio": np.ones(len(ARMS))}),
)
@conditions(f"{SETTING}, 500, 3,000 and 20,000 steps; the four tiny graphs and the borders of Europe")
@expects("at least one", OWN, PAGE)
def survey(runs: Evidence) -> Iterator[Check]:
    """At least one intervention reaches Node2Vec and keeps it.

    Of all interventions and combinations, at least one is at Node2Vec's alignment on every tiny graph with
    full recall after 500 steps and after 3,000.
    """
    count = sum(stays(runs, arm) for arm in ARMS)
    yield check("interventions that reach it and keep it", [count], at_least=1)


def stays(runs: Evidence, arm: str) -> bool:
    """Whether an arm passes the rule at one and at six times the budget, on every tiny graph."""
    worlds = judged_worlds(world for world, _ in runs.of("nothing@1"))
    found = [item for budget in (1, 6) for item in check_reached(runs, arm, budget)]
    judged = [item for item in found if item.quantity.name.rpartition(", ")[2] in worlds]
    return len(judged) == 2 * 2 * len(worlds) and all(item.passed for item in judged)


# The table and what is made of it.


def tabulate(runs: Evidence) -> pl.DataFrame:
    """A row per arm, budget, world and seed."""
    ratios = dict(zip(ARMS, runs.arrays["cost.ratio"].tolist(), strict=True))
    rows = []
    order = ("node2vec", *ARMS)
    for key in sorted(runs.fleets, key=lambda key: order.index(key.partition("/")[0].partition("@")[0])):
        fleet, (name, _, world) = runs[key], key.partition("/")
        arm, _, budget = name.partition("@")
        rows += _rows_of(arm, int(budget or 0), world, fleet, ratios.get(arm, float("nan")))
    for length in LENGTHS:
        for arm in PATH_ARMS:
            if f"{path_key(arm, length)}.epochs" in runs.arrays:
                rows += _path_rows(arm, length, curves(runs, path_key(arm, length)))
    return pl.DataFrame(rows, infer_schema_length=None)


def _path_rows(arm: str, length: int, found: Curves) -> Iterator[dict[str, object]]:
    first, whole = (
        found.metrics[FIRST_HOP],
        found.metrics.get(EXACT, np.full_like(found.metrics[FIRST_HOP], np.nan)),
    )
    for row, epoch in enumerate(found.steps.tolist()):
        for seed in range(first.shape[1]):
            yield {
                "arm": arm,
                "world": f"{length} nodes",
                "seed": seed,
                "epoch": epoch,
                "first hop": float(first[row, seed]),
                "whole path": float(whole[row, seed]),
            }


def _rows_of(
    arm: str, budget: int, world: str, fleet: FleetEvidence, cost: float
) -> Iterator[dict[str, object]]:
    level, recall = fleet.metrics["geometric_level"], fleet.metrics["associative_accuracy"]
    for run, (seed, aligned) in enumerate(zip(fleet.request.seeds, alignment(fleet), strict=True)):
        yield {
            "arm": arm,
            "budget": budget,
            "world": world,
            "seed": seed,
            "alignment": float(aligned),
            "level": float(level[-1, run]),
            "peak level": float(level[:, run].max()),
            "recall": float(recall[-1, run]),
            "forgotten": float(recall[:, run].max() - recall[-1, run]),
            "cost": cost,
        }


STUDY = Study(
    name="headroom",
    title="Headroom: how to bring a Transformer's memory to Node2Vec's geometry",
    question="The paper sees visible headroom to make a Transformer's memory more strongly geometric. Which "
    "interventions bring it to Node2Vec's Fiedler alignment, at what cost, and do they keep it there?",
    rule="An intervention passes if on every tiny graph its mean alignment is at most .02 below Node2Vec's "
    "and most seeds recall every fact, after 500 steps (it reaches it) and after 3,000 (it keeps it). In "
    "path finding it passes if most seeds end with .9 of the held-out first hops where nothing ends "
    "below .5.",
    claims=(reached, kept, not_kept, wide_start, real_graph, seven_nodes, eight_nodes, survey),
    tabulate=tabulate,
    tables={"interventions": list_interventions}
    | {
        f"alignment after {budget * STEPS} steps": lambda table, budget=budget: alignments(table, budget)
        for budget in (1, 6, 40)
    }
    | {"paths": path_table},
    figures={"leads": draw_leads, "paths": draw_paths},
    conclude=conclude,
)


def headroom_on(worlds: Mapping[str, Graph]) -> Study:
    """The same study on other worlds: all interventions, judged on every one of them."""
    everything = (
        node2vec_on(worlds),
        runs_of(tuple(ARMS), 1, worlds),
        runs_of(KEPT, 6, worlds, everywhere=True),
        cost_of_arms,
    )
    claim = replace(survey, needs=everything, stated_conditions=f"{SETTING}; {', '.join(worlds)}")
    tables = dict(list(STUDY.tables.items())[:3])
    return replace(STUDY, claims=(claim,), tables=tables, figures={"leads": draw_leads})
