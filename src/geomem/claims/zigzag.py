"""Claims: the zig-zag, neighbours opposite and second neighbours alike, and its cure (T9, T10, T12)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from geomem.claims.chance import above_chance
from geomem.claims.claim import (
    Claim,
    Expected,
    FleetRequest,
    Judgement,
    Quantity,
    judge_by_means,
    measure_quantity,
)
from geomem.claims.evidence import Evidence, FleetEvidence, geometric, imagine_fleets, shells
from geomem.claims.tiny_graphs import GRAPHS, list_means, measure_graphs, mix_evidence, request_fleets
from geomem.geometry.alignment import bottom_energy
from geomem.geometry.similarity import cosine_similarity
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.worlds.graphs.graph import Graph, adjacency_matrix

EVERY_GRAPH = tuple(GRAPHS)
NO_TRIANGLES = ("star", "grid", "cycle")


def first_shell(fleet: FleetEvidence) -> np.ndarray:
    """Mean cosine of neighbours, [run]."""
    return shells(fleet)[:, 0]


def second_shell(fleet: FleetEvidence) -> np.ndarray:
    """Mean cosine of second neighbours, [run]."""
    return shells(fleet)[:, 1]


def second_minus_first(fleet: FleetEvidence) -> np.ndarray:
    """How much more alike second neighbours are than neighbours, [run]: positive in a zig-zag."""
    return second_shell(fleet) - first_shell(fleet)


def edges_in_triangles(graph: Graph) -> Bool[np.ndarray, " edge"]:
    """Whether the ends of each edge have a common neighbour, so that they are also two steps apart.

    >>> edges_in_triangles(GRAPHS["cycle"]).any().item(), edges_in_triangles(GRAPHS["irregular"]).sum().item()
    (False, 9)
    """
    adjacency = adjacency_matrix(graph).toarray()
    first, second = graph.edges.T
    return (adjacency @ adjacency)[first, second] > 0


def edge_cosines(fleet: FleetEvidence) -> Float[np.ndarray, "run edge"]:
    """Cosine of the ends of every edge."""
    first, second = fleet.request.world.edges.T
    return cosine_similarity(fleet.embeddings)[:, first, second]


def judge_gap(name: str, *, sign: int) -> Callable[[Evidence], Judgement]:
    """That second neighbours are more alike than neighbours (sign 1), or the other way round (-1)."""

    def judge(evidence: Evidence) -> Judgement:
        title = "s2 - s1" if sign > 0 else "s1 - s2"
        quantities = measure_graphs(
            evidence, name, title, lambda fleet: sign * second_minus_first(fleet), lambda gap: gap > 0
        )
        first, second = (
            ("Second neighbours", "neighbours") if sign > 0 else ("Neighbours", "second neighbours")
        )
        return judge_by_means(
            *quantities,
            sentence=f"{first} are more alike than {second} by a mean cosine of {list_means(quantities)}.",
        )

    return judge


def judge_signs(name: str, graphs: tuple[str, ...]) -> Callable[[Evidence], Judgement]:
    """That neighbours have a negative mean cosine and second neighbours a positive one."""

    def judge(evidence: Evidence) -> Judgement:
        near = measure_graphs(evidence, name, "s1", first_shell, lambda values: values < 0, graphs=graphs)
        next_ = measure_graphs(evidence, name, "s2", second_shell, lambda values: values > 0, graphs=graphs)
        return judge_by_means(
            *near,
            *next_,
            sentence=f"The mean cosine of neighbours is {list_means(near)}, that of second neighbours "
            f"{list_means(next_)}.",
        )

    return judge


def judge_outside_triangles(evidence: Evidence) -> Judgement:
    """That edges in no triangle zig-zag, and those in triangles do not."""
    fleet = evidence["node2vec-untied/irregular"]
    inside = edges_in_triangles(fleet.request.world)
    cosines = edge_cosines(fleet)
    apart, together = cosines[:, ~inside].mean(axis=1), cosines[:, inside].mean(axis=1)
    return judge_by_means(
        measure_quantity("s1 outside triangles, irregular", apart, held=apart < 0),
        measure_quantity("s1 in triangles, irregular", together, held=together > apart),
        sentence="Edges in no triangle have a mean cosine of {mean:.2f}, edges in a triangle, whose ends "
        "are second "
        f"neighbours too, one of {together.mean():.2f}.",
    )


def judge_bottom(evidence: Evidence) -> Judgement:
    """That the zig-zag's energy is at the bottom of the spectrum, and self-edges take it away."""
    quantities: list[Quantity] = []
    for name, title in (("bilinear", "bottom energy"), ("node2vec-untied", "bottom energy, untied")):
        for graph in EVERY_GRAPH:
            fleet = evidence[f"{name}/{graph}"]
            quantities.append(
                measure_quantity(
                    f"{title}, {graph}", bottom_share(fleet), held=above_chance(fleet, bottom_energy)
                )
            )
    for graph in EVERY_GRAPH:
        share = bottom_share(evidence[f"bilinear-self/{graph}"])
        without = quantities[EVERY_GRAPH.index(graph)].mean
        quantities.append(
            measure_quantity(f"bottom energy, self-edges, {graph}", share, held=share < without)
        )
    return judge_by_means(
        *quantities,
        sentence=f"The three fastest modes hold {list_means(quantities[:4])} of the bilinear network's "
        f"energy, with self-edges {list_means(quantities[8:])}.",
    )


