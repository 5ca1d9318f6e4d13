"""The tiny-graph experiments of arXiv 2510.26745 as fleets: one cell is one model on one graph, many seeds.

Settings are those of the release's notebooks (tables B.3.1 to B.3.3 and B.3.6 of the paper file), except
that self-edges count once and associative runs have no positions. Seeds are 0 to 7 (0 to 2 for the width-512
runs of 10,000 steps, 0 to 31 where only some of eight memorise), the first ones, never chosen by result.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from bare_process import run_bare
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.similarity import distance_shells
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.models.configuration import Associative, Bilinear, Model, Node2Vec, Transformer
from geomem.training.configuration import RunSettings, Training
from geomem.training.edges import Trained, train_fleet
from geomem.worlds.graphs.families import cycle, grid, irregular, path_star
from geomem.worlds.graphs.graph import Graph, distance_matrix
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

SEEDS = tuple(range(8))
GRAPHS = {
    "star": path_star(arms=4, length=5),
    "grid": grid(rows=4, columns=4),
    "cycle": cycle(nodes=15),
    "irregular": irregular(),
}

BOTH = EdgeMemorization()
FORWARD = EdgeMemorization(directions="forward")
WITH_SELF = EdgeMemorization(self_edges=True)


@dataclass(frozen=True)
class Cell:
    """One experiment: what is memorised, by what, how."""

    graph: str
    task: EdgeMemorization
    model: Model
    training: Training
    seeds: tuple[int, ...] = SEEDS


def adamw(steps: int, learning_rate: float, *, decay: bool = True) -> Training:
    """The notebooks' optimizer: AdamW without weight decay, cosine to a tenth unless said otherwise."""
    return Training(
        steps=steps,
        learning_rate=learning_rate,
        schedule="cosine" if decay else "constant",
        metric_every=5 if steps <= 2500 else 50,
    )


def node2vec_training(steps: int = 10_000, learning_rate: float = 0.01) -> Training:
    """Plain full-batch gradient descent as in the release."""
    return Training(
        steps=steps,
        learning_rate=learning_rate,
        schedule="constant",
        optimizer="gradient-descent",
        metric_every=100,
    )


