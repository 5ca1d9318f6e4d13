"""A folder of weights that a stranger may have written: config.json, model.safetensors, a vocabulary.

Everything is checked before a number is read: sizes, names, shapes against the configuration. Nothing in it
is executed, and no pickle is opened.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from geomem.checkpoints.architectures import (
    ARCHITECTURES,
    Architecture,
    Shape,
    read_model,
    their_shapes,
    to_ours,
)
from geomem.checkpoints.export import FORMAT, ROWS
from geomem.checkpoints.tokenizer import LARGEST_VOCABULARY, check_tokens, read_tokens
from geomem.checkpoints.weight_files import CONFIG, read_headers, read_object
from geomem.errors import InputError, unknown_name
from geomem.fields import MOST
from geomem.measure.vectors.array_file import StoredArray, map_array
from geomem.models.configuration import Model, check_model
from geomem.models.own import OwnModule
from geomem.models.parameters import describe_parameters
from geomem.runs.configuration import read_model as read_own_model

LARGEST_CONFIG = 1 << 24
"""Bytes of a config.json that are read."""

UNREAD = re.compile(r"h\.\d+\.attn\.(bias|masked_bias|mask)")
"""Masks that older versions of transformers, and the release, keep among the weights."""


Headers = Mapping[str, tuple[Path, StoredArray]]
"""Every tensor by name, with the file that it lies in."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights of one run under our names, and the words of the rows of its tables."""

    model: Model
    shapes: Mapping[str, Shape]
    """Shape of every tensor."""
    weights: Callable[[], dict[str, np.ndarray]]
    """Reads every tensor."""
    tokens: Mapping[str, int] | None
    """Row of every word; None if the checkpoint does not say."""


def read_folder(folder: Path) -> Checkpoint:
    """Check a folder, of transformers or plain, and open it; arrays are read when asked for.

    Raises `InputError` for pickled weights, an architecture that is not one of ours, and whatever is missing,
    damaged, or contradicts the configuration.
    """
    stored = read_headers(folder)
    config = read_object(folder / CONFIG, LARGEST_CONFIG)
    kind, own = config.get("model_type"), config.get("geomem")
    if kind is None and isinstance(own, dict):
        return _read_plain(folder, own, stored)
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        said = f"{folder / CONFIG} is of the architecture {str(kind)[:60]!r}, which geomem does not have"
        raise unknown_name(said, str(kind), ARCHITECTURES, otherwise=f"give {' or '.join(ARCHITECTURES)}")
    found = ARCHITECTURES[kind]
    try:
        model = read_model(found, config)
        length = _size(config, found.positions) if found.positions else 1
        shapes = shapes_of(model, _size(config, "vocab_size"), length)
    except InputError as error:
        why = str(error).rstrip(".")
        raise InputError(f"{folder / CONFIG} has no model of geomem ({why}); give another.") from error
    header = {
        _full_name(found, name): array
        for name, array in stored.items()
        if not UNREAD.search(name) and not (model.tied and name == "lm_head.weight")
    }
    expected = their_shapes(found, model.layers, shapes)
    _check_tensors(folder, header, expected)

    def weights() -> dict[str, np.ndarray]:
        return to_ours(found, model.layers, _read(header), shapes)

    return Checkpoint(model, shapes, weights, read_tokens(folder))


def _read_plain(folder: Path, own: Mapping[str, Any], header: Headers) -> Checkpoint:
    """A folder that `export_run` wrote without transformers."""
    described = own.get("model")
    if own.get("format") != FORMAT or not isinstance(described, dict):
        raise InputError(f"{folder / CONFIG} is of another version of geomem; export the run again.")
    model = read_own_model(folder / CONFIG, described)
    if not isinstance(model, Model):
        raise InputError(
            f"{folder} holds a memory of facts, and only models of graphs are imported; learn it again."
        )
    if isinstance(model, OwnModule):
        raise InputError(f"{folder} has weights of a module of somebody's own; load them into that module.")
    check_model(model)
    rows = read_object(folder / ROWS, LARGEST_VOCABULARY).get("token_embedding")
    words = rows if isinstance(rows, list) else []
    tokens = check_tokens(
        folder / ROWS, {word: row for row, word in enumerate(words) if isinstance(word, str)}
    )
    if len(tokens) < len(words):
        raise InputError(f"{folder / ROWS} has one word for two rows; export the run again.")
    length = header["position_embedding"][1].shape[0] if "position_embedding" in header else 1
    nodes = len(words) if model.scores == "nodes" else 1
    shapes = shapes_of(model, len(words), length, nodes)
    _check_tensors(folder, header, shapes)
    return Checkpoint(model, shapes, partial(_read, header), tokens)


def _check_tensors(folder: Path, header: Headers, expected: Mapping[str, Shape]) -> None:
    check_shapes(folder, {name: array.shape for name, (_, array) in header.items()}, expected)
    for name, (path, array) in header.items():
        if array.dtype.kind != "f" and not array.is_bfloat16:
            raise InputError(f"{path} has {name} of whole numbers; save the model in float32.")


def _read(header: Headers) -> dict[str, np.ndarray]:
    return {name: map_array(path, array).astype(np.float32) for name, (path, array) in header.items()}


def shapes_of(model: Model, vocabulary_size: int, context_length: int, nodes: int = 1) -> dict[str, Shape]:
    """The shape of every tensor of a model of so many words and positions."""
    sizes = {"vocabulary_size": vocabulary_size, "context_length": context_length, "node_count": nodes}
    return {name: own.shape for name, own in describe_parameters(model, **sizes).items()}


def check_shapes(path: Path, found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> None:
    """Raise `InputError` unless a file has the expected tensors and no others.

    >>> check_shapes(Path("folder"), {"a": (2, 3)}, {"a": (3, 2)})
    Traceback (most recent call last):
    geomem.errors.InputError: folder has a of shape (2, 3), and its configuration says (3, 2); \
give a checkpoint whose parts belong together.
    """
    for name in sorted(found.keys() ^ expected.keys()):
        what = f"lacks {name}" if name in expected else f"has {name[:100]}, which its configuration does not"
        raise InputError(f"{path} {what}; give a checkpoint whose parts belong together.")
    for name, shape in expected.items():
        if found[name] != shape:
            raise InputError(
                f"{path} has {name} of shape {found[name]}, and its configuration says {shape}; "
                "give a checkpoint whose parts belong together."
            )


def _full_name(found: Architecture, name: str) -> str:
    """The name in a model with its read-out: a model without has no prefix."""
    bare = name.startswith((found.prefix, "lm_head."))
    return name if bare else found.prefix + name


def _size(config: Mapping[str, Any], name: str) -> int:
    size = config.get(name)
    if type(size) is not int or not 0 < size <= MOST:
        raise InputError(f"{name} is {str(size)[:20]!r}.")
    return size
