"""One training metric: what defines and registers it, and how charts show it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from geomem.errors import InputError

Track = Literal["edges", "paths", "facts", "sentences"]
"""What is trained; prompts are paths in context."""

Function = TypeVar("Function", bound=Callable[..., Any])

GIVEN: Mapping[Track, tuple[str, ...]] = MappingProxyType(
    {
        "edges": ("losses", "logits", "examples", "pairs", "embeddings", "parameters"),
        "paths": (
            *("losses", "edge_losses", "edge_recalls", "answers"),
            *("units", "retrieved", "embeddings", "parameters"),
        ),
        "facts": ("losses", "recalled", "fact_counts", "margins", "embeddings", "parameters"),
        "sentences": ("losses", "answers", "embeddings", "parameters"),
    }
)
"""What a metric can ask for by the names of its parameters."""


@dataclass(frozen=True)
class Line:
    """How a chart of curves shows a metric."""

    chart: str
    colour: str
    """A colour of the theme by name, or `branches.3`; `{}` stands for k - 1 in the metric `name_k`."""
    name: str
    """In the legend; `{}` stands for k."""
    dashed: bool = False
    drawn: bool = False
    """Whether the small picture of a fleet has it too."""


@dataclass(frozen=True, eq=False)
class TrainingMetric:
    """All that is said of a metric, at the function that computes it."""

    name: str
    tracks: tuple[Track, ...]
    title: str
    explanation: str
    function: Callable[..., Any]
    needs: tuple[str, ...]
    lines: Mapping[str, Line] = field(default_factory=dict)
    """By part of the answers; by "" where the metric is not one of answers."""
    column: str = ""
    place: int = 9
    measured: bool = False


TRAINING_METRICS: dict[str, TrainingMetric] = {}
"""The metrics by name, in the order of a row; `training_metric` adds to them."""


def training_metric(
    title: str,
    *tracks: Track,
    line: Line | Mapping[str, Line] | None = None,
    column: str = "",
    place: int = 9,
    measured: bool = False,
) -> Callable[[Function], Function]:
    """Register a function as a metric of every training of a track, of the words of `Track`.

    Its name is the metric's, the first paragraph of its docstring the explanation. It gives a tensor [run],
    or [run, k] for the metrics `name_1` to `name_k`. What it takes is said by the names of its parameters:

    | parameter | track | tensor |
    |---|---|---|
    | `losses` | all | the training loss [run] |
    | `embeddings` | all | [run, node or token or subject, width] |
    | `parameters` | all | all tensors by name, [run, ...] |
    | `logits`, `examples` | edges | logits [run, example, vocab] of the `ExampleTensors` |
    | `pairs` | edges | the directed facts without self-edges [pair, 2] |
    | `edge_losses`, `edge_recalls` | paths | cross-entropy and share recalled of edges [run] |
    | `answers` | paths | `Answers`; the metrics are then `held_out.name` and `train.name` |
    | `units` | paths | unit vectors of held-out paths [run, path, node, width] |
    | `retrieved` | paths | whether a leaf's own first hop is its nearest [run, path] |
    | `answers` | sentences | `NameAnswers`, by part in the same way |
    | `recalled`, `fact_counts`, `margins` | facts | facts recalled, facts, and the smallest lead [run] |

    Where one is missing, as edges are in context, or the function returns None, the metric is left out.

    | argument | meaning |
    |---|---|
    | `line` | its line in the report, by part ("held_out", "train") if it is one of answers |
    | `column` | its title in the table of progress, of held-out answers |
    | `place` | where column and line stand: smaller numbers first |
    | `measured` | whether the last value stands in the portrait of a run |

    Raises `InputError` for a second metric of one name, a parameter that is not given in one of the tracks,
    or a function without a docstring.

    >>> @training_metric("largest number", "edges", line=Line("Geometry", "gold", "largest number"))
    ... def largest_number(embeddings):
    ...     '''The largest number in an embedding.'''
    ...     return embeddings.amax(dim=(1, 2))
    >>> TRAINING_METRICS.pop("largest_number").explanation
    'The largest number in an embedding.'
    """

    def register(function: Function) -> Function:
        name = getattr(function, "__name__", "")
        explanation = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
        needs = tuple(inspect.signature(function).parameters)
        for track in tracks:
            if unknown := [need for need in needs if need not in GIVEN[track]]:
                raise InputError(
                    f"The training metric {name!r} asks for {unknown[0]!r}; of {track} it can ask for "
                    f"{', '.join(GIVEN[track])}."
                )
        if not explanation:
            raise InputError(
                f"The training metric {name!r} has no docstring; its first paragraph explains it."
            )
        if name in TRAINING_METRICS:
            raise InputError(f"A training metric {name!r} exists already; choose another name.")
        lines = {"": line} if isinstance(line, Line) else dict(line or {})
        TRAINING_METRICS[name] = TrainingMetric(
            *(name, tracks, title, explanation, function, needs, lines, column, place, measured)
        )
        return function

    return register