LONG_SEEDS = (0, 1, 2)
CELLS: dict[str, Cell] = {
    "transformer/star": Cell("star", BOTH, Transformer(), adamw(500, 0.01)),
    "transformer/grid": Cell("grid", BOTH, Transformer(), adamw(500, 0.01)),
    "transformer/cycle": Cell("cycle", BOTH, Transformer(), adamw(700, 0.01)),
    # One or two seeds in eight memorise here, and rounding decides which: more seeds make it no lottery.
    "transformer/irregular": Cell("irregular", BOTH, Transformer(), adamw(2500, 0.01), tuple(range(32))),
    "transformer-forward/star": Cell("star", FORWARD, Transformer(), adamw(500, 0.01)),
    "transformer-forward/grid": Cell("grid", FORWARD, Transformer(), adamw(1000, 0.01)),
    "transformer-forward/cycle": Cell("cycle", FORWARD, Transformer(), adamw(700, 0.01)),
    "transformer-forward/irregular": Cell("irregular", FORWARD, Transformer(width=48), adamw(2000, 0.01)),
    "transformer-self/star": Cell("star", WITH_SELF, Transformer(), adamw(500, 0.01)),
    "transformer-self/grid": Cell("grid", WITH_SELF, Transformer(), adamw(500, 0.01)),
    "transformer-self/cycle": Cell("cycle", WITH_SELF, Transformer(), adamw(700, 0.01)),
    "transformer-self/irregular": Cell("irregular", WITH_SELF, Transformer(width=48), adamw(2000, 0.01)),
    "bilinear/star": Cell("star", BOTH, Bilinear(width=32), adamw(500, 0.01)),
    "bilinear/grid": Cell("grid", BOTH, Bilinear(width=32), adamw(500, 0.01)),
    "bilinear/cycle": Cell("cycle", BOTH, Bilinear(width=512), adamw(10_000, 0.01, decay=False), LONG_SEEDS),
    "bilinear/irregular": Cell("irregular", BOTH, Bilinear(width=16), adamw(1000, 0.005)),
    "bilinear-self/star": Cell("star", WITH_SELF, Bilinear(width=32), adamw(200, 0.05)),
    "bilinear-self/grid": Cell("grid", WITH_SELF, Bilinear(width=16), adamw(200, 0.1)),
    "bilinear-self/cycle": Cell(
        "cycle", WITH_SELF, Bilinear(width=512), adamw(10_000, 0.01, decay=False), LONG_SEEDS
    ),
    "bilinear-self/irregular": Cell(
        "irregular", WITH_SELF, Bilinear(width=64), adamw(200, 0.05, decay=False)
    ),
    "associative/star": Cell("star", BOTH, Associative(width=32), adamw(500, 0.2)),
    "associative/grid": Cell("grid", BOTH, Associative(width=32), adamw(500, 0.2)),
    "associative/cycle": Cell("cycle", BOTH, Associative(width=15), adamw(5000, 10.0)),
    "associative/irregular": Cell("irregular", BOTH, Associative(width=16), adamw(500, 2.0)),
    "associative-self/star": Cell("star", WITH_SELF, Associative(width=32), adamw(200, 1.0)),
    "associative-self/grid": Cell("grid", WITH_SELF, Associative(width=16), adamw(200, 15.0)),
    "associative-self/cycle": Cell("cycle", WITH_SELF, Associative(width=15), adamw(200, 5.0)),
    "associative-self/irregular": Cell("irregular", WITH_SELF, Associative(width=64), adamw(200, 0.5)),
}
for _graph in GRAPHS:
    CELLS[f"associative-fast/{_graph}"] = Cell(
        _graph,
        BOTH,
        Associative(width=512),
        Training(steps=10, learning_rate=0.1, schedule="constant", metric_every=1),
    )
    CELLS[f"node2vec/{_graph}"] = Cell(_graph, BOTH, Node2Vec(), node2vec_training())
    CELLS[f"node2vec-self/{_graph}"] = Cell(_graph, WITH_SELF, Node2Vec(), node2vec_training())
    CELLS[f"node2vec-narrow/{_graph}"] = Cell(_graph, BOTH, Node2Vec(width=10), node2vec_training())
    CELLS[f"node2vec-untied/{_graph}"] = Cell(
        _graph, BOTH, Node2Vec(tied=False, embedding_scale=0.1), node2vec_training(learning_rate=0.05)
    )


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a cell's fleet did: its curves and its final node embeddings."""

    cell: Cell
    graph: Graph
    fleet: Trained
    embeddings: np.ndarray  # [run, node, width], float64
    loss_floor: float

    def curve(self, metric: str) -> np.ndarray:
        """A metric over the recorded steps, [row, run]."""
        return self.fleet.metrics[metric]

    def final(self, metric: str) -> np.ndarray:
        """A metric after the last step, [run]."""
        return self.curve(metric)[-1]

    def shells(self) -> np.ndarray:
        """Mean cosine at graph distance 1, 2, ..., [run, shell]."""
        distances = distance_matrix(self.graph)
        return np.stack([distance_shells(embedding, distances)[1] for embedding in self.embeddings])

    def alignment(self) -> np.ndarray:
        """Fiedler alignment of the final embeddings, [run]."""
        spectrum = laplacian_spectrum(self.graph)
        return np.array([fiedler_alignment(embedding, spectrum) for embedding in self.embeddings])


@cache
def outcome(name: str) -> Outcome:
    """What the cell of that name did, trained once per test session."""
    return run_bare(train_cell, name)


def train_cell(name: str) -> Outcome:
    """Train the cell of that name."""
    cell = CELLS[name]
    graph = GRAPHS[cell.graph]
    examples = edge_examples(graph, cell.task)
    facts = directed_facts(graph, cell.task)
    threads = torch.get_num_threads()
    fleet = train_fleet(
        cell.model,
        examples,
        facts[facts[:, 0] != facts[:, 1]],
        graph.node_count,
        [
            RunSettings(
                seed=seed, learning_rate=cell.training.learning_rate, weight_decay=cell.training.weight_decay
            )
            for seed in cell.seeds
        ],
        cell.training,
    )
    assert torch.get_num_threads() == threads
    out_degrees = np.bincount(facts[:, 0], minlength=graph.node_count)
    floor = float(np.log(out_degrees[facts[:, 0]]).mean())
    # Nobody asks for the parameters; they would go to the other process through shared memory.
    kept = replace(fleet, parameters={})
    return Outcome(cell, graph, kept, fleet.snapshots[-1].astype(np.float64), floor)
