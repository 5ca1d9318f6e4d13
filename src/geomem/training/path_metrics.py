"""What is written down while path finding is trained: answers to fixed questions, and their geometry.

All of it is computed on the device in float32, in pieces, and comes to the host in one transfer per row of
the metrics, which `geomem.training.metrics` makes from it. Trained paths are a fixed sample of at most 250.

The distances are plain means over held-out paths (figures 16 and 17; appendix C.4 normalises otherwise).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.architecture import Model
from geomem.models.decoding import decode_greedily
from geomem.models.layers import count_runs, unembed
from geomem.models.loss import best_tokens, numbers_at_once
from geomem.models.model import Parameters
from geomem.models.sequences import read_out_table, read_states
from geomem.training.loop import Row, to_row
from geomem.training.metrics import Answers, compute_metrics
from geomem.training.path_batches import Examples, PathExamples
from geomem.training.sentences import make_sentence_measure
from geomem.worlds.in_context import (
    TEST_PROMPTS,
    InContextPathFinding,
    in_context_rows,
    in_context_vocabulary,
)
from geomem.worlds.language.telling import Told
from geomem.worlds.path_finding import EdgeRows, PathRows, Target

TRAIN_SAMPLE = 250
"""Training paths that are asked."""
EDGE_SAMPLE = 500
"""Sources of edges that are asked, besides those with more edges than a row has slots."""
PROMPTS = TEST_PROMPTS
"""Fresh prompts that are asked in context."""
SAMPLE_STREAM = 3
"""Second number of the seed that draws the samples, the same for all runs and trainings."""
PIECE_NUMBERS = 1 << 24
"""Numbers of the largest tensor that an evaluation on a CPU makes at a time, about."""


@dataclass(frozen=True, eq=False)
class Questions:
    """Paths that are asked at every row of the metrics, the same in every run."""

    target: Target
    prefixes: Int[Tensor, "path prefix"]
    inputs: Int[Tensor, "path seq"]
    targets: Int[Tensor, "path read"]
    first_read: int
    shared: int
    arms: Int[Tensor, "row arm"]
    """The root's neighbours, in one row if they are the same for every path."""
    vocabulary_size: int


@dataclass(frozen=True, eq=False)
class EdgeQuestions:
    """Sources of one degree, each asked for all its edges."""

    prefixes: Int[Tensor, "source 2"]
    targets: Int[Tensor, "source degree"]
    vocabulary_size: int
    weight: float
    """How many sources each of them stands for: more than 1 where they are a sample."""


def make_measure(model: Model, parameters: Parameters, examples: Examples) -> Callable[[], Row]:
    """The metrics of a fleet as a function of its parameters, which change in place."""
    if isinstance(examples, Told):
        return make_sentence_measure(model, parameters, examples)
    device = next(iter(parameters.values())).device
    embeddings = parameters.get("token_embedding")
    given = {"parameters": parameters} | ({} if embeddings is None else {"embeddings": embeddings})
    if isinstance(examples, InContextPathFinding):
        prompts = ask_prompts(examples, device)

        def measure_in_context() -> Row:
            found = measure_answers(model, parameters, prompts)
            own = {"losses": found.losses, "answers": {"held_out": found}}
            return to_row(compute_metrics("paths", given | own))

        return measure_in_context
    generator = np.random.default_rng([0, SAMPLE_STREAM])
    sample = np.sort(generator.permutation(len(examples.train.inputs))[:TRAIN_SAMPLE])
    train = ask_paths(examples.train, examples, sample, device)
    held_out = ask_paths(examples.held_out, examples, np.arange(len(examples.held_out.inputs)), device)
    edges = ask_edges(examples.edges, examples.vocabulary_size, generator, device)
    paths = torch.tensor(examples.held_out_paths, device=device)
    edge_share = examples.task.edge_weight * float(examples.edges.weights.sum())
    path_share = examples.task.path_weight * examples.train.targets.size

    def measure() -> Row:
        edge_losses, edge_recalls = measure_edges(model, parameters, edges)
        trained = measure_answers(model, parameters, train)
        loss = edge_share * edge_losses + path_share * trained.losses
        own = {
            "losses": loss / (edge_share + path_share),
            "edge_losses": edge_losses,
            "edge_recalls": edge_recalls,
            "answers": {"train": trained, "held_out": measure_answers(model, parameters, held_out)},
        }
        vectors = {} if embeddings is None else compare_vectors(embeddings, paths)
        return to_row(compute_metrics("paths", given | own | vectors))

    return measure


