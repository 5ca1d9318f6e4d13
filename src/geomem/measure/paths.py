"""Path finding from finished fleets: how well it answers, beside chance, and distances of held-out paths.

Axis names: `run`, `path` (a held-out one), `node` (of a path, without the root), `width`.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.measurement import Definition, Measurement, make_measurement
from geomem.geometry.signatures import Signature, find_random_first_token
from geomem.runs.run import Run
from geomem.training.metrics import find_metric
from geomem.worlds.graphs.graph import leaves_and_first_hops
from geomem.worlds.in_context import TEST_PROMPTS, InContextPathFinding
from geomem.worlds.path_finding import PathFinding, split_paths

PathTask = PathFinding | InContextPathFinding

FIRST_PROMPT = (
    "Every prompt shows a path-star of its own: geometry is that of the first test prompt's, as good as any."
)
"""What is said of the geometry of a fleet that finds paths in context."""
SHOWN_PATHS = 60
"""Held-out paths in a heatmap at most."""
SHOWN_STREAM, CHANCE_STREAM = 4, 5
"""Second number of the seeds that draw the shown paths, and guesses."""
GUESSES = 999
"""Times that every held-out path is guessed."""

ANSWERS = {
    "held_out.first_hop": Definition(
        "held_out_first_hop",
        "Held-out first hop",
        "Share of held-out leaves for which the node after the root is the best of all tokens",
        compared=True,
    ),
    "held_out.exact_match": Definition(
        "held_out_exact_match",
        "Held-out whole path",
        "Share of held-out leaves whose greedy answer is right in every token",
        compared=True,
    ),
    "held_out.first_hop_among_arms": Definition(
        "held_out_first_hop_among_arms",
        "Held-out first hop among the arms",
        "Share of held-out leaves for which the node after the root is the best of the root's neighbours",
    ),
    "train.first_hop": Definition(
        "train_first_hop", "Trained first hop", "The same share of trained leaves, 250 of them at most"
    ),
    "train.exact_match": Definition(
        "train_exact_match", "Trained whole path", "Share of trained leaves answered right in every token"
    ),
    "retrieval": Definition(
        "retrieval",
        "Retrieval, held-out leaves",
        "Share of held-out leaves whose own first hop is the nearest by cosine of all held-out first hops",
        compared=True,
    ),
}
"""Shares that are measured against guessing, by metric."""

LOSS = Definition("loss", "Loss", "Cross-entropy in nats of what is trained: edges and tokens of paths.")


@dataclass(frozen=True, eq=False)
class PathDistances:
    """Cosine distances of some held-out paths, sorted by first hop, after the last step."""

    paths: Int[np.ndarray, "path seq"]
    """Root to leaf."""
    held_out: int
    """How many held-out paths there are."""
    leaf_first: Float[np.ndarray, "run path path"]
    """1 - cos(leaf of path i, first hop of path j)."""
    path_path: Float[np.ndarray, "run path path"] | None
    """Mean distance of a node of path i and a node of path j, on the diagonal of two nodes of the path; the
    root left out. None where paths have one node besides it."""


def stored_path_task(fleet: Run) -> PathTask | None:
    """What runs were asked if they were trained to find paths, else None.

    Raises `InputError` if the manifest does not describe the task as this geomem does.
    """
    return fleet.task if isinstance(fleet.task, PathTask) else None


def path_chances(fleet: Run) -> dict[str, float]:
    """What guessing gives, by metric: one of the arms for a first hop, one of the leaves for a path.

    Retrieval chooses among the held-out first hops. Raises `ValueError` for a fleet that finds no paths.
    """
    task = stored_path_task(fleet)
    if task is None:
        raise ValueError(f"{fleet.path} was not trained to find paths")
    if isinstance(task, InContextPathFinding):
        arm = leaf = 1 / task.arms
        chances = {}
    else:
        leaves, hops = leaves_and_first_hops(fleet.graph)
        arm = 1 / len(np.unique(hops))
        leaf = arm if task.target == "first-hop" else 1 / len(leaves)
        chances = {"retrieval": 1 / len(np.unique(split_paths(fleet.graph, task)[1][:, 1]))}
    for part in ("held_out", "train"):
        chances |= {f"{part}.first_hop": arm, f"{part}.first_hop_among_arms": arm}
        chances[f"{part}.exact_match"] = leaf
    return chances


def unasked_metrics(fleet: Run) -> frozenset[str]:
    """Metrics under a name that says more than was asked: whole paths where the first hop alone is asked."""
    task = stored_path_task(fleet)
    if task is None or task.target != "first-hop":
        return frozenset()
    return frozenset({"held_out.exact_match", "train.exact_match"})


def tested_paths(fleet: Run) -> int:
    """Held-out paths, or prompts, that every row of the metrics asks for."""
    task = stored_path_task(fleet)
    return len(split_paths(fleet.graph, task)[1]) if isinstance(task, PathFinding) else TEST_PROMPTS


def steps_of_epoch(fleet: Run) -> int:
    """Steps of an epoch of a fleet that finds paths."""
    return int(fleet.manifest["configuration"]["training"]["batches"])


def measure_answers(fleet: Run, *, seed: int = 0) -> list[Measurement]:
    """Accuracies after the last step beside guessing, then edges recalled, distances of paths, and loss.

    A guess answers every held-out path with probability of chance: the p-value is that of the mean over runs.
    """
    values, chances, count = fleet.final(), path_chances(fleet), tested_paths(fleet)
    made = []
    for metric, definition in ANSWERS.items():
        if metric not in values or metric in unasked_metrics(fleet):
            continue
        draws = None
        if not metric.startswith("train."):
            generator = np.random.default_rng([seed, CHANCE_STREAM])
            draws = generator.binomial(count, chances[metric], (len(fleet.seeds), GUESSES)) / count
        said = f"{definition.explanation}; guessing gives {chances[metric]:.4g}."
        definition = replace(definition, explanation=said, null="guesses")
        made.append(make_measurement(definition, values[metric], seed=seed, draws=draws))
    return [*made, *measure_metrics(fleet, seed=seed), make_measurement(LOSS, values["loss"], seed=seed)]


def measure_metrics(fleet: Run, *, seed: int = 0) -> list[Measurement]:
    """The last values of the training metrics that are registered for a portrait."""
    made = []
    for name, values in fleet.final().items():
        part, metric, _ = find_metric(name)
        if metric and metric.measured:
            title = f"{metric.title}, {part.replace('_', '-')}" if part else metric.title
            definition = Definition(name.replace(".", "_"), title, metric.explanation)
            made.append(make_measurement(definition, values, seed=seed))
    return made


def find_first_token_guessed(fleet: Run) -> list[Signature]:
    """Whether runs know held-out paths but for where they begin; nothing where that cannot be told.

    The first hop is the greedy one, later hops are given the right ones before them.
    """
    task, values = stored_path_task(fleet), fleet.final()
    later = sorted(name for name in values if name.startswith("held_out.forced_token_"))[2:]
    if task is None or task.target != "path" or not later or "held_out.first_hop" not in values:
        return []
    accuracies = np.stack([values[name] for name in ("held_out.first_hop", *later)], axis=1)
    arms = round(1 / path_chances(fleet)["held_out.first_hop"])
    return [find_random_first_token(accuracies, paths=tested_paths(fleet), arms=arms)] if arms > 1 else []


def path_distances(fleet: Run, *, count: int = SHOWN_PATHS, seed: int = 0) -> PathDistances | None:
    """Cosine distances of up to `count` held-out paths, drawn by the seed; None for prompts and other tasks.

    Appendix C.4 of arXiv 2510.26745, section B.1 of which figures 16 (leaf and first hop) and 17 (path and
    path) are: D_ij = mean of 1 - cos over the nodes of paths i and j, over distinct pairs if i = j.
    """
    task = stored_path_task(fleet)
    if not isinstance(task, PathFinding):
        return None
    paths = split_paths(fleet.graph, task)[1]
    drawn = np.random.default_rng([seed, SHOWN_STREAM]).permutation(len(paths))[:count]
    shown = paths[drawn]
    shown = shown[np.lexsort((shown[:, -1], shown[:, 1]))]
    leaf_first, path_path = distances_of_paths(fleet.embeddings(), shown)
    return PathDistances(shown, len(paths), leaf_first, path_path)


def distances_of_paths(
    embeddings: Float[np.ndarray, "run all width"], paths: Int[np.ndarray, "path seq"]
) -> tuple[Float[np.ndarray, "run path path"], Float[np.ndarray, "run path path"] | None]:
    """The two matrices of `PathDistances`; a zero vector is at distance 1 from all.

    >>> embeddings = np.eye(3)[None, [0, 1, 1, 2, 2]]
    >>> leaf_first, path_path = distances_of_paths(embeddings, np.array([[0, 1, 2], [0, 3, 4]]))
    >>> leaf_first[0].tolist(), path_path[0].tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]])
    """
    vectors = embeddings[:, paths[:, 1:]]
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    leaf_first = 1 - units[:, :, -1] @ units[:, :, 0].swapaxes(1, 2)
    nodes = paths.shape[1] - 1
    if nodes < 2:
        return leaf_first, None
    sums = units.sum(axis=2)
    products = sums @ sums.swapaxes(1, 2)
    path_path = 1 - products / nodes**2
    own = np.arange(len(paths))
    distinct = products[:, own, own] - (units**2).sum(axis=(2, 3))
    path_path[:, own, own] = 1 - distinct / (nodes * (nodes - 1))
    return leaf_first, path_path
