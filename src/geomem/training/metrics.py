"""What is written down while runs train, one number per run and row, and how tables and charts show it.

Metrics are functions of tensors on the device that call methods of tensors only: none waits for the device,
and this module imports no torch, so that reports know the metrics too.
Axis names: `run`, `example`, `fact`, `node`, `path` (a held-out one), `token` (of an answer).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float, Int

from geomem.errors import InputError
from geomem.training.metric import TRAINING_METRICS, Line, Track, TrainingMetric, training_metric

if TYPE_CHECKING:
    from geomem.models.objective import ExampleTensors

CHARTS = ("Memory", "Paths", "Tokens", "Geometry", "Loss")
"""Charts of curves in a report, in this order; others follow."""

SHARES = ("Memory", "Paths", "Tokens")
"""Charts of numbers up to 1."""

UNKNOWN = "More"
"""The chart of metrics that are not registered here, as of a run from elsewhere."""

WHOLE = ("associative_accuracy", "recall", "edge_recall", "held_out_exact_match")
"""Metrics that are 1 where a run recalls everything: edges, facts, the edges beside paths, fresh prompts."""

PARTS = ("held_out", "train")
"""The parts of a fleet's answers in the order of charts."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What the runs of a fleet answer when asked for paths, as tensors."""

    free: Bool[Any, "run path token"]
    """Whether the greedy answer is right, given its own tokens before."""
    forced: Bool[Any, "run path token"]
    """Whether it is right given the right tokens before."""
    among_arms: Bool[Any, "run path"]
    """Whether the best of the root's neighbours is the first hop, given the right tokens before."""
    losses: Float[Any, " run"]
    """Cross-entropy per target token; what is not finite is of a run that has diverged."""
    hop: int
    """Place of the node after the root."""


@dataclass(frozen=True, eq=False)
class NameAnswers:
    """What the runs of a fleet answer when sentences end where a name is asked for, as tensors."""

    recalled: Float[Any, "run question"]
    """Share of a question's d right names among its d most likely ones."""
    first: Bool[Any, "run question"]
    """Whether the most likely name is right."""


def metrics_of(track: Track) -> list[TrainingMetric]:
    """The metrics of a track, in the order of a row."""
    return [metric for metric in TRAINING_METRICS.values() if track in metric.tracks]


def compute_metrics(track: Track, given: Mapping[str, Any]) -> dict[str, Float[Any, " run"]]:
    """Every metric of a track from what `training_metric` lists; `answers` by part. Nothing waits.

    Raises `InputError` for a metric that does not give one number, or one row, per run.
    """
    found = {}
    for of_answers, group in groupby(metrics_of(track), key=lambda metric: "answers" in metric.needs):
        metrics = list(group)
        for part, answers in given["answers"].items() if of_answers else [("", None)]:
            own = {**given, "answers": answers}
            for metric in metrics:
                if any(need not in own for need in metric.needs):
                    continue
                values = metric.function(*[own[need] for need in metric.needs])
                if values is None:
                    continue
                name = f"{part}.{metric.name}" if part else metric.name
                if values.ndim not in (1, 2) or len(values) != len(given["losses"]):
                    raise InputError(
                        f"The training metric {metric.name!r} gives numbers of shape {tuple(values.shape)}; "
                        f"{len(given['losses'])} runs need one number or one row each."
                    )
                if values.ndim == 1:
                    found[name] = values
                else:
                    found |= {f"{name}_{number + 1}": values[:, number] for number in range(values.shape[1])}
    return found


def columns_of(track: Track) -> dict[str, str]:
    """Titles of the columns of progress, with the metric that each shows.

    >>> columns_of("edges")
    {'loss': 'loss', 'recall': 'associative_accuracy', 'level': 'geometric_level'}
    """
    metrics = sorted(metrics_of(track), key=lambda metric: metric.place)
    return {
        metric.column: f"held_out.{metric.name}" if "answers" in metric.needs else metric.name
        for metric in metrics
        if metric.column
    }


