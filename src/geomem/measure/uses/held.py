"""Runs that hold the facts of a graph, and how they are asked.

All prompts have three tokens: `[EDGE] [PAUSE] u` asks for the neighbours of u, `[PATH] [PAUSE] u` for the
nodes two steps from it, `[PATH] v u` for the next node on a shortest path from u to v.

Axis names: `run`, `node`, `prompt`, `token`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.similarity import centre, geometric_level
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.models.configuration import Model, Node2Vec
from geomem.models.model import compute_logits, initialize_parameters
from geomem.models.sequences import read_states
from geomem.training.configuration import Training, run_settings
from geomem.training.edges import train_fleet
from geomem.training.treated import UNTREATED, Treated, treat_graph
from geomem.training.treatment import Settings
from geomem.worlds.graphs.graph import Graph, adjacency_matrix
from geomem.worlds.tasks import EdgeMemorization, Examples, directed_facts, edge_examples
from geomem.worlds.vocabulary import Vocabulary

Weights = Mapping[str, np.ndarray]
"""Every parameter by name, [run, ...]."""


@dataclass(frozen=True, eq=False)
class Held:
    """Runs that hold the facts of a graph, with one token to spare for a new node."""

    graph: Graph
    model: Model
    seeds: tuple[int, ...]
    weights: Weights
    device: str = "cpu"

    @property
    def vocabulary_size(self) -> int:
        """Nodes, special tokens and the token to spare."""
        return Vocabulary(self.graph.labels).size + 1

    @property
    def spare(self) -> int:
        """The token of a new node."""
        return self.vocabulary_size - 1

    def embeddings(self) -> Float[np.ndarray, "run node width"]:
        """Of the nodes."""
        return self.weights["token_embedding"][:, : self.graph.node_count]

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights where they are computed with."""
        return {name: torch.tensor(array, device=self.device) for name, array in self.weights.items()}

    def answers(self, prompts: Int[np.ndarray, "prompt 3"]) -> Float[np.ndarray, "run prompt token"]:
        """Logits after every prompt."""
        with torch.no_grad():
            given = torch.tensor(prompts, device=self.device)
            return compute_logits(self.model, self.tensors(), given).cpu().numpy()

    def states(self, prompts: Int[np.ndarray, "prompt 3"]) -> Float[np.ndarray, "run prompt width"]:
        """What the read-out is given after every prompt."""
        with torch.no_grad():
            given = torch.tensor(prompts[None], device=self.device)
            return read_states(self.model, self.tensors(), given, first_read=2)[:, :, 0].cpu().numpy()


# Prompts and their answers.


def ask(
    graph: Graph,
    about: str,
    sources: Int[np.ndarray, " prompt"],
    goals: Int[np.ndarray, " prompt"] | None = None,
) -> Int[np.ndarray, "prompt 3"]:
    """The prompts of a kind about some sources, with a goal each or a pause in its place.

    >>> from geomem.worlds.graphs.families import path
    >>> ask(path(3), "[EDGE]", np.array([0, 1])).tolist()
    [[10, 4, 0], [10, 4, 1]]
    """
    vocabulary = Vocabulary(graph.labels)
    middle = np.full_like(sources, vocabulary.token("[PAUSE]")) if goals is None else goals
    return np.stack([np.full_like(sources, vocabulary.token(about)), middle, sources], axis=1)


def make_examples(
    prompts: Int[np.ndarray, "prompt 3"], answers: Bool[np.ndarray, "prompt token"], vocabulary_size: int
) -> Examples:
    """Examples of prompts with a right answer wherever `answers` says so; all facts weigh the same."""
    rows, targets = np.nonzero(answers)
    used, rows = np.unique(rows, return_inverse=True)
    weights = np.full(len(rows), 1 / len(rows))
    return Examples(prompts[used], rows, targets, weights, vocabulary_size)


def join_examples(first: Examples, second: Examples) -> Examples:
    """Both together, half of the loss each."""
    return Examples(
        np.concatenate([first.prefixes, second.prefixes]),
        np.concatenate([first.fact_examples, second.fact_examples + first.example_count]),
        np.concatenate([first.fact_targets, second.fact_targets]),
        np.concatenate([first.fact_weights, second.fact_weights]) / 2,
        first.vocabulary_size,
    )


