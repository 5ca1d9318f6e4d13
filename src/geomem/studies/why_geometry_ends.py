"""Both memories of a graph at one loss, written down and trained: what `why-geometry` compares.

Axis names: `run`, `node`, `token`, `width`, `parameter`, `point` on a segment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from geomem.claims.experiment import experiment
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.constructions.bilinear_memories import (
    BilinearMemory,
    at_least_cost,
    factored_memory,
    imbalance,
    least_cost,
    lookup_memory,
)
from geomem.constructions.graph_memories import adjacency_table
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.landscape import turn_onto
from geomem.geometry.margins import bilinear_logits, measure_margins
from geomem.geometry.similarity import geometric_level
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.geometry.structure import contrast
from geomem.models.architecture import Model
from geomem.models.configuration import Associative, Bilinear, Transformer
from geomem.training.configuration import Training
from geomem.training.floor import lowest_loss
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph, node_degrees
from geomem.worlds.tasks import EdgeMemorization, Examples, directed_facts, edge_examples

if TYPE_CHECKING:
    from geomem.measure.landscape import Landscape

WIDTH = 64
"""More than the tokens of any world, so that every table of logits fits over rows that are drawn."""
EXCESS = 0.1
"""Nats above the lowest possible loss at which memories are compared."""
MOST_STEPS = 3000
WORLDS: dict[str, Graph] = {**GRAPHS, "karate": find_world("karate-club")}
"""The paper's four tiny graphs and one of society."""
FURTHER: dict[str, Graph] = {"europe": find_world("europe")}
"""What the full scale has beside them."""
UNIT = 1 / WIDTH**0.5
"""Deviation of entries that gives rows of about unit length."""
GPT2 = 0.02

Weights = dict[str, np.ndarray]
"""Every parameter by name, [run, ...]."""


def world_of(name: str) -> Graph:
    """The graph of a world of the study."""
    return (WORLDS | FURTHER)[name]


def examples_of(name: str) -> Examples:
    """All its edges in both directions, as questions."""
    return edge_examples(world_of(name), EdgeMemorization())


def target_loss(name: str) -> float:
    """The loss at which memories of a world are compared."""
    return lowest_loss(Bilinear(), examples_of(name)) + EXCESS


# Written down.


def table_loss(name: str, strength: float) -> float:
    """The loss of the logits `strength` · adjacency, 0 for other tokens, in closed form.

    Mean over facts of ln(d e^β + V - d) - β, d the neighbours of who is asked, V all tokens.
    """
    degrees = node_degrees(world_of(name)).astype(float)
    tokens = examples_of(name).vocabulary_size
    losses = np.logaddexp(np.log(degrees) + strength, np.log(tokens - degrees)) - strength
    return float(np.average(losses, weights=degrees))


def target_logits(name: str) -> Float[np.ndarray, "node node"]:
    """The multiple of the adjacency matrix that has the loss of comparison."""
    from scipy.optimize import brentq

    aim = target_loss(name)
    strength = brentq(lambda strength: table_loss(name, strength) - aim, 0, 50)
    return float(strength) * adjacency_table(world_of(name))  # pyright: ignore[reportArgumentType]


def written_memories(name: str, seed: int) -> dict[str, BilinearMemory]:
    """The same logits three times, each at the scale that costs least."""
    logits = target_logits(name)
    drawn = np.random.default_rng(seed).normal(size=(len(logits), WIDTH)) * UNIT
    memories = {
        "orthonormal rows": lookup_memory(logits, np.eye(len(logits), WIDTH)),
        "drawn rows": lookup_memory(logits, drawn),
        "factored": factored_memory(logits, WIDTH),
    }
    return {form: at_least_cost(memory) for form, memory in memories.items()}