def find_metric(name: str) -> tuple[str, TrainingMetric | None, int]:
    """The part of the answers and the registered metric that a curve's name says, and its number, from 1.

    >>> part, metric, number = find_metric("held_out.token_3")
    >>> part, metric.name, number, find_metric("weather")
    ('held_out', 'token', 3, ('', None, 0))
    """
    part, _, rest = name.rpartition(".")
    start, _, number = rest.rpartition("_")
    if start in TRAINING_METRICS and number.isdecimal():
        return part, TRAINING_METRICS[start], int(number)
    return part, TRAINING_METRICS.get(rest), 0


def lines_of(names: Iterable[str]) -> list[tuple[str, Line]]:
    """How charts show the metrics of a run, in the order of charts and of their legends.

    A registered metric without a line is left out; what is not registered is shown by its name.

    >>> [(name, line.chart) for name, line in lines_of(["loss", "train.first_hop", "weather"])]
    [('train.first_hop', 'Paths'), ('loss', 'Loss'), ('weather', 'More')]
    """
    found = []
    for name in names:
        part, metric, number = find_metric(name)
        if metric is None:
            line = Line(UNKNOWN, f"branches.{len(found)}", name)
            found.append(((len(CHARTS) + 1, UNKNOWN, 0, 0, 0), name, line))
        elif part in metric.lines:
            line = metric.lines[part]
            chart = CHARTS.index(line.chart) if line.chart in CHARTS else len(CHARTS)
            among = PARTS.index(part) if part in PARTS else len(PARTS)
            line = replace(line, name=line.name.format(number), colour=line.colour.format(number - 1))
            found.append(((chart, line.chart, among, number, metric.place), name, line))
    return [(name, line) for _, name, line in sorted(found, key=lambda entry: entry[0])]


@training_metric(
    *("Loss", "edges", "paths", "facts", "sentences"),
    line=Line("Loss", "slate", "loss", drawn=True),
    column="loss",
    place=0,
)
def loss(losses: Float[Any, " run"]) -> Float[Any, " run"]:
    """The training loss: cross-entropy in nats."""
    return losses


# Of edges.


@training_metric(
    "Associative accuracy",
    "edges",
    line=Line("Memory", "warm", "associative accuracy", drawn=True),
    column="recall",
)
def associative_accuracy(
    logits: Float[Any, "run example vocab"], examples: "ExampleTensors"
) -> Float[Any, " run"]:
    """Top-d recovery: the share of an example's d targets among its d highest logits, mean over examples.

    d is the true number of targets and every token of the vocabulary competes. Ties are pessimistic: where
    equal logits straddle place d, tokens that are no targets come first.
    """
    shape = logits.shape[:2]
    threshold = _threshold(logits, examples)
    picked = examples.pick(logits)
    at_fact = threshold[..., 0].index_select(1, examples.fact_examples)
    zeros = logits.new_zeros(shape)
    targets_above = zeros.index_add(1, examples.fact_examples, (picked > at_fact).to(logits.dtype))
    targets_equal = zeros.index_add(1, examples.fact_examples, (picked == at_fact).to(logits.dtype))
    others_equal = (logits == threshold).sum(-1) - targets_equal
    free = examples.degrees - (logits > threshold).sum(-1) - others_equal
    recovered = targets_above + targets_equal.minimum(free.clamp(min=0))
    return (recovered / examples.degrees).mean(dim=-1)


def recalled_facts(
    logits: Float[Any, "run example vocab"], examples: "ExampleTensors"
) -> Bool[Any, "run fact"]:
    """Which facts are among their prefix's d best answers, d its number of facts.

    The facts that `associative_accuracy` counts; a fact that only a tie would let in counts as missing.
    """
    threshold = _threshold(logits, examples)
    fits = (logits >= threshold).sum(-1) <= examples.degrees
    picked, at_fact = examples.pick(logits), threshold[..., 0].index_select(1, examples.fact_examples)
    return (picked > at_fact) | ((picked == at_fact) & fits.index_select(1, examples.fact_examples))


@training_metric("Top-1 accuracy", "edges")
def top1_accuracy(logits: Float[Any, "run example vocab"], examples: "ExampleTensors") -> Float[Any, " run"]:
    """Weighted share of the facts whose target has the highest logit; one-to-many facts cap it below one."""
    best = logits.max(dim=-1)
    hit = best.indices.index_select(1, examples.fact_examples) == examples.fact_targets
    # NaN logits never count as hits, wherever `max` points.
    hit &= examples.pick(logits) == best.values.index_select(1, examples.fact_examples)
    return hit.to(logits.dtype) @ examples.fact_weights