def joined(graph: Graph) -> Bool[np.ndarray, "node node"]:
    """Whether an edge joins two nodes."""
    return adjacency_matrix(graph).toarray() > 0


def fact_examples(graph: Graph, vocabulary_size: int) -> Examples:
    """All edges of a graph in both directions."""
    return make_examples(ask(graph, "[EDGE]", np.arange(graph.node_count)), joined(graph), vocabulary_size)


def recalled(
    logits: Float[np.ndarray, "run prompt token"], answers: Bool[np.ndarray, "prompt token"]
) -> Bool[np.ndarray, "run fact"]:
    """Which right answers are among a prompt's d highest, d the number of its right answers.

    >>> recalled(np.array([[[3.0, 1.0, 2.0]]]), np.array([[True, True, False]])).tolist()
    [[True, False]]
    """
    ranks = rankdata(-logits, axis=-1, method="max")
    return (ranks <= answers.sum(axis=-1)[:, None])[:, answers]


# Holding facts.


def train(held: Held, examples: Examples, training: Training, treated: Treated = UNTREATED) -> Held:
    """The same runs after a training; without weights they start from their seeds."""
    graph = held.graph
    trained = train_fleet(
        held.model,
        examples,
        directed_facts(graph, EdgeMemorization()),
        graph.node_count,
        run_settings(training, held.seeds),
        training,
        start=held.weights or None,
        treated=treated,
        device=held.device,
    )
    return replace(held, weights={name: tensor.numpy() for name, tensor in trained.parameters.items()})


def node2vec_table(graph: Graph, width: int, seeds: tuple[int, ...], steps: int) -> np.ndarray:
    """Node2Vec's embeddings of a graph, centred and of root mean square .2: [run, node, width]."""
    model = Node2Vec(width=width)
    training = Training(**{**model.published, "steps": steps, "metric_every": steps}, snapshots=2)
    examples = edge_examples(graph, EdgeMemorization(task_token=False))
    own = train(Held(graph, model, seeds, {}), examples, training)
    table = centre(own.weights["token_embedding"])
    return (0.2 * table / np.sqrt(np.square(table).mean(axis=(1, 2), keepdims=True))).astype(np.float32)


def hold(
    graph: Graph,
    settings: Settings,
    seeds: tuple[int, ...],
    *,
    frozen: bool = False,
    node2vec_steps: int = 0,
    device: str = "cpu",
) -> Held:
    """Runs trained on the edges of a graph alone.

    `frozen` keeps the embeddings as drawn until the facts are held; with `node2vec_steps` they start as those
    that Node2Vec learns from the same facts in so many steps.
    """
    held = Held(graph, replace(settings.model, frozen_embeddings=frozen), seeds, {}, device)
    if node2vec_steps:
        drawn = initialize_parameters(
            held.model,
            vocabulary_size=held.vocabulary_size,
            context_length=3,
            node_count=graph.node_count,
            seeds=seeds,
        )
        weights = {name: tensor.numpy() for name, tensor in drawn.items()}
        weights["token_embedding"][:, : graph.node_count] = node2vec_table(
            graph, held.model.width, seeds, node2vec_steps
        )
        held = replace(held, weights=weights)
    treated = treat_graph(settings.treatment, graph, held.model.width)
    held = train(held, fact_examples(graph, held.vocabulary_size), settings.training, treated)
    return replace(held, model=replace(held.model, frozen_embeddings=False))


def measure_memory(held: Held) -> dict[str, Float[np.ndarray, " run"]]:
    """What is held: share of the facts recalled, geometric level, Fiedler alignment."""
    graph, n = held.graph, held.graph.node_count
    answers = np.zeros((n, held.vocabulary_size), dtype=bool)
    answers[:, :n] = joined(graph)
    facts = directed_facts(graph, EdgeMemorization())
    return {
        "recall": recalled(held.answers(ask(graph, "[EDGE]", np.arange(n))), answers).mean(axis=1),
        "level": np.asarray(geometric_level(held.embeddings(), facts)),
        "alignment": np.asarray(fiedler_alignment(held.embeddings(), laplacian_spectrum(graph))),
    }
