"""Claims: what an associative and a geometric memory cost in bits and in norm (propositions 1 to 4, A.4).

Every memory here is written down (`constructions.graph_memories`), not trained, and its margin is checked.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from geomem.claims.check import Picture, check, paper
from geomem.claims.claim import claim, conditions, deviates, expects, needs
from geomem.claims.counterexamples import altered
from geomem.claims.memorize_geometrically.theory import EVERYWHERE
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.claims.need import Scale, computed
from geomem.constructions import graph_memories as memories
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.graphs.graph import Graph

CYCLES = (5, 8, 15, 30, 60, 120)


def margin(Phi: np.ndarray, graph: Graph) -> float:
    """The smallest margin of a geometric memory."""
    return memories.smallest_margin(Phi @ Phi.T, memories.adjacency_table(graph))


def measure_tables(scale: Scale, *, missing: int = 0) -> Iterator[tuple[str, float]]:
    """Margin and norm of W = adjacency over one-hot embeddings; the first `missing` edges are left out."""
    for name, graph in GRAPHS.items():
        for title, forward in (("both", False), ("forward", True)):
            whole = memories.adjacency_table(graph, forward=forward)
            W = whole.copy()
            for u, v in graph.edges[:missing]:
                W[u, v] = W[v, u] = 0
            yield f"margin, {title}, {name}", memories.smallest_margin(W, whole)
            yield f"norm / bound, {title}, {name}", np.linalg.norm(W) / np.sqrt(whole.sum())


@claim("complexity/table-norm", "prop-3-associative", place="Prop 3, App E.2")
@needs(computed(measure_tables), counterexample=altered(measure_tables, missing=1))
@conditions(f"{EVERYWHERE}, W written down; the bound is √|E| (forward), √(2|E|) (both directions)")
@expects(1.0, "paper", "Prop 3", tolerance="norm over its bound")
def table_norm(runs):
    """A table of margin 1 has norm √|E|.

    With one-hot embeddings and W the adjacency matrix, margin 1 costs √|E|, and √2 times that for both
    directions.
    """
    for name, values in runs.arrays.items():
        of_margin = name.startswith("margin")
        yield check(name, values, at_least=1 if of_margin else None, at_most=None if of_margin else 1 + 1e-12)


def measure_encoders(scale: Scale, *, dimensions: int | None = None) -> Iterator[tuple[str, float]]:
    """Margin of the incidence embedding and its largest difference from the adjacency off the diagonal.

    `dimensions` keeps only the first ones.
    """
    for name, graph in GRAPHS.items():
        Phi, A = memories.incidence(graph)[:, :dimensions], memories.adjacency_table(graph)
        yield f"margin, {name}", margin(Phi, graph)
        yield f"error, {name}", np.abs((Phi @ Phi.T - A)[~np.eye(len(A), dtype=bool)]).max()


@claim("complexity/dual-encoder", "prop-4", place="Prop 4")
@needs(computed(measure_encoders), counterexample=altered(measure_encoders, dimensions=8))
@conditions(f"{EVERYWHERE}, Φ written down; a node's product with itself, its degree, does not count")
@expects(0.0, "paper", "Prop 4", tolerance="exactly")
def dual_encoder(runs):
    """A dual encoder can be associative.

    With |E| dimensions and Φ(u)_i = 1 if u is an end of edge i, Φ(u)·Φ(v) is 1 for edges and 0 otherwise.
    """
    for name, values in runs.arrays.items():
        of_margin = name.startswith("margin")
        yield check(name, values, at_least=1 if of_margin else None, at_most=None if of_margin else 0)


def measure_norms(scale: Scale, *, stretch: float = 1.0) -> Iterator[tuple[str, float]]:
    """Margins and norms of geometric memories: of the cycle on a circle and of the incidence embedding.

    `stretch` scales the embeddings.
    """
    rings = [cycle(nodes) for nodes in CYCLES]
    circles = [(memories.circle(ring.node_count), ring) for ring in rings]
    encoders = [(memories.incidence(graph), graph) for graph in [star(4), star(40), *rings[1:]]]
    for name, pairs in (("circle", circles), ("incidence", encoders)):
        for Phi, graph in pairs:
            norm = stretch * np.linalg.norm(Phi)
            yield f"margin, {name}", margin(stretch * Phi, graph)
            yield f"{name} / table", norm / np.sqrt(2 * graph.edge_count)
            if name == "circle":
                yield "nodes", float(graph.node_count)
                yield "circle / √|V|", norm / np.sqrt(graph.node_count)


def star(arms: int):
    """The path-star of arms of 5 nodes, root included, in the order of `arm_lattice`."""
    return path_star(arms, 5, world_seed=None)


@claim("complexity/norms", "prop-3", place="Props 1 and 3, App E.2")
@needs(computed(measure_norms), counterexample=altered(measure_norms, stretch=0.5))
@conditions(f"cycles of {CYCLES[0]} to {CYCLES[-1]} nodes on a circle, path-stars and cycles by incidence")
@deviates(
    "True with |E| dimensions. In the two dimensions of the cycle's picture the norm grows like "
    "n^1.5, and the bound √|V| takes for granted that some non-neighbour's product is not negative."
)
@expects("1 to 2", "paper", "Prop 1", "circle / table", "at every size")
@expects("grows with n", "derived", "A.4: r² = 1 / (cos 2π/n - cos 4π/n)")
def norms(runs):
    """Geometric and associative norms differ by a constant factor.

    A geometric memory of margin 1 has norm at least √|V|, and the ratio to the table's norm lies in [1, 2]
    whatever the size.
    """
    ratio, bound, equal = (
        runs.arrays[name] for name in ("circle / table", "circle / √|V|", "incidence / table")
    )
    yield check(f"circle / table, {CYCLES[-1]} nodes", ratio[-1], above=2)
    yield check(f"circle / √|V|, {CYCLES[0]} nodes", bound[0], below=1)
    yield paper(check("circle / table", ratio, at_most=2, over="everywhere"))
    yield paper(check("circle / √|V|", bound, at_least=1, over="everywhere"))
    for shared in (
        *(
            check(f"margin, {name}", runs.arrays[f"margin, {name}"], at_least=1 - 1e-9, over="everywhere")
            for name in ("circle", "incidence")
        ),
        check("incidence / table", equal, held=np.isclose(equal, 1), rule="1", over="everywhere"),
    ):
        yield from (shared, paper(shared))
    title = "norm on a circle / norm of the table"
    table = pl.DataFrame({"nodes of the cycle": runs.arrays["nodes"], title: ratio})
    yield Picture(table, "nodes of the cycle", title, log_x=True)


def measure_bits(scale: Scale, *, dimensions: int | None = None) -> Iterator[tuple[str, float]]:
    """Bits of both memories over sizes, and the wrong pairs when edges are read off the lattices.

    A pair is an edge where the squared distance is the smallest there is. `dimensions` cuts the path-star's.
    """
    for arms in (4, 16, 64):
        graph, lattice = star(arms), memories.arm_lattice(arms, 5)[:, :dimensions]
        yield "wrong pairs", memories.count_wrong_pairs(lattice, graph)
        geometric = graph.node_count * arms * np.log2(5)
        yield "path-star", geometric / (2 * graph.edge_count * np.log2(graph.node_count))
    for nodes in (16, 64, 256):
        yield "wrong pairs", memories.count_wrong_pairs(memories.diamond(nodes), cycle(nodes))
        yield "cycle", 2 * np.log2(nodes / 2 + 1) / np.log2(nodes)


@claim("complexity/bits", "prop-2", place="Prop 2, App E.2; v2 Refutation 3d")
@needs(computed(measure_bits), counterexample=altered(measure_bits, dimensions=3))
@conditions(
    "path-stars of 4, 16, 64 arms with an axis per arm against both directions; cycles of 16, 64, "
    "256 nodes on a lattice against one; edges read off the codes by distance"
)
@expects("more than 1", "paper", "Prop 2")
def bits(runs):
    """Geometry is not cheaper in bits.

    A table takes |E| log|V| bits (twice for both directions), a geometry |V| m log Δ: at least as much on
    path-star and cycle.
    """
    ratio = "geometric / associative bits"
    yield check(f"{ratio}, path-star", runs.arrays["path-star"], above=1, over="everywhere")
    yield check(f"{ratio}, cycle", runs.arrays["cycle"], above=1, below=2, over="everywhere")
    yield check("wrong pairs", runs.arrays["wrong pairs"], at_most=0, over="everywhere")