@training_metric(
    "Geometric level", "edges", line=Line("Memory", "accent", "geometric level", drawn=True), column="level"
)
def geometric_level(
    embeddings: Float[Any, "run node width"], pairs: Int[Any, "pair 2"]
) -> Float[Any, " run"]:
    """Mean cosine of the embeddings over the pairs: directed facts, without self-edges."""
    directions = unit_vectors(embeddings)
    return (
        (directions.index_select(1, pairs[:, 0]) * directions.index_select(1, pairs[:, 1])).sum(-1).mean(-1)
    )


def unit_vectors(vectors: Float[Any, "*rows width"]) -> Float[Any, "*rows width"]:
    """The vectors at length 1; zero stays zero, as `torch.nn.functional.normalize` has it."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def _threshold(
    logits: Float[Any, "run example vocab"], examples: "ExampleTensors"
) -> Float[Any, "run example 1"]:
    """The d-th highest logit after every prefix, d its number of facts."""
    top = logits.topk(examples.most, dim=-1).values
    return top.gather(-1, (examples.degrees - 1).expand(logits.shape[:2])[..., None])


# Of paths and prompts.


@training_metric("Loss of edges", "paths")
def edge_loss(edge_losses: Float[Any, " run"]) -> Float[Any, " run"]:
    """Cross-entropy per edge."""
    return edge_losses


@training_metric(
    "Edges recalled", "paths", line=Line("Paths", "gold", "edges recalled", drawn=True), measured=True
)
def edge_recall(edge_recalls: Float[Any, " run"]) -> Float[Any, " run"]:
    """Share of each node's d neighbours among its d best answers."""
    return edge_recalls


@training_metric(
    "Whole path",
    "paths",
    line={
        "held_out": Line("Paths", "warm", "held-out whole path", drawn=True),
        "train": Line("Paths", "slate", "trained whole path"),
    },
    column="full path",
    place=3,
)
def exact_match(answers: Answers) -> Float[Any, " run"]:
    """Share of paths whose greedy answer is right in every token."""
    return _share(answers, answers.free.all(dim=2))


@training_metric(
    "First hop",
    "paths",
    line={
        "held_out": Line("Paths", "accent", "held-out first hop", drawn=True),
        "train": Line("Paths", "branches.3", "trained first hop"),
    },
    column="first hop",
    place=1,
)
def first_hop(answers: Answers) -> Float[Any, " run"]:
    """Share of greedy answers whose node after the root is right, the best of all tokens."""
    return _share(answers, answers.free[:, :, answers.hop])


@training_metric(
    "First hop among the arms",
    "paths",
    line={"held_out": Line("Paths", "muted", "among the arms")},
    column="among arms",
    place=2,
)
def first_hop_among_arms(answers: Answers) -> Float[Any, " run"]:
    """The same, the best of the root's neighbours, given the right tokens before it."""
    return _share(answers, answers.among_arms)


@training_metric("Token", "paths", line={"held_out": Line("Tokens", "branches.{}", "token {}")}, place=1)
def token(answers: Answers) -> Float[Any, "run token"]:
    """Share of greedy answers right in token k, counted from 1, given their own tokens before it."""
    return _share(answers, answers.free)


@training_metric(
    "Token, given the right ones before",
    "paths",
    line={"held_out": Line("Tokens", "branches.{}", "given those before", dashed=True)},
    place=2,
)
def forced_token(answers: Answers) -> Float[Any, "run token"]:
    """Share of answers right in token k, given the right tokens before it."""
    return _share(answers, answers.forced)


@training_metric("Loss of paths", "paths")
def path_loss(answers: Answers) -> Float[Any, " run"]:
    """Cross-entropy per target token."""
    return answers.losses


def _share(answers: Answers, hits: Bool[Any, "run path *token"]) -> Float[Any, "run *token"]:
    """The share of paths; a run that has diverged answers nothing, wherever `argmax` points."""
    alive = answers.losses.isfinite()
    return (hits & alive.view(-1, *[1] * (hits.ndim - 1))).double().mean(dim=1)


