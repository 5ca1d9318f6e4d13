"""Claims: chains of relations in models written down, and depth against size (A3, A4; E6, E7).

Glossary: N entities that are subjects and objects at once, R relations, k hops, L layers, m code length, as
in our notes on arXiv 2605.12426, whose own multi-hop constants are not available to us.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from geomem.claims.check import Picture, check
from geomem.claims.claim import claim, conditions, expects, needs
from geomem.claims.counterexamples import imagine_numbers
from geomem.claims.factual_recall.settings import check_arrays
from geomem.claims.need import Scale, computed
from geomem.constructions.bounds import trade_off_table
from geomem.constructions.codes import binary_length
from geomem.constructions.hop_model import HopModel, answer_hops
from geomem.constructions.multihop import chain_of_thought, deep, flat, wide
from geomem.worlds.facts.families import random_permutations
from geomem.worlds.facts.hops import sample_chains
from geomem.worlds.facts.table import FactTable

ENTITIES, RELATIONS, QUERIES = 256, 4, 500
DEPTHS = tuple(range(1, 9))
TRADE_ENTITIES, TRADE_RELATIONS = 4096, 2


def recall_chains(model: HopModel, table: FactTable, hops: int, seed: int) -> float:
    """Share of sampled chains whose last object is right."""
    chains = sample_chains(table, hops, QUERIES, seed=seed)
    found = answer_hops(model, chains.subjects, chains.relations).objects
    return float((found == chains.answers[:, -1]).mean())


def compute_chain_of_thought(scale: Scale) -> Iterator[tuple[str, float]]:
    """Recall and residual size of chain of thought at every depth."""
    for seed in scale.seeds:
        table = random_permutations(ENTITIES, RELATIONS, world_seed=seed)
        for hops in DEPTHS:
            model = chain_of_thought(table, hops)
            yield f"recall, k = {hops}", recall_chains(model, table, hops, seed)
            if seed == scale.seeds[-1]:
                yield "residual sizes", model.size.residual_size


@claim("recall/chain-of-thought", "E6", place="A4 [P/T]; B4, E6 [D/M]")
@needs(
    computed(compute_chain_of_thought),
    counterexample=imagine_numbers(
        {f"recall, k = {hops}": [1.0, 1.0] for hops in DEPTHS} | {"residual sizes": 81.0 * np.array(DEPTHS)}
    ),
)
@conditions(f"N = {ENTITIES}, R = {RELATIONS}, k = 1 to 8; {QUERIES} chains per depth and seed")
@expects("no growth", "paper", "A4 [T]")
@expects(81.0, "derived", "A4, E6 [D/M]", "residual size", "exactly")
def thought(runs):
    """With chain of thought any number of hops fits the same model.

    A one-layer model that writes its answers out follows k relations with no more parameters than one.
    """
    yield from check_arrays(runs, "recall", exactly=1)
    sizes = runs.arrays["residual sizes"]
    same = sizes == sizes[0]
    yield check("residual size", sizes, held=same, rule="the same at every depth", over="everywhere")


def compute_single_runs(scale: Scale) -> Iterator[tuple[str, float]]:
    """Recall without chain of thought, and sizes less the formulas of A4."""
    N, R, m = ENTITIES, RELATIONS, binary_length(ENTITIES)
    for seed in scale.seeds:
        table = random_permutations(N, R, world_seed=seed)
        models = {"deep with L = 2 at k = 4": (deep(table, 4, 2), 4, R**2 * m + 4 * R + m, N + 2 * R**2 * m)}
        for k in (2, 3):
            models |= {
                f"flat at k = {k}": (flat(table, k), k, R**k * m + k * R + m, 2 * R**k * m),
                f"wide at k = {k}": (wide(table, k), k, R * m + k * R + m, N * R**k),
                f"deep with L = k at k = {k}": (deep(table, k, k), k, R * m + k * R + m, N + 2 * R * m),
            }
        for name, (model, k, residual, neurons) in models.items():
            off = abs(model.size.residual_size - residual) + abs(model.size.mlp_width - neurons)
            yield f"recall, {name}", recall_chains(model, table, k, seed)
            yield f"size less formula, {name}", off


@claim("recall/single-run", "E7", place="A4 [P]; B5, E7 [D/M]")
@needs(
    computed(compute_single_runs),
    counterexample=imagine_numbers(
        {f"recall, {name}": [1.0, 0.9] for name in ("flat", "wide", "deep")}
        | {f"size less formula, {name}": [0.0, 0.0] for name in ("flat", "wide", "deep")}
    ),
)
@conditions(
    f"N = {ENTITIES}, R = {RELATIONS}; flat, wide and deep with L = k at k = 2, 3, deep with L = "
    f"2 at k = 4; {QUERIES} chains each"
)
@expects("all chains", "derived", "A4, E7 [D/M]", tolerance="sizes exactly")
def single_run(runs):
    """Without it flat, deep and wide models are exact at sizes that explode.

    Constructions without chain of thought trade depth against dimension and width.
    """
    yield from check_arrays(runs, "recall", exactly=1)
    yield from check_arrays(runs, "size", exactly=0)


MODELS = {"chain of thought": 1, "flat": 1, "deep, L = 2": 2, "deep, L = k": 0, "wide": 1}
"""Layers of the models whose sizes are compared; 0 stands for as many as hops."""


def compute_trade_off(scale: Scale) -> Iterator[tuple[str, float]]:
    """Bits of a subject vector, of all other fact numbers, and L2's bound, by model and k; -1: no such."""
    for hops in DEPTHS:
        table = trade_off_table(TRADE_ENTITIES, TRADE_RELATIONS, hops)
        rows = {(row.size.model, row.size.layers): row for row in table}
        for name, layers in MODELS.items():
            row = rows.get((name.partition(",")[0], layers or hops))
            yield f"vector bits, {name}", row.vector_bits if row else -1.0
            yield f"other bits, {name}", row.size.other_numbers if row else -1.0
            yield f"bound, {name}", row.bound if row else -1.0


