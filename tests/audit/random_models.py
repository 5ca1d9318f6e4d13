"""Models and graphs drawn at random: knowing nothing but what misleads, or with a geometry in them."""

import numpy as np

from geomem.audit.states import Layer, States
from geomem.geometry.projection import laplacian_coordinates
from geomem.worlds.facts.families import many_to_one, random_bijections
from geomem.worlds.graphs.families import (
    barabasi_albert,
    erdos_renyi,
    grid,
    path_star,
    random_regular,
    tree_star,
    watts_strogatz,
)
from geomem.worlds.graphs.graph import component_labels, induced_subgraph, node_degrees

FAMILIES = {
    "erdos-renyi": lambda n, seed: erdos_renyi(n, min(1.0, 5 / n), world_seed=seed),
    "barabasi-albert": lambda n, seed: barabasi_albert(n, 2, world_seed=seed),
    "watts-strogatz": lambda n, seed: watts_strogatz(n, 4, 0.2, world_seed=seed),
    "random regular": lambda n, seed: random_regular(n + n % 2, 3, world_seed=seed),
    "grid": lambda n, seed: grid(5, n // 5),
    "path-star": lambda n, seed: path_star(n // 5, 6, world_seed=seed),
    "tree": lambda n, seed: tree_star(3, 4, world_seed=seed),
}

TEMPLATES = ("The land of {}", "Think of {}")

MISLEADING = ("nothing", "degree", "shared tokens", "both")
"""What of a graph is in the vectors of a model that does not know it: how many neighbours a node has, along
one direction, as the frequency of a name may tell; equal vectors for some neighbours, as for names that end
with one token."""


def random_graph(family, nodes, seed):
    """The largest component of a graph of a family."""
    graph = FAMILIES[family](nodes, seed)
    labels = component_labels(graph)
    return induced_subgraph(graph, np.flatnonzero(labels == np.bincount(labels).argmax()))


def shared_tokens(graph, seed):
    """For every node the node whose token it shares; some neighbours share one."""
    token = np.arange(graph.node_count)
    generator = np.random.default_rng([seed, 1])
    for tail, head in graph.edges[generator.permutation(graph.edge_count)[: graph.node_count // 8]]:
        token[head] = token[tail]
    return token


def random_states(graph, seed, *, misled="nothing", trained=True, layers=3, width=24, strength=0.0):
    """Vectors of a model with a large common mean, layers that build on one another, and no knowledge.

    A re-initialised twin is not `trained`: it shares tokens and nothing else. With a `strength` the model
    holds the graph: smooth coordinates in every layer but the first, so many times the noise's deviation.
    """
    generator = np.random.default_rng(seed)
    nodes = graph.node_count
    token = shared_tokens(graph, nodes) if misled in ("shared tokens", "both") else np.arange(nodes)
    first = generator.normal(size=(1, nodes, width))[:, token]
    first += generator.normal(size=width) * 3
    if misled in ("degree", "both") and trained:
        first += np.log(node_degrees(graph))[:, None] * generator.normal(size=width) * 2
    places = [Layer("input embedding", first)]
    current = np.repeat(first, len(TEMPLATES), axis=0)
    planted = 0.0
    if strength:
        smooth = laplacian_coordinates(graph, dimensions=3)
        planted = strength * (smooth / smooth.std(axis=0)) @ generator.normal(size=(3, width)) / np.sqrt(3)
    for layer in range(1, layers):
        fresh = generator.normal(size=(len(TEMPLATES), nodes, width))[:, token]
        current = 0.7 * current + fresh + 2 * generator.normal(size=width) + planted
        places.append(Layer(f"block {layer}", current))
    return States(graph.labels, TEMPLATES, "last token", tuple(places))


def random_facts(number, subjects, *, misled="nothing", strength=0.0, twins=0):
    """One relation, and pairs of subjects' states and objects' vectors: of the model, then of its twins.

    One half of the relations are bijections, the others have few objects. Misled by shared tokens, a third of
    the subjects begin as their objects do, whatever the model knows, as Guatemala and Guatemala City.
    """
    if number % 2:
        table = random_bijections(subjects, 1, world_seed=number)
    else:
        table = many_to_one(subjects, 1, 6, world_seed=number)
    answers = table.facts[np.argsort(table.facts[:, 0]), 2]
    pairs = []
    for member in range(1 + twins):
        generator = np.random.default_rng([9, number, member])
        objects = generator.normal(size=(table.object_count, 24)) + generator.normal(size=24)
        first = generator.normal(size=(1, subjects, 24)) + 3 * generator.normal(size=24)
        if misled == "shared tokens":
            first[:, ::3] = 0.5 * first[:, ::3] + objects[answers[::3]]
        turned = np.linalg.qr(generator.normal(size=(24, 24)))[0]
        known = strength * (member == 0) * objects[answers] @ turned
        block = 0.7 * first + generator.normal(size=(2, subjects, 24)) + known
        places = (Layer("input embedding", first), Layer("block 1", block))
        pairs.append(
            (
                States(table.subjects, TEMPLATES, "last token", places),
                States(table.objects, ("",), "last token", (Layer("output embedding", objects[None]),)),
            )
        )
    return table, pairs