@training_metric("Retrieval", "paths", line=Line("Geometry", "accent", "retrieval"), column="retrieval")
def retrieval(retrieved: Bool[Any, "run path"]) -> Float[Any, " run"]:
    """Share of held-out leaves whose own first hop is the nearest by cosine of all held-out ones."""
    return retrieved.double().mean(dim=1)


@training_metric(
    "Leaf to its own first hop",
    "paths",
    line=Line("Geometry", "warm", "leaf to own first hop"),
    measured=True,
)
def leaf_first_own(units: Float[Any, "run path node width"]) -> Float[Any, " run"]:
    """Mean cosine distance, held-out paths; a lookup table has none smaller than the next row's."""
    return 1 - _own_and_other(units[:, :, -1], units[:, :, 1])[0]


@training_metric(
    "Leaf to other first hops", "paths", line=Line("Geometry", "gold", "to others"), measured=True
)
def leaf_first_other(units: Float[Any, "run path node width"]) -> Float[Any, " run"]:
    """Mean cosine distance, held-out paths."""
    return 1 - _own_and_other(units[:, :, -1], units[:, :, 1])[1]


@training_metric(
    "Nodes within a path", "paths", line=Line("Geometry", "slate", "within a path"), measured=True
)
def path_own(units: Float[Any, "run path node width"]) -> Float[Any, " run"] | None:
    """Mean cosine distance of two nodes of one held-out path, the root left out.

    It needs two nodes besides the root. Σ_{i≠j} a_i · b_j = (Σ a_i) · (Σ b_j) - Σ a_i · b_i.
    """
    inside, nodes = units[:, :, 1:].double(), units.shape[2] - 1
    if nodes < 2:
        return None
    pairs = inside.sum(dim=2).square().sum(dim=-1) - inside.square().sum(dim=(2, 3))
    return 1 - (pairs / (nodes * (nodes - 1))).mean(dim=1)


@training_metric("Nodes of two paths", "paths", line=Line("Geometry", "muted", "across paths"), measured=True)
def path_other(units: Float[Any, "run path node width"]) -> Float[Any, " run"] | None:
    """The same for nodes of two held-out paths."""
    nodes = units.shape[2] - 1
    means = units[:, :, 1:].double().sum(dim=2) / nodes
    return 1 - _own_and_other(means, means)[1] if nodes > 1 else None


def _own_and_other(
    left: Float[Any, "run path width"], right: Float[Any, "run path width"]
) -> tuple[Float[Any, " run"], Float[Any, " run"]]:
    """Mean of a_i · b_j over i = j and over i ≠ j, from sums: no array is paths by paths."""
    left, right, count = left.double(), right.double(), left.shape[1]
    own = (left * right).sum(dim=(1, 2))
    every = (left.sum(dim=1) * right.sum(dim=1)).sum(dim=-1)
    return own / count, (every - own) / max(1, count * (count - 1))


# Of graphs told in sentences.


@training_metric(
    "Names recalled",
    "sentences",
    line={
        "train": Line("Memory", "warm", "names recalled", drawn=True),
        "held_out": Line("Memory", "accent", "in paraphrases", drawn=True),
        "ways": Line("Paths", "warm", "ways told"),
        "held_out_ways": Line("Paths", "accent", "ways held out"),
    },
    column="paraphrased",
    place=1,
    measured=True,
)
def names_recalled(answers: NameAnswers) -> Float[Any, " run"]:
    """Share of a question's d right names among its d most likely ones, mean over questions."""
    return answers.recalled.double().mean(dim=1)


@training_metric("First name", "sentences", column="first name", place=2)
def first_name(answers: NameAnswers) -> Float[Any, " run"]:
    """Share of questions whose most likely name is right."""
    return answers.first.double().mean(dim=1)


# Of tables of facts.


@training_metric("Recall", "facts", column="recall")
def recall(recalled: Int[Any, " run"], fact_counts: Int[Any, " run"]) -> Float[Any, " run"]:
    """Share of the facts whose object scores highest."""
    return recalled.double() / fact_counts


@training_metric("Margin", "facts", column="margin")
def margin(margins: Float[Any, " run"]) -> Float[Any, " run"]:
    """By how much the worst fact's object leads."""
    return margins
