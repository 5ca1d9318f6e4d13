"""What a manifest says of a world, a task, a model, a training and seeds; equal ones have equal hashes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geomem.errors import InputError
from geomem.fields import describe_fields, read_fields
from geomem.models.configuration import MODELS, Model, Recall
from geomem.models.own import OwnModule
from geomem.training.configuration import AnyTraining
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.language.telling import Telling
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization


@dataclass(frozen=True)
class FactRecall:
    """Answer every fact of a table, or every chain of as many relations as the model has hops."""


Task = EdgeMemorization | PathFinding | InContextPathFinding | FactRecall | Telling

TASKS: Mapping[str, type[Task]] = {
    "edge-memorization": EdgeMemorization,
    "path-finding": PathFinding,
    "in-context-path-finding": InContextPathFinding,
    "fact-recall": FactRecall,
    "telling": Telling,
}
"""The tasks by the name that manifests have for them."""


def describe_configuration(
    world: Graph | FactTable,
    task: Task,
    model: Model | Recall,
    training: AnyTraining | Mapping[str, Any],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """The configuration of a manifest.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> described = describe_configuration(random_bijections(4, 2), FactRecall(), Recall(), {}, [0])
    >>> described["task"], described["seeds"]
    ({'kind': 'fact-recall'}, [0])
    """
    return {
        "world": {"name": world.name, "digest": world.digest},
        "task": {
            "kind": next(name for name, kind in TASKS.items() if type(task) is kind),
            **describe_fields(task),
        },
        "model": {"kind": model_kind(model), **asdict(model)},
        "training": dict(training) if isinstance(training, Mapping) else asdict(training),
        "seeds": list(seeds),
    }


def model_kind(model: Model | Recall) -> str:
    """The name of an architecture.

    >>> model_kind(Recall())
    'recall'
    """
    return "recall" if isinstance(model, Recall) else model.name


def read_model(path: Path, described: Mapping[str, Any]) -> Any:
    """The model that the manifest at `path` describes; raises `InputError` for unknown settings."""
    kinds = {**MODELS, OwnModule.name: OwnModule, "recall": Recall}
    return _read(path, "model", kinds, described)


def read_task(path: Path, described: Mapping[str, Any]) -> Any:
    """The task that the manifest at `path` describes; raises `InputError` for unknown settings."""
    return _read(path, "task", TASKS, described)


def _read(path: Path, part: str, kinds: Mapping[str, type[Any]], described: Mapping[str, Any]) -> Any:
    values = dict(described)
    kind = values.pop("kind", None)
    try:
        if not isinstance(kind, str) or kind not in kinds:
            raise InputError(f"kind is {kind!r}; give one of {', '.join(kinds)}.")
        return read_fields(kinds[kind], values)
    except InputError as error:
        why = str(error).partition(";")[0]
        raise InputError(
            f"{path} has a {part} with other settings than this geomem knows ({why}); train it again."
        ) from error