@claim(
    "recall-hops/trade-off",
    "theorem-4.2",
    "theorem-4.3",
    "theorem-4.4",
    place="Theorem 4.2 [T]; A3, A4 [P/T]; L2 [D]",
)
@needs(
    computed(compute_trade_off),
    counterexample=imagine_numbers(
        {
            f"{what}, {model}": np.full(len(DEPTHS), value)
            for model in MODELS
            for what, value in (("vector bits", 24.0), ("other bits", 0.0), ("bound", 40.0))
        }
    ),
)
@conditions(
    f"N = {TRADE_ENTITIES:,}, R = {TRADE_RELATIONS}, k = 1 to 8, one bit per fact number; L2 and "
    "the sizes are ours; a model obeys L2 if a subject's vector holds at least L2's bits at every k, and its "
    "other weights (5/96) N log2(N/2) bits where those are 0"
)
@expects("exponential without, constant with", "paper", "A4 [T]")
@expects(2.0, "derived", "A4 [D]", "growth of a flat model's vector per hop", "R")
def trade_off(runs):
    """Capacity against depth: every construction obeys the bound.

    A capacity-depth trade-off with a matching information-theoretic lower bound: without chain of thought
    dimension or width must grow, with it they stay.
    """
    starts = "vector bits, "
    vectors = {
        name.removeprefix(starts): runs.arrays[name] for name in runs.arrays if name.startswith(starts)
    }
    growth, thought = vectors["flat"][1:] / vectors["flat"][:-1], vectors["chain of thought"]
    name = "growth of a flat model's vector per hop"
    yield check(name, growth, at_least=TRADE_RELATIONS, over="everywhere")
    name, rule = "chain of thought: bits per subject", "the same at every k"
    yield check(name, thought, held=thought == thought[0], rule=rule, over="everywhere")
    linear, fair = 5 / 96 * TRADE_ENTITIES * np.log2(TRADE_ENTITIES / 2), []
    for name, vector in vectors.items():
        other, bound = (runs.arrays[f"{what}, {name}"] for what in ("other bits", "bound"))
        fair.append(((vector < 0) | (vector >= bound) & ((bound > 0) | (other >= linear))).all())
    yield check("share of models that obey L2", fair, held=all(fair), rule="exactly 1")
    rows = [
        {"hops": hops, "log2 of bits per subject": float(np.log2(bits)), "model": label}
        for label, curve in {**vectors, "L2 for flat": runs.arrays["bound, flat"]}.items()
        for hops, bits in zip(DEPTHS, curve, strict=True)
        if bits > 0
    ]
    yield Picture(pl.DataFrame(rows), "hops", "log2 of bits per subject", series="model")
