"""Claims: a geometry forms from edges alone, early, and mostly decays (T5 to T8, observations 3b and 5)."""

from collections.abc import Callable

import numpy as np

from geomem.claims.chance import above_chance, contrast, structured
from geomem.claims.claim import Claim, Expected, Judgement, Quantity, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence, alignment, associative, final, imagine_fleets, memorized
from geomem.claims.levels import (
    DECAYED,
    EARLY,
    FORWARD_LEVEL,
    KEPT,
    NO_LEVEL,
    PEAK,
    judge_before_recall,
    judge_decay,
    judge_forward,
    judge_kept,
    judge_no_level,
    judge_peak,
    level,
)
from geomem.claims.tiny_graphs import (
    GRAPHS,
    hold_somewhere,
    list_means,
    measure_graphs,
    mix_evidence,
    request_fleets,
)
from geomem.geometry.alignment import low_energy
from geomem.geometry.spectrum import laplacian_spectrum

EVERY_GRAPH = tuple(GRAPHS)


def judge_structure(name: str) -> Callable[[Evidence], Judgement]:
    """That the final embeddings of a setting know their graph's distances."""

    def judge(evidence: Evidence) -> Judgement:
        quantities = [
            measure_quantity(
                f"contrast, {graph}",
                contrast(evidence[f"{name}/{graph}"]),
                held=structured(evidence[f"{name}/{graph}"]),
            )
            for graph in EVERY_GRAPH
        ]
        held = sum(int(quantity.held.sum()) for quantity in quantities if quantity.held is not None)
        total = sum(len(quantity.values) for quantity in quantities)
        return judge_by_means(
            *quantities,
            sentence=f"{held} of {total} runs know distances better than permuted nodes; the mean centred "
            f"cosine at distance 1 or 2 leaves that over all pairs by {list_means(quantities)}.",
        )

    return judge


def structure_claim(
    what: str,
    name: str,
    *,
    title: str,
    statement: str,
    conditions: str,
    place: str,
    aliases: tuple[str, ...] = (),
) -> Claim:
    """That a setting's final embeddings know the graph, by the permutation test."""
    return Claim(
        id=f"geometry/{what}",
        aliases=aliases,
        title=title,
        statement=statement,
        place=place,
        conditions=conditions,
        rule="On every graph the final cosines by distance differ from permuted nodes (p at most .05, "
        "contrast at least .1) on most seeds.",
        expected=(Expected("above chance", "paper", place, "p at most .05"),),
        fleets=request_fleets(name),
        judge=judge_structure(name),
        wrong=associative,
    )


def judge_spectrum(evidence: Evidence) -> Judgement:
    """That the smoothest modes of the graph hold more of the energy than by chance."""
    quantities = []
    for name in ("transformer", "transformer-self"):
        for graph in EVERY_GRAPH:
            fleet = evidence[f"{name}/{graph}"]
            share = np.atleast_1d(low_energy(fleet.embeddings, laplacian_spectrum(fleet.request.world)))
            title = "low energy" + (", self-edges" if name.endswith("self") else "")
            quantities.append(
                measure_quantity(f"{title}, {graph}", share, held=above_chance(fleet, low_energy))
            )
    held = sum(int(quantity.held.sum()) for quantity in quantities if quantity.held is not None)
    total = sum(len(quantity.values) for quantity in quantities)
    return judge_by_means(
        *quantities,
        sentence=f"The smoothest modes hold {list_means(quantities[:4])} of the energy, with self-edges "
        f"{list_means(quantities[4:])}; {held} of {total} runs have more there than permuted nodes.",
    )


def judge_could_be_associative(evidence: Evidence) -> Judgement:
    """That the Transformer can recall a graph without a geometry."""
    recalled = measure_graphs(
        evidence,
        "transformer-frozen",
        "top-d recovery",
        lambda fleet: final(fleet, "associative_accuracy"),
        lambda values: values == 1.0,
    )
    flat = [
        measure_quantity(
            f"contrast, {graph}",
            contrast(evidence[f"transformer-frozen/{graph}"]),
            held=~structured(evidence[f"transformer-frozen/{graph}"]),
        )
        for graph in EVERY_GRAPH
    ]
    complete = sum(int(memorized(evidence[f"transformer-frozen/{graph}"]).sum()) for graph in EVERY_GRAPH)
    return judge_by_means(
        *recalled,
        *flat,
        holds=hold_somewhere(recalled) and all(quantity.held_share > 0.5 for quantity in flat),
        sentence=f"{complete} runs with frozen embeddings recall everything; the cosines of "
        f"{sum(int((~quantity.held).sum()) for quantity in flat if quantity.held is not None)} know the "
        "graph.",
    )