def bottom_share(fleet: FleetEvidence) -> np.ndarray:
    """Share of the energy on the three lowest modes of -L, [run]."""
    return np.atleast_1d(bottom_energy(fleet.embeddings, laplacian_spectrum(fleet.request.world)))


def zigzag(requests) -> Evidence:
    """Embeddings in which neighbours are opposite."""
    return imagine_fleets(requests, "zig-zag")


def imagine_reversed(requests: tuple[FleetRequest, ...]) -> Evidence:
    """Geometries without self-edges and zig-zags with them."""
    return mix_evidence(
        geometric([request for request in requests if "-self" not in request.key]),
        zigzag([request for request in requests if "-self" in request.key]),
    )


UNTIED = "untied Node2Vec, width 100, start .1, plain descent, lr .05, 10,000 steps"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="zigzag/bilinear",
        aliases=("T9",),
        title="The bilinear network ends in a zig-zag",
        statement="Trained on both directions of every edge, its second neighbours end more alike than its "
        "neighbours.",
        place="B.3.5, T9; v2 section 4.4",
        conditions="bilinear network as published; the cycle: first 500 of 10,000 steps (full: all)",
        rule="On every graph s2 exceeds s1 on most seeds.",
        expected=(Expected("s1 -.19 to .25, s2 .6 to .7", "release", "B.3.5, T9", "s2 above s1"),),
        fleets=request_fleets("bilinear"),
        judge=judge_gap("bilinear", sign=1),
        wrong=geometric,
    ),
    Claim(
        id="zigzag/self-edges",
        aliases=("T10",),
        title="Self-edges remove it",
        statement="The zig-zag cancels the logit of the node itself; once that is asked for too, similarity "
        "falls with distance.",
        place="v3; B.3.3, T10",
        conditions="bilinear network with self-edges as published; the cycle: first 500 of 10,000 steps "
        "(full: all)",
        rule="On every graph s1 exceeds s2 on most seeds.",
        expected=(Expected("levels .68, .45, .84, .72, monotone", "release", "B.3.5, T10", "s1 above s2"),),
        fleets=request_fleets("bilinear-self"),
        judge=judge_gap("bilinear-self", sign=-1),
        wrong=zigzag,
    ),
    Claim(
        id="zigzag/transformer-ends",
        title="The Transformer ends in a zig-zag as well",
        statement="Its final embeddings, unlike those at the peak that the paper draws, have second "
        "neighbours more alike than neighbours.",
        place="B.3.5, snapshot selection",
        conditions="Transformer as published (B.3.1), final embeddings",
        rule="On every graph s2 exceeds s1 on most seeds.",
        expected=(Expected("star: s1 .34, s2 .56", "own measurement", "E.2.1", "s2 above s1"),),
        fleets=request_fleets("transformer"),
        judge=judge_gap("transformer", sign=1),
        wrong=geometric,
    ),
    Claim(
        id="zigzag/untied-node2vec",
        aliases=("T12",),
        title="Untying makes neighbours opposite",
        statement="With a second table for the read-out, neighbours get a negative cosine and second "
        "neighbours a positive one.",
        place="v2 section 4.4, Figs 10 and 11; B.3.7, T12",
        conditions=f"{UNTIED}; the three graphs without triangles",
        rule="On every graph s1 is negative and s2 positive on most seeds.",
        expected=(
            *(
                Expected("-.13 to -.19", "own measurement", "B.3.7", "negative", f"s1, {graph}")
                for graph in NO_TRIANGLES
            ),
            *(
                Expected(".32 to .40", "own measurement", "B.3.7", "positive", f"s2, {graph}")
                for graph in NO_TRIANGLES
            ),
        ),
        fleets=request_fleets("node2vec-untied", graphs=NO_TRIANGLES),
        judge=judge_signs("node2vec-untied", NO_TRIANGLES),
        wrong=geometric,
    ),
    Claim(
        id="zigzag/untied-irregular",
        aliases=("T12-irregular",),
        title="On the irregular graph too",
        statement="The same sign pattern over all edges of the irregular graph.",
        place="B.3.7, T12",
        conditions=f"{UNTIED}; irregular graph, 9 of whose 20 edges lie in triangles",
        rule="s1 is negative and s2 positive on most seeds.",
        expected=(
            Expected("-.13 to -.19", "own measurement", "B.3.7", "negative", "s1, irregular"),
            Expected(".32 to .40", "own measurement", "B.3.7", "positive", "s2, irregular"),
        ),
        fleets=request_fleets("node2vec-untied", graphs=("irregular",)),
        judge=judge_signs("node2vec-untied", ("irregular",)),
        wrong=geometric,
    ),
    Claim(
        id="zigzag/triangles",
        title="There, edges in no triangle zig-zag",
        statement="The ends of an edge of a triangle are second neighbours as well, so that the two rules of "
        "the zig-zag pull them both ways; on other edges the sign pattern holds.",
        place="beside T12",
        conditions=f"{UNTIED}; irregular graph",
        rule="On most seeds the mean cosine over edges in no triangle is negative, and below that over "
        "edges in one.",
        expected=(
            Expected(
                "negative", "derived", "docs/claims/zigzag.md", "below 0", "s1 outside triangles, irregular"
            ),
        ),
        fleets=request_fleets("node2vec-untied", graphs=("irregular",)),
        judge=judge_outside_triangles,
        wrong=geometric,
    ),
    Claim(
        id="zigzag/untied-transformer",
        aliases=("T12-transformer",),
        title="Untying the Transformer gives a zig-zag",
        statement="Untying destroys the visible geometry of the Transformer and leaves a zig-zag.",
        place="v2 section 4.4, Figs 33 and 34; T12",
        conditions="untied Transformer, otherwise as published",
        rule="On every graph s2 exceeds s1 on most seeds.",
        expected=(Expected("zig-zag", "paper", "v2 section 4.4; T12, direction only", "s2 above s1"),),
        fleets=request_fleets("transformer-untied"),
        judge=judge_gap("transformer-untied", sign=1),
        wrong=geometric,
    ),
    Claim(
        id="zigzag/bottom-energy",
        title="The zig-zag lives at the bottom of the spectrum",
        statement="It uses the strongly negative eigen-directions of -L, along which neighbours have "
        "opposite signs; self-edges take that energy away.",
        place="v2 section 4.4, Figs 10 and 11; A.3",
        conditions=f"bilinear network with and without self-edges; {UNTIED}; 3 lowest modes of -L, whole "
        "eigenspaces",
        rule="On every graph their share of the energy exceeds that of permuted nodes (p at most .05) on "
        "most seeds of both models, and with self-edges most seeds have less than the mean without.",
        expected=(Expected("above chance, less with self-edges", "paper", "A.3, v3", "p at most .05"),),
        fleets=request_fleets("bilinear", "node2vec-untied", "bilinear-self"),
        judge=judge_bottom,
        wrong=imagine_reversed,
    ),
)
"""In the order of the tables."""
