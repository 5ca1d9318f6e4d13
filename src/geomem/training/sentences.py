"""What is written down while a graph told in sentences is learned: which names each run gives as answers.

A name of several tokens is as likely as the product of its tokens' chances, each given those before. Names
that begin alike share what they begin with: every beginning is read once for all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.architecture import Model
from geomem.models.layers import count_runs, unembed
from geomem.models.loss import numbers_at_once
from geomem.models.model import Parameters
from geomem.models.sequences import read_out_table, read_states
from geomem.training.loop import Row, to_row
from geomem.training.metrics import NameAnswers, compute_metrics
from geomem.worlds.language.telling import Questions, Told

SAMPLE = 60
"""Questions of each part that are asked at every row of the metrics, and texts of which the loss is taken."""
SAMPLE_STREAM = 9
"""Second number of the seed that draws them, the same for all runs and trainings."""
PIECE_NUMBERS = 1 << 24
"""Numbers of the largest tensor that an evaluation on a CPU makes at a time, about."""


@dataclass(frozen=True, eq=False)
class NameTree:
    """Names taken apart into beginnings and next tokens."""

    beginnings: tuple[tuple[int, ...], ...]
    """Different ones, nothing among them."""
    places: Int[np.ndarray, "node step"]
    """The beginning before each token of every name."""
    tokens: Int[np.ndarray, "node step"]
    used: Float[np.ndarray, "node step"]
    """1 for a token, 0 after the name's last."""


def grow_tree(names: Sequence[tuple[int, ...]]) -> NameTree:
    """The tree of names given as tokens.

    >>> grow_tree([(5, 1), (5, 2), (7,)]).beginnings
    ((), (5,))
    """
    beginnings = dict.fromkeys(name[:step] for name in names for step in range(len(name)))
    number = {beginning: place for place, beginning in enumerate(beginnings)}
    longest = max(map(len, names))
    places, tokens, used = (np.zeros((len(names), longest), dtype=np.int64) for _ in range(3))
    for node, name in enumerate(names):
        for step, token in enumerate(name):
            places[node, step], tokens[node, step], used[node, step] = number[name[:step]], token, 1
    return NameTree(tuple(beginnings), places, tokens, used.astype(np.float64))


def score_names(
    model: Model, parameters: Parameters, prompts: Sequence[tuple[int, ...]], tree: NameTree
) -> Float[Tensor, "run prompt node"]:
    """Logarithm of the chance of every name after every prompt."""
    table = read_out_table(model, parameters)
    of_runs = next(iter(parameters.values()))
    device, beginnings = of_runs.device, len(tree.beginnings)
    vocabulary = of_runs.shape[1] if table is None else table.shape[1]
    size = numbers_at_once(device, PIECE_NUMBERS) // (count_runs(parameters) * beginnings * vocabulary)
    places = torch.tensor(tree.places, device=device)
    tokens = torch.tensor(tree.tokens, device=device)
    used = torch.tensor(tree.used, device=device, dtype=of_runs.dtype)
    found = []
    for first in range(0, len(prompts), max(1, size)):
        some = prompts[first : first + max(1, size)]
        rows = [prompt + beginning for prompt in some for beginning in tree.beginnings]
        lengths = np.array([len(row) for row in rows])
        chances = None
        # Rows of one length need no padding.
        for length in np.unique(lengths).tolist():
            which = np.flatnonzero(lengths == length)
            read = torch.tensor([rows[at] for at in which.tolist()], device=device)[None]
            states = read_states(model, parameters, read, first_read=length - 1)[:, :, 0]
            own = unembed(states, table).log_softmax(dim=-1)
            if chances is None:
                chances = own.new_zeros(len(own), len(rows), own.shape[2])
            chances[:, torch.tensor(which, device=device)] = own
        assert chances is not None
        by_prompt = chances.view(len(chances), len(some), beginnings, -1)
        found.append((by_prompt[:, :, places, tokens] * used).sum(dim=-1))
    return torch.cat(found, dim=1)


def answer_questions(
    model: Model, parameters: Parameters, questions: Questions, tree: NameTree
) -> NameAnswers:
    """Which names the runs give; those of a run that has diverged are wrong."""
    scores = score_names(model, parameters, questions.prompts, tree)
    right = torch.tensor(questions.right, device=scores.device).expand(scores.shape)
    counts = right.sum(dim=-1, keepdim=True)
    order = scores.argsort(dim=-1, descending=True)
    hits = right.gather(2, order) & scores.isfinite().all(dim=2, keepdim=True)
    best = torch.arange(scores.shape[2], device=scores.device) < counts
    return NameAnswers((hits & best).sum(dim=-1) / counts[..., 0], hits[:, :, 0])


def sample_questions(questions: Questions, count: int = SAMPLE) -> Questions:
    """The same so many of the questions each time, all if there are no more."""
    chosen = np.random.default_rng([0, SAMPLE_STREAM]).permutation(len(questions.prompts))[:count]
    chosen.sort()
    prompts = tuple(questions.prompts[number] for number in chosen.tolist())
    return Questions(prompts, questions.given[chosen], questions.right[chosen])


def make_sentence_measure(model: Model, parameters: Parameters, told: Told) -> Callable[[], Row]:
    """The metrics of a fleet that learns a told graph, as a function of parameters that change in place."""
    device, tree = next(iter(parameters.values())).device, grow_tree(told.name_tokens)
    asked = {part: sample_questions(questions) for part, questions in told.questions.items()}
    chosen = np.random.default_rng([1, SAMPLE_STREAM]).permutation(len(told.texts))[:SAMPLE]
    texts = torch.tensor(told.texts[chosen], device=device)
    weights = torch.tensor(told.weights[chosen], device=device)

    def measure() -> Row:
        table = read_out_table(model, parameters)
        logits = unembed(
            read_states(model, parameters, texts[None, :, :-1], first_read=0).flatten(1, 2), table
        )
        targets = texts[:, 1:].flatten()[:, None].expand(len(logits), -1, -1)
        losses = (logits.logsumexp(dim=-1) - logits.gather(2, targets)[..., 0]).double()
        embeddings = name_embeddings(parameters, told)
        given = {
            "losses": losses @ weights.flatten() / weights.sum(),
            "answers": {
                part: answer_questions(model, parameters, questions, tree)
                for part, questions in asked.items()
            },
            "parameters": parameters,
        }
        return to_row(
            compute_metrics("sentences", given | ({"embeddings": embeddings} if embeddings.shape[2] else {}))
        )

    return measure


def name_embeddings(parameters: Parameters, told: Told) -> Float[Tensor, "run node width"]:
    """The mean of the token embeddings of every name; without columns where no embedding is known."""
    table = parameters.get("token_embedding")
    if table is None:
        return next(iter(parameters.values())).new_zeros(count_runs(parameters), told.node_count, 0)
    rows = [table[:, list(tokens)].mean(dim=1) for tokens in told.name_tokens]
    return torch.stack(rows, dim=1).detach()