@experiment(version=1)
def measure_written(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Costs, margins and sharpness of the memories that are written down: "form.quantity" [run]."""
    name = settings["world"]
    examples = examples_of(name)
    found: dict[str, list[float]] = {}
    for seed in settings["seeds"]:
        for form, memory in written_memories(name, seed).items():
            point = _pad(memory, examples)
            for quantity, value in _describe(name, Bilinear(width=WIDTH), point).items():
                found.setdefault(f"{form}.{quantity}", []).append(value)
    return {key: np.array(values) for key, values in found.items()}


def _pad(memory: BilinearMemory, examples: Examples) -> Weights:
    """The weights of a bilinear model of one run without a bias, rows of zeros for the special tokens."""
    table = np.zeros((examples.vocabulary_size, WIDTH))
    table[: len(memory.embedding)] = memory.embedding
    return {"token_embedding": table, "weight": memory.weight, "bias": np.zeros(WIDTH)}


# What is measured of one memory.


def _describe(name: str, model: Model, weights: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Every quantity of the weights of one run, as they are."""
    from geomem.measure.landscape import edge_landscape

    landscape = edge_landscape(model, examples_of(name), weights)
    point = landscape.join(weights)
    largest, trace = landscape.sharpness(point)
    shown = {"loss": float(landscape.losses(point[None])[0]), "sharpness": largest, "trace": trace}
    shown["squares"] = float(np.square(point).sum())
    shown |= look_at(name, weights["token_embedding"][None])
    if not isinstance(model, Bilinear):
        return shown
    return shown | _costs(name, weights)


def look_at(name: str, tables: Float[np.ndarray, "run token width"]) -> dict[str, float]:
    """What rows show of the graph, on average over runs: level, contrast, Fiedler alignment."""
    graph = world_of(name)
    rows = tables[:, : graph.node_count].astype(np.float64)
    facts = directed_facts(graph, EdgeMemorization())
    return {
        "level": float(np.mean(geometric_level(rows, facts))),
        "contrast": float(np.mean(contrast(rows, graph))),
        "alignment": float(np.mean(fiedler_alignment(rows, laplacian_spectrum(graph)))),
    }


def node_memory(name: str, weights: Mapping[str, np.ndarray]) -> BilinearMemory:
    """Rows of the nodes and the map of one run's bilinear weights."""
    table = weights["token_embedding"][: world_of(name).node_count]
    return BilinearMemory(table.astype(np.float64), weights["weight"].astype(np.float64))


def _costs(name: str, weights: Mapping[str, np.ndarray]) -> dict[str, float]:
    memory = node_memory(name, weights)
    best = at_least_cost(memory)
    logits = bilinear_logits(memory.embedding, memory.weight, weights["bias"])
    margin = float(measure_margins(logits, directed_facts(world_of(name), EdgeMemorization())).margin)
    singular = np.linalg.svd(best.weight, compute_uv=False)
    return {
        "cost": best.cost,
        "price": best.cost / least_cost(memory.logits),
        "imbalance": imbalance(memory),
        "margin": margin,
        # Logits grow as the cost to the power of 3/2.
        "margin at cost 100": margin * (100 / best.cost) ** 1.5,
        "map, Frobenius": float(np.linalg.norm(singular)),
        "map, spectral": float(singular[0]),
        "map, nuclear": float(singular.sum()),
        "rows": float(np.linalg.norm(best.embedding)),
    }


# Trained to one loss.


def draw(name: str, model: Model, seeds: Sequence[int], rows: float = GPT2) -> Weights:
    """Fresh weights, those of the embeddings with another deviation."""
    from geomem.models.model import initialize_parameters

    examples = examples_of(name)
    drawn = initialize_parameters(
        model,
        vocabulary_size=examples.vocabulary_size,
        context_length=examples.prefixes.shape[1],
        node_count=world_of(name).node_count,
        seeds=seeds,
    )
    weights = {key: tensor.numpy() for key, tensor in drawn.items()}
    weights["token_embedding"] = weights["token_embedding"] * np.float32(rows / GPT2)
    return weights


@dataclass(frozen=True)
class End:
    """How a memory is trained that is compared at one loss."""

    model: Model
    """While it learns: a lookup table's embeddings stay as drawn."""
    rows: float = GPT2
    """Deviation of the embeddings at the start."""


BILINEAR, TRANSFORMER = Bilinear(width=WIDTH), Transformer(position_scale=0.02)
IDENTITY = replace(BILINEAR, initialization="identity")
ENDS: dict[str, dict[str, End]] = {
    "bilinear": {
        "lookup": End(Associative(width=WIDTH), UNIT),
        "gaussian": End(BILINEAR),
        "identity": End(IDENTITY),
        "wide": End(BILINEAR, UNIT),
    },
    "transformer": {
        "lookup": End(replace(TRANSFORMER, frozen_embeddings=True), 1.0),
        "plain": End(TRANSFORMER),
        "wide": End(TRANSFORMER, 1.0),
    },
}
"""The memories of a model, the lookup table first."""
WHOLE: dict[str, Model] = {"bilinear": BILINEAR, "transformer": TRANSFORMER}
"""The model in whose landscape all of them lie."""
FAST = Training(steps=MOST_STEPS, learning_rate=0.01, schedule="constant")


def reach(name: str, end: End, seeds: Sequence[int]) -> Weights:
    """Weights of every run at the loss of comparison, on the way of the step that first went below it.

    A run that never does is given as it ends.
    """
    from scipy.optimize import brentq

    from geomem.measure.landscape import edge_landscape
    from geomem.training.watched import train_watched

    weights, aim = draw(name, end.model, seeds, end.rows), target_loss(name)
    runs = len(seeds)
    pairs: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros(0), np.zeros(0))] * runs
    done = np.zeros(runs, dtype=bool)

    def watch(step: int, losses: np.ndarray, flat: np.ndarray, gradient: np.ndarray) -> None:
        for run in np.flatnonzero(~done):
            before = pairs[run][1] if step else flat[run].copy()
            pairs[run] = before, flat[run].copy()
        np.logical_or(done, losses <= aim, out=done)

    train_watched(end.model, examples_of(name), weights, FAST, watch, stop_below=aim)
    found = []
    for run, (before, after) in enumerate(pairs):
        own = {key: array[run] for key, array in weights.items()}
        landscape = edge_landscape(end.model, examples_of(name), own)
        way = after.astype(np.float64) - before

        def above(share: float, landscape: "Landscape" = landscape, before=before, way=way) -> float:
            return float(landscape.losses((before + share * way)[None])[0]) - aim

        reached = above(1.0) <= 0 < above(0.0)
        share = float(brentq(above, 0, 1)) if reached else 1.0  # pyright: ignore[reportArgumentType]
        found.append(own | landscape.cut(before + share * way))
    return {key: np.stack([own[key] for own in found]).astype(np.float64) for key in found[0]}