def ask_paths(
    rows: PathRows, examples: PathExamples, which: Int[np.ndarray, " path"], device: str | torch.device
) -> Questions:
    """Some of the rows as questions."""
    return Questions(
        target=examples.task.target,
        prefixes=torch.tensor(rows.prefixes[which], device=device),
        inputs=torch.tensor(rows.inputs[which], device=device),
        targets=torch.tensor(rows.targets[which], device=device),
        first_read=rows.first_read,
        shared=1,
        arms=torch.tensor(examples.first_hops[None], device=device),
        vocabulary_size=examples.vocabulary_size,
    )


def ask_prompts(task: InContextPathFinding, device: str | torch.device) -> Questions:
    """Prompts that no training sees: those of step 0."""
    rows = in_context_rows(task, PROMPTS, seed=0, step=0)
    # `u v |` again and again, then three more tokens, the first of them the root: its arms are the v's of it.
    listed, root = rows.prefixes[:, :-3].reshape(PROMPTS, -1, 3), rows.prefixes[:, -3]
    arms = listed[:, :, 1][listed[:, :, 0] == root[:, None]].reshape(PROMPTS, task.arms)
    return Questions(
        target=task.target,
        prefixes=torch.tensor(rows.prefixes, device=device),
        inputs=torch.tensor(rows.inputs, device=device),
        targets=torch.tensor(rows.targets, device=device),
        first_read=rows.first_read,
        shared=0,
        arms=torch.tensor(arms, device=device),
        vocabulary_size=in_context_vocabulary(task).size,
    )


def ask_edges(
    rows: EdgeRows, vocabulary_size: int, generator: np.random.Generator, device: str | torch.device
) -> list[EdgeQuestions]:
    """Every source whose edges fill more than one row, and a sample of the others."""
    used = rows.weights > 0
    sources, targets = np.repeat(rows.prefixes[:, 1], used.sum(axis=1)), rows.targets[used]
    degrees = np.bincount(sources)
    heavy = np.flatnonzero(degrees > rows.targets.shape[1])
    light = np.flatnonzero((degrees > 0) & (degrees <= rows.targets.shape[1]))
    sampled = generator.permutation(light)[:EDGE_SAMPLE]
    questions = []
    for some, weight in ((heavy, 1.0), (sampled, len(light) / max(1, len(sampled)))):
        for degree in np.unique(degrees[some]):
            chosen = some[degrees[some] == degree]
            # Rows are sorted by source, so that the edges of each stand together.
            asked = np.isin(sources, chosen)
            of_source = sources[asked].reshape(-1, degree)[:, :1]
            prefixes = np.concatenate([np.full_like(of_source, rows.prefixes[0, 0]), of_source], axis=1)
            questions.append(
                EdgeQuestions(
                    torch.tensor(prefixes, device=device),
                    torch.tensor(targets[asked].reshape(-1, degree), device=device),
                    vocabulary_size,
                    weight,
                )
            )
    return questions


def measure_answers(model: Model, parameters: Parameters, questions: Questions) -> Answers:
    """Which answers are right, greedy and with the right tokens given, and the loss of the latter."""
    table = read_out_table(model, parameters)
    answers, losses, arms = [], [], []
    hop = first_hop_place(questions)
    path_count, length = questions.targets.shape
    width = questions.vocabulary_size if table is None else table.shape[2]
    size = _piece(next(iter(parameters.values())), questions.inputs.shape[1] * width)
    for first in range(0, path_count, size):
        piece = slice(first, first + size)
        states = read_states(
            model,
            parameters,
            questions.inputs[None, piece],
            first_read=questions.first_read,
            shared=questions.shared,
        )
        best, loss = score_tokens(states.flatten(1, 2), table, questions.targets[piece].flatten())
        answers.append(best.unflatten(1, (-1, length)))
        losses.append(loss.sum(dim=1))
        arms.append(_best_arms(states[:, :, hop], table, questions.arms, piece))
    path_loss = torch.stack(losses).sum(dim=0) / questions.targets.numel()
    forced = torch.cat(answers, dim=1) == questions.targets
    if questions.target == "teacherless" or length == 1:
        free = forced
    else:
        free = decode_greedily(model, parameters, questions.prefixes[None], length) == questions.targets
    among_arms = torch.cat(arms, dim=1) == questions.targets[:, hop]
    return Answers(free, forced, among_arms, path_loss, hop)