def judge_strongest(evidence: Evidence) -> Judgement:
    """That tied Node2Vec is more aligned and more alike at distance 1 than the deep models."""
    quantities: list[Quantity] = []
    gaps = []
    for graph in EVERY_GRAPH:
        others = [evidence[f"{name}/{graph}"] for name in ("transformer", "bilinear", "mamba")]
        node2vec = evidence[f"node2vec/{graph}"]
        best = max(float(alignment(other).mean()) for other in others)
        best_level = max(float(level(other).mean()) for other in others)
        values = alignment(node2vec)
        quantities.append(
            measure_quantity(f"Node2Vec's alignment, {graph}", values, held=(values > best) & (values >= 0.9))
        )
        quantities.append(
            measure_quantity(f"Node2Vec's level, {graph}", level(node2vec), held=level(node2vec) > best_level)
        )
        gaps.append(f"{best:.2f} ({graph})")
    return judge_by_means(
        *quantities,
        sentence=f"Node2Vec's alignment is {list_means(quantities[0::2])}; the best deep model's mean is "
        f"{', '.join(gaps)}.",
    )


def judge_headroom(evidence: Evidence) -> Judgement:
    """That self-edges raise the Transformer's alignment."""
    quantities = []
    before = []
    for graph in EVERY_GRAPH:
        plain = float(alignment(evidence[f"transformer/{graph}"]).mean())
        values = alignment(evidence[f"transformer-self/{graph}"])
        quantities.append(measure_quantity(f"alignment, {graph}", values, held=values > plain))
        before.append(plain)
    higher = [quantity.mean > plain for quantity, plain in zip(quantities, before, strict=True)]
    listed = ", ".join(f"{plain:.2f} ({graph})" for plain, graph in zip(before, EVERY_GRAPH, strict=True))
    return judge_by_means(
        *quantities,
        holds=all(higher),
        sentence=f"Self-edges move the mean alignment from {listed} to {list_means(quantities)}.",
    )


def imagine_weak_node2vec(requests) -> Evidence:
    """A Node2Vec without geometry beside deep models with one."""
    return mix_evidence(
        imagine_fleets([request for request in requests if "node2vec" in request.key], "associative"),
        imagine_fleets([request for request in requests if "node2vec" not in request.key], "geometric"),
    )


def imagine_no_lever(requests) -> Evidence:
    """Self-edges that destroy the geometry."""
    return mix_evidence(
        imagine_fleets([request for request in requests if "-self" in request.key], "associative"),
        imagine_fleets([request for request in requests if "-self" not in request.key], "geometric"),
    )


AS_PUBLISHED = "Transformer as published (B.3.1)"
FINAL_LEVELS = {"star": 0.33, "grid": 0.23, "cycle": 0.45, "irregular": 0.40}
SELF_LEVELS = {"star": 0.88, "grid": 0.62, "cycle": 0.78, "irregular": 0.80}
FORWARD_LEVELS = {"star": 0.51, "grid": 0.455, "cycle": 0.67, "irregular": 0.38}


def read_off(levels: dict[str, float], tolerance: str, place: str) -> tuple[Expected, ...]:
    """Levels read off the curves of the release's notebooks, one seed each."""
    return tuple(
        Expected(value, "release", place, tolerance, f"final level, {graph}")
        for graph, value in levels.items()
    )


