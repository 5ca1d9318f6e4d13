"""A run as transformers has it: tensors and configuration under its names, and the word of every row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomem.checkpoints.architectures import (
    describe_for_transformers,
    find_mapped,
    to_theirs,
    with_every_tensor,
)
from geomem.checkpoints.tokenizer import PADDING, tokens_of
from geomem.models.parameters import describe_parameters
from geomem.runs.checks import task_length
from geomem.runs.configuration import model_kind
from geomem.runs.run import Run
from geomem.worlds.vocabulary import Vocabulary

JOINED = f"unknown words become {PADDING}, and words are joined by tabs"


@dataclass(frozen=True, eq=False)
class Words:
    """What a folder of transformers is made of."""

    config: Mapping[str, Any]
    """The config.json, without the tokens."""
    tensors: Mapping[str, np.ndarray]
    tokens: list[str]
    """The word of every row."""
    longest: int | None
    """Words of a prompt at most; None if there is no limit."""
    notes: tuple[str, ...]
    """What whoever opens it has to know."""

    @property
    def padding(self) -> int:
        """The row that unknown words and padding have."""
        return self.tokens.index(PADDING)


def words_of_graph(stored: Run, weights: Mapping[str, np.ndarray]) -> Words:
    """A run of a graph, by the weights of one seed; raises `InputError` for what does not map."""
    found = find_mapped(stored.model, model_kind(stored.model))
    graph, whole = stored.graph, with_every_tensor(found, stored.model)
    vocabulary, length = Vocabulary(graph.labels), task_length(stored.graph, stored.task)
    described = describe_parameters(
        whole, vocabulary_size=vocabulary.size, context_length=length, node_count=graph.node_count
    )
    shapes = {name: own.shape for name, own in described.items()}
    limit = (f"a prompt has at most {length} words, for there are no more positions",)
    return Words(
        config=describe_for_transformers(
            found, stored.model, vocabulary_size=vocabulary.size, context_length=length
        ),
        tensors=to_theirs(found, whole.layers, weights, shapes),
        tokens=tokens_of(vocabulary),
        longest=length if found.positions else None,
        notes=(JOINED, *(limit if found.positions else ())),
    )
