"""The recall model's configuration, its tensors and their start, and what training them takes; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Annotated, Literal

from annotated_types import Le

from geomem.errors import InputError
from geomem.fields import Count, Deviation, Layers, WholeNumber, check_fields
from geomem.models.architecture import ParameterDescription, describe_norm
from geomem.models.parameters import LIBRARY_BYTES, Cost

MOST_HOPS = 100
"""Relations in a question at most."""
EVALUATED = 1 << 24
"""Numbers of hidden states that an evaluation holds at a time."""


@dataclass(frozen=True)
class Recall:
    """One block over the tokens (subject, relations), read at the last: the model of factual recall.

    After arXiv 2605.12426, whose details are not public: h = e_r + W_O sum att W_V X,
    y = h + W_2 relu(W_1 h + b_1) + b_2, logits U y; our own recipe. It answers fact tables, not graphs, so
    it is none of `MODELS`.
    """

    width: Count = 32
    mlp_width: WholeNumber = 128
    """Neurons of the MLP in every block; 0 leaves the MLP out."""
    layers: Layers = 1
    attention: Literal["content", "uniform", "none"] = "content"
    """One softmax head; the plain mean over the tokens seen; or no head, and the tokens' embeddings added."""
    layer_norm: bool = False
    """Normalise before the head, before the MLP and before the read-out."""
    tied: bool = False
    """Read out with the subjects' embedding; then the objects must be the subjects."""
    frozen: tuple[Literal["subjects", "relations", "objects"], ...] = ()
    """Tables that stay as they were drawn."""
    subject_scale: Deviation = 1.0
    """Factor on the standard deviation of the subjects' embedding at the start."""
    hops: Annotated[Count, Le(MOST_HOPS)] = 1
    """Relations in a question; from two on, every position of a relation has a head of its own too."""


def check_recall(model: Recall) -> None:
    """Raise `InputError` if the configuration describes no recall model.

    >>> check_recall(Recall(width=8, mlp_width=0))
    >>> check_recall(Recall(hops=2, attention="none"))
    Traceback (most recent call last):
    geomem.errors.InputError: hops is 2 and attention is 'none'; only a head knows the order of relations.
    """
    check_fields(model)
    if model.tied and "objects" in model.frozen:
        raise InputError("A tied model has no table of objects to freeze; freeze 'subjects', or untie.")
    if model.hops > 1 and model.attention == "none":
        raise InputError(
            f"hops is {model.hops} and attention is 'none'; only a head knows the order of relations."
        )


@dataclass(frozen=True)
class RecallSize:
    """How many facts' parts a run has embeddings for."""

    subjects: int
    relations: int
    objects: int


def describe_recall_parameters(model: Recall, size: RecallSize) -> dict[str, ParameterDescription]:
    """Every tensor of a recall model, by name; weights act as `y = W x + b` with `W` of shape [out, in].

    | tensor | start (our recipe; the paper's is not public) |
    |---|---|
    | `subject_embedding` [subject, width] | N(0, `subject_scale`² / width) |
    | `relation_embedding` [relation, width] | N(0, 1 / width) |
    | `block_i.attention.query`, `.key`, `.value`, `.output` `.weight` [width, width] | N(0, 1 / width) |
    | query and key under uniform attention | zeros, never trained |
    | `block_i.attention.position_j.weight` [width, width], j = 1..hops, if hops > 1 | N(0, 1 / width) |
    | `block_i.mlp.expand.weight` [neuron, width], `.contract.weight` [width, neuron] | N(0, 1 / inputs) |
    | their `.bias`; the `.bias` of a norm | zeros |
    | `block_i.attention_norm`, `block_i.mlp_norm`, `final_norm` `.weight`, with `layer_norm` | ones |
    | `output_embedding` [object, width], if not tied | N(0, 1 / width) |

    >>> model = Recall(width=4, mlp_width=0, attention="none")
    >>> table = describe_recall_parameters(model, RecallSize(subjects=7, relations=2, objects=5))
    >>> {name: parameter.shape for name, parameter in table.items()}
    {'subject_embedding': (7, 4), 'relation_embedding': (2, 4), 'output_embedding': (5, 4)}
    """
    width, neurons = model.width, model.mlp_width

    def matrix(outputs: int, inputs: int) -> ParameterDescription:
        return ParameterDescription((outputs, inputs), "normal", inputs**-0.5)

    def table(rows: int, name: str, scale: float = 1.0) -> ParameterDescription:
        deviation = scale * width**-0.5
        return ParameterDescription((rows, width), "normal", deviation, trained=name not in model.frozen)

    def norm(name: str) -> dict[str, ParameterDescription]:
        return describe_norm(name, width) if model.layer_norm else {}

    described = {
        "subject_embedding": table(size.subjects, "subjects", model.subject_scale),
        "relation_embedding": table(size.relations, "relations"),
    }
    untrained = ParameterDescription((width, width), "zeros", trained=False)
    for block in range(model.layers):
        attention, mlp = f"block_{block}.attention", f"block_{block}.mlp"
        if model.attention != "none":
            described |= norm(f"{attention}_norm")
            for name in ("query", "key"):
                content = model.attention == "content"
                described[f"{attention}.{name}.weight"] = matrix(width, width) if content else untrained
            described |= {f"{attention}.{name}.weight": matrix(width, width) for name in ("value", "output")}
            for hop in range(1, model.hops + 1) if model.hops > 1 else ():
                described[f"{attention}.position_{hop}.weight"] = matrix(width, width)
        if neurons:
            described |= norm(f"{mlp}_norm")
            described |= {
                f"{mlp}.expand.weight": matrix(neurons, width),
                f"{mlp}.expand.bias": ParameterDescription((neurons,), "zeros"),
                f"{mlp}.contract.weight": matrix(width, neurons),
                f"{mlp}.contract.bias": ParameterDescription((width,), "zeros"),
            }
    described |= norm("final_norm")
    return described | ({} if model.tied else {"output_embedding": table(size.objects, "objects")})