CLAIMS: tuple[Claim, ...] = (
    structure_claim(
        "transformer-from-edges",
        "transformer",
        aliases=("obs-3b", "refutation-3a"),
        title="The Transformer learns a geometry from edges alone",
        statement="Embeddings trained on single edges only come to reflect distances in the graph, so global "
        "supervision is not the cause (observation 3b, refutation 3a).",
        conditions=AS_PUBLISHED,
        place="Obs 3b; observation 5, point 1; Figs 1 and 12 to 15",
    ),
    structure_claim(
        "bilinear-from-edges",
        "bilinear",
        title="So does the bilinear network",
        statement="Geometry appears in every architecture from edges only (observation 5, point 1).",
        conditions="bilinear network as published; the cycle: first 500 of 10,000 steps (full: all)",
        place="Obs 5, point 1; Figs 12 to 15",
    ),
    structure_claim(
        "node2vec-from-edges",
        "node2vec",
        title="So does Node2Vec",
        statement="Geometry appears in every architecture from edges only (observation 5, point 1).",
        conditions="tied Node2Vec, width 100, plain descent, lr .01, 10,000 steps",
        place="Obs 5, point 1; Figs 12 to 15",
    ),
    Claim(
        id="geometry/spectrum",
        aliases=("obs-5-2",),
        title="What it knows lies in the graph's smoothest modes",
        statement="The global information traces to the spectrum of the graph (observation 5, point 2).",
        place="Obs 5, point 2; Figs 12 to 15",
        conditions=f"{AS_PUBLISHED}, with and without self-edges; the 3 lowest non-trivial modes, whole "
        "eigenspaces",
        rule="On every graph, with and without self-edges, their share of the energy exceeds that of "
        "permuted nodes (p at most .05) on most seeds.",
        expected=(Expected("above chance", "paper", "Obs 5, point 2", "p at most .05"),),
        fleets=request_fleets("transformer", "transformer-self"),
        judge=judge_spectrum,
        wrong=associative,
    ),
    Claim(
        id="geometry/could-be-associative",
        aliases=("obs-5-3",),
        title="The Transformer could have stored the graph without it",
        statement="The deep models could have fitted the edges associatively (observation 5, point 3; "
        "observation 3a).",
        place="Obs 5, point 3",
        conditions="Transformer with frozen embeddings and positions, AdamW, lr .01, cosine, 2,000 steps",
        rule="On every graph one seed in three at least recalls everything, while most embeddings do not "
        "know the graph.",
        expected=(Expected(1.0, "paper", "Obs 3a", "one seed in three", "top-d recovery, star"),),
        fleets=request_fleets("transformer-frozen"),
        judge=judge_could_be_associative,
        wrong=lambda requests: imagine_fleets(requests, "geometric"),
    ),
    Claim(
        id="geometry/node2vec-strongest",
        title="Node2Vec's geometry is the strongest",
        statement="Node2Vec's geometry is cleaner than that of the deep models, which leaves them visible "
        "headroom (observation 5, point 4).",
        place="Obs 5, point 4; Hyp 4; Fig 1",
        conditions="tied Node2Vec beside Transformer, bilinear network and Mamba, all as published",
        rule="On every graph most seeds of Node2Vec have an alignment of at least .9 and more alignment and "
        "level than the mean of any other model.",
        expected=tuple(
            Expected(
                "0.98 to 1.0",
                "own measurement",
                "D, Fiedler alignment",
                "at least .9",
                f"Node2Vec's alignment, {graph}",
            )
            for graph in ("star", "grid", "cycle")
        ),
        fleets=request_fleets("node2vec", "transformer", "bilinear", "mamba"),
        judge=judge_strongest,
        wrong=imagine_weak_node2vec,
    ),
    Claim(
        id="geometry/headroom",
        title="Self-edges bring the Transformer nearer to Node2Vec",
        statement="Self-edges alone raise the Transformer's Fiedler alignment, from .49 to .94 without to "
        ".79 to .98 with them.",
        place="F.2, visible headroom",
        conditions="Transformer as published, with and without self-edges",
        rule="On every graph the mean alignment with self-edges exceeds that without.",
        expected=(
            Expected(".79 to .98", "own measurement", "F.2, shipped checkpoints", "higher than without"),
        ),
        fleets=request_fleets("transformer", "transformer-self"),
        judge=judge_headroom,
        wrong=imagine_no_lever,
    ),
    Claim(
        id="geometry/associative-level",
        aliases=("T5",),
        title="An associative memory has no geometric level",
        statement="With frozen embeddings the mean cosine of neighbours stays near zero throughout.",
        place="B.3.5, T5",
        conditions="associative models as published, narrow and of width 512, every recorded step",
        rule=f"On every graph most seeds stay within {NO_LEVEL} of zero at every step.",
        expected=(Expected(0.0, "release", "B.3.5", "within .1"),),
        fleets=request_fleets("associative", "associative-fast"),
        judge=judge_no_level,
        wrong=lambda requests: imagine_fleets(requests, "geometric"),
    ),
    Claim(
        id="geometry/early-peak",
        aliases=("T6",),
        title="The geometric level peaks within fifty steps",
        statement="In the Transformer the mean cosine of neighbours rises above .9 in its first 15 to 20 "
        "steps.",
        place="B.3.5, T6",
        conditions=f"{AS_PUBLISHED}, level every 5 steps",
        rule=f"On every graph most seeds peak at {PEAK} or more, and most within {EARLY} steps.",
        expected=(Expected(".93 to .97 at step 15 to 20", "release", "B.3.5", "at least .85"),),
        fleets=request_fleets("transformer"),
        judge=judge_peak,
        wrong=associative,
    ),
    Claim(
        id="geometry/before-recall",
        title="The peak comes before the graph is memorised",
        statement="The level falls as top-d recovery approaches 100 %, so geometry is there before "
        "everything is recalled.",
        place="B.3.5",
        conditions=f"{AS_PUBLISHED}, both every 5 steps",
        rule="On every graph the peak of most seeds comes before their first step of complete recall.",
        expected=(Expected("peak 15 to 20, recall 135 to 800", "release", "B.3.5", "before"),),
        fleets=request_fleets("transformer"),
        judge=judge_before_recall,
        wrong=lambda requests: imagine_fleets(requests, "geometric"),
    ),
    Claim(
        id="geometry/decay",
        aliases=("T6-decay", "E.4.4"),
        title="And it does not stay",
        statement="After its peak the level of the Transformer falls to .2 to .45: reaching the geometry is "
        "not keeping it.",
        place="B.3.5, T6, E.4.4",
        conditions=AS_PUBLISHED,
        rule=f"On every graph most seeds end at {DECAYED} or less, after a mean peak of at least {PEAK}.",
        expected=read_off(FINAL_LEVELS, "at most .55", "B.3.5, T6"),
        fleets=request_fleets("transformer"),
        judge=judge_decay,
        wrong=lambda requests: imagine_fleets(requests, "geometric"),
    ),
    Claim(
        id="geometry/self-edges",
        aliases=("T7",),
        title="Self-edges keep it",
        statement="With self-edges the level does not decay below .6 and similarity falls with distance.",
        place="B.3.5, T7",
        conditions="Transformer with self-edges as published (B.3.3); the level without self-pairs",
        rule=f"On every graph most seeds end at {KEPT} or more with s1 at least s2.",
        expected=read_off(SELF_LEVELS, "at least .45 (the release counts self-pairs)", "B.3.5, T7"),
        fleets=request_fleets("transformer-self"),
        judge=judge_kept,
        wrong=lambda requests: imagine_fleets(requests, "zig-zag"),
    ),
    Claim(
        id="geometry/forward-only",
        aliases=("T8",),
        title="Forward edges alone suffice",
        statement="Trained on one direction of every edge the Transformer's geometry is weaker, but there "
        "(observation 5, point 5).",
        place="Fig 21, B.3.5, T8",
        conditions="Transformer, forward edges, as published (B.3.2)",
        rule=f"On every graph most seeds end at a level above {FORWARD_LEVEL}.",
        expected=read_off(FORWARD_LEVELS, "above .25", "B.3.5, T8"),
        fleets=request_fleets("transformer-forward"),
        judge=judge_forward,
        wrong=associative,
    ),
    structure_claim(
        "backward-only",
        "transformer-backward",
        aliases=("obs-5-5",),
        title="So do backward edges alone",
        statement="Geometry also appears from one edge direction (observation 5, point 5).",
        conditions="Transformer, backward edges, otherwise as the forward runs of B.3.2",
        place="Obs 5, point 5",
    ),
)
"""In the order of the tables."""