def at_least_squares(name: str, weights: Mapping[str, np.ndarray]) -> Weights:
    """The same function of one run's bilinear weights at the scale that costs its nodes and map least."""
    memory = node_memory(name, weights)
    best = at_least_cost(memory)
    scale = np.linalg.norm(best.embedding) / np.linalg.norm(memory.embedding)
    return {
        "token_embedding": scale * weights["token_embedding"],
        "weight": best.weight,
        "bias": weights["bias"] / scale,
    }


def turned(weights: Mapping[str, np.ndarray], onto: Mapping[str, np.ndarray]) -> Weights:
    """The same function, turned so that its embeddings are nearest to others: E R, RᵀWR, Rᵀb."""
    R = turn_onto(weights["token_embedding"], onto["token_embedding"])
    return {
        "token_embedding": weights["token_embedding"] @ R,
        "weight": R.T @ weights["weight"] @ R,
        "bias": R.T @ weights["bias"],
    }


@experiment(version=1)
def measure_ends(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Trained memories at one loss: "end.quantity" [run], "end.segment" and "end.turned" [run, point].

    Segments lead to the lookup table of the same seed, from the weights as they are and, of bilinear models,
    turned. Quantities of bilinear models are also measured at the scale that costs least, as "end, balanced".
    """
    from geomem.measure.landscape import edge_landscape

    name, kind, seeds = settings["world"], settings["model"], settings["seeds"]
    whole, reached = WHOLE[kind], {key: reach(name, end, seeds) for key, end in ENDS[kind].items()}
    on_progress(0.5)
    found: dict[str, list[Any]] = {}
    for run in range(len(seeds)):
        runs = {key: {part: a[run] for part, a in weights.items()} for key, weights in reached.items()}
        if kind == "bilinear":
            runs |= {f"{key}, balanced": at_least_squares(name, own) for key, own in runs.items()}
        for key, own in runs.items():
            for quantity, value in _describe(name, whole, own).items():
                found.setdefault(f"{key}.{quantity}", []).append(value)
            lookup = runs["lookup, balanced" if key.endswith("balanced") else "lookup"]
            landscape = edge_landscape(whole, examples_of(name), own)
            ways = {"segment": own} | ({"turned": turned(own, lookup)} if kind == "bilinear" else {})
            for way, start in ways.items():
                losses = landscape.segment(landscape.join(lookup), landscape.join(start))
                found.setdefault(f"{key}.{way}", []).append(losses)
    return {key: np.array(values) for key, values in found.items()}
