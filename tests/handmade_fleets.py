"""Stored fleets made without torch: a small Node2Vec in NumPy, and embeddings that never learn."""

from pathlib import Path

import numpy as np

from geomem.geometry.dynamics import node2vec_gradient_matrix, target_distribution
from geomem.geometry.similarity import geometric_level
from geomem.runs.directory import FORMAT, configuration_hash
from geomem.runs.run import Run, write_run
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

HOSTILE_LABELS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "<b>bold</b>",
    "</script><script>alert(3)</script>",
    "%{x} & &lt;i&gt;",
    "$\\frac{1}{2}$",
    "{{ 7 * 7 }}",
    "Åland, 東京\u2028",
)


def hostile_graph() -> Graph:
    """A ring of labels that try to be markup, script, template or formula, with coordinates."""
    count = len(HOSTILE_LABELS)
    angles = 2 * np.pi * np.arange(count) / count
    return Graph(
        name="<i>hostile</i>",
        labels=HOSTILE_LABELS,
        edges=np.stack([np.arange(count), (np.arange(count) + 1) % count], axis=1),
        coordinates=np.stack([2 * np.cos(angles), np.sin(angles)], axis=1),
        notes=("<u>noted</u>",),
    )


def make_fleet(
    directory: Path,
    graph: Graph,
    *,
    learns: bool = True,
    seeds: tuple[int, ...] = (0, 1),
    steps: int = 300,
    diverged: tuple[int, ...] = (),
) -> Run:
    """Train Node2Vec by gradient ascent (or only draw it, if it learns nothing) and store it as a fleet.

    The runs in `diverged` end in NaN.
    """
    examples = edge_examples(graph, EdgeMemorization())
    targets = target_distribution(examples, graph.node_count)
    kept = np.unique(np.concatenate([[0, steps], np.geomspace(1, steps, 9).astype(int)]))
    V = np.stack([np.random.default_rng(seed).normal(size=(graph.node_count, 24)) for seed in seeds])
    snapshots, metrics = [], {"loss": [], "associative_accuracy": [], "geometric_level": []}
    for step in range(steps + 1):
        if step in kept:
            snapshots.append(V.copy())
            logits = V @ V.swapaxes(1, 2)
            shifted = logits - logits.max(axis=2, keepdims=True)
            log_shares = shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))
            metrics["loss"].append(-(targets * log_shares).sum(axis=2).mean(axis=1))
            found = (log_shares * (targets > 0) > np.median(log_shares, axis=2, keepdims=True)) & (
                targets > 0
            )
            metrics["associative_accuracy"].append(found.sum(axis=(1, 2)) / (targets > 0).sum())
            metrics["geometric_level"].append(geometric_level(V, directed_facts(graph, EdgeMemorization())))
        if learns and step < steps:
            V = V + 0.05 * node2vec_gradient_matrix(V, targets) @ V
    for run in diverged:
        V[run] = snapshots[-1][run] = metrics["loss"][-1][run] = np.nan
        metrics["associative_accuracy"][-1][run] = 0.0
    kind = {"kind": "node2vec", "width": 24, "tied": True}
    configuration = {
        "world": {"name": graph.name, "digest": graph.digest},
        "task": {"kind": "edge-memorization", "directions": "both", "self_edges": False, "task_token": True},
        "model": kind if learns else {"kind": "associative", "width": 24},
        "training": {"steps": steps},
        "seeds": list(seeds),
    }
    parameters = {"token_embedding": V.astype(np.float32)}
    if not learns:
        parameters |= {"weight": np.zeros((len(seeds), 24, 24), np.float32)}
        parameters |= {"bias": np.zeros((len(seeds), 24), np.float32)}
    return write_run(
        directory / f"{'node2vec' if learns else 'associative'}-{configuration_hash(configuration)}",
        manifest={
            "format": FORMAT,
            "name": "handmade",
            "hash": configuration_hash(configuration),
            "configuration": configuration,
            "versions": {"numpy": np.__version__},
        },
        world=graph,
        metrics={name: np.stack(values) for name, values in metrics.items()},
        metric_steps=kept,
        weights=parameters,
        snapshots=np.stack(snapshots).astype(np.float32),
        snapshot_steps=kept,
    )