def count_trained(model: Recall, size: RecallSize) -> int:
    """Trained numbers of one run: what bits per weight are counted over.

    >>> count_trained(Recall(width=4, mlp_width=16), RecallSize(subjects=8, relations=2, objects=8))
    284
    """
    described = describe_recall_parameters(model, size)
    return sum(prod(parameter.shape) for parameter in described.values() if parameter.trained)


def estimate_recall_cost(models: Sequence[Recall], sizes: Sequence[RecallSize], *, subjects: int = 0) -> Cost:
    """Memory and arithmetic of a fleet of recall models, one per run, in float32.

    All runs are padded to the largest of each size. Every question (subject, relations) passes the blocks;
    `subjects` in a batch, 0 for all. Five numbers per parameter (itself, gradient, AdamW's two moments and
    scratch), and per question the states and neurons that live until the backward pass, with their gradients;
    logits are made and used up in pieces of `geomem.models.loss.GRID_NUMBERS` numbers.

    >>> size = RecallSize(subjects=256, relations=4, objects=256)
    >>> estimate_recall_cost([Recall(width=9, mlp_width=36)], [size]).trained_parameters
    5661
    """
    model, size = pad_models(models), pad_sizes(sizes)
    numbers = sum(prod(parameter.shape) for parameter in describe_recall_parameters(model, size).values())
    tuples = size.relations**model.hops
    questions = (subjects or size.subjects) * tuples
    positions = 1 + (model.layers - 1) * (model.hops + 1)
    per_position = 2 * (6 * model.width + 3 * model.mlp_width)
    # Before the last block, every position of the sequence is carried on.
    activations = questions * positions * per_position
    if subjects:  # all questions are evaluated at some steps, in pieces
        hidden = len(models) * size.subjects * tuples * (model.width + model.mlp_width)
        activations += 3 * min(EVALUATED, hidden) // len(models)
    # Answers in 64 bits, and their weights.
    data = 3 * size.subjects * tuples
    flops = 6 * questions * (2 * positions * model.width * model.mlp_width + size.objects * model.width)
    return Cost(
        trained_parameters=max(map(count_trained, models, sizes)),
        memory_bytes=4 * len(models) * (5 * numbers + activations + data) + LIBRARY_BYTES,
        flops_per_step=len(models) * (flops + 14 * numbers),
    )


def pad_models(models: Sequence[Recall]) -> Recall:
    """The model into which all of a fleet fit: the largest width and MLP, everything else the same.

    Raises `ValueError` if they differ in anything else, or if some have an MLP and others none.

    >>> pad_models([Recall(width=4, mlp_width=16), Recall(width=8, mlp_width=8)]).mlp_width
    16
    """
    width, neurons = max(model.width for model in models), max(model.mlp_width for model in models)
    if len({replace(model, width=1, mlp_width=min(1, model.mlp_width)) for model in models}) > 1:
        raise ValueError("the runs of a fleet differ in more than width and mlp_width")
    return replace(models[0], width=width, mlp_width=neurons)


def pad_sizes(sizes: Sequence[RecallSize]) -> RecallSize:
    """The largest of each number.

    >>> pad_sizes([RecallSize(4, 1, 9), RecallSize(2, 3, 4)])
    RecallSize(subjects=4, relations=3, objects=9)
    """
    return RecallSize(
        subjects=max(size.subjects for size in sizes),
        relations=max(size.relations for size in sizes),
        objects=max(size.objects for size in sizes),
    )