def first_hop_place(questions: Questions) -> int:
    """Where in the answer the node after the root stands."""
    if questions.target == "first-hop":
        return 0
    return questions.targets.shape[1] - 2 if questions.target == "reverse" else 1


def score_tokens(
    states: Float[Tensor, "run row width"],
    table: Float[Tensor, "run vocab width"] | None,
    targets: Int[Tensor, " row"],
) -> tuple[Int[Tensor, "run row"], Float[Tensor, "run row"]]:
    """The best token after each state, and the cross-entropy of its target; logits of a few rows at a time.

    >>> states, table = torch.tensor([[[1.0, 0.0]]]), torch.eye(2)[None] * 50
    >>> best, losses = score_tokens(states, table, torch.tensor([1]))
    >>> best.tolist(), losses.tolist()
    ([[0]], [[50.0]])
    """
    best, losses = [], []
    size = _piece(states, states.shape[2] if table is None else table.shape[1])
    for first in range(0, states.shape[1], size):
        logits = unembed(states[:, first : first + size], table)
        asked = targets[first : first + size].expand(len(states), -1)
        best.append(logits.argmax(dim=-1))
        losses.append(logits.logsumexp(dim=-1) - logits.gather(2, asked[..., None])[..., 0])
    return torch.cat(best, dim=1), torch.cat(losses, dim=1)


def _best_arms(
    states: Float[Tensor, "run path width"],
    table: Float[Tensor, "run vocab width"] | None,
    arms: Int[Tensor, "row arm"],
    piece: slice,
) -> Int[Tensor, "run path"]:
    """The best of the root's neighbours after each state."""
    if len(arms) == 1:
        return best_tokens(states.contiguous(), table, candidates=arms[0])
    asked = arms[piece].expand(len(states), -1, -1)
    if table is None:
        scores = states.gather(2, asked)
    else:
        scores = torch.einsum("rpw,rpaw->rpa", states, table[:, arms[piece]])
    return asked.gather(2, scores.argmax(-1, keepdim=True))[..., 0]


def measure_edges(
    model: Model, parameters: Parameters, questions: list[EdgeQuestions]
) -> tuple[Float[Tensor, " run"], Float[Tensor, " run"]]:
    """Mean cross-entropy of an edge, and the mean over sources of the share of their edges they know.

    A source of d edges knows those among its d best answers; one that only a tie would let in is missing.
    """
    table, runs = read_out_table(model, parameters), count_runs(parameters)
    of_runs = next(iter(parameters.values()))
    size = _piece(of_runs, questions[0].vocabulary_size if questions else 1)
    loss = recall = torch.zeros(runs, dtype=torch.float64, device=of_runs.device)
    source_count = edge_count = 0.0
    for asked in questions:
        sources, degree = asked.targets.shape
        source_count, edge_count = (
            source_count + asked.weight * sources,
            edge_count + asked.weight * sources * degree,
        )
        for first in range(0, sources, size):
            prefixes = asked.prefixes[None, first : first + size]
            states = read_states(model, parameters, prefixes, first_read=1)[:, :, 0]
            logits = unembed(states, table)
            targets = asked.targets[first : first + size].expand(runs, -1, -1)
            picked = logits.gather(2, targets)
            threshold = logits.topk(degree, dim=-1).values[..., -1:]
            fits = (logits >= threshold).sum(dim=-1, keepdim=True) <= degree
            known = (picked > threshold) | ((picked == threshold) & fits)
            losses = logits.logsumexp(dim=-1, keepdim=True) - picked
            loss = loss + asked.weight * losses.double().sum(dim=(1, 2))
            recall = recall + asked.weight * known.double().mean(dim=2).sum(dim=1)
    return loss / edge_count, recall / source_count


def compare_vectors(
    embeddings: Float[Tensor, "run vocab width"], paths: Int[Tensor, "path seq"]
) -> dict[str, Tensor]:
    """Unit vectors of the nodes of paths, and whether each leaf's own first hop is its nearest by cosine."""
    units = F.normalize(embeddings[:, paths], dim=-1)
    hops = paths[:, 1].unique()
    nearest = best_tokens(units[:, :, -1].contiguous(), F.normalize(embeddings[:, hops], dim=-1))
    return {"units": units, "retrieved": hops[nearest] == paths[:, 1]}


def _piece(of_runs: Float[Tensor, "run ..."], row_numbers: int) -> int:
    """Rows of so many numbers in each run that one piece of an evaluation takes, on the tensor's device."""
    return max(1, numbers_at_once(of_runs.device, PIECE_NUMBERS) // (len(of_runs) * row_numbers))
