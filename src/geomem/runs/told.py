"""The vocabulary of runs that a graph was told to in sentences, beside their weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomem.runs.directory import damaged, read_json
from geomem.worlds.language.telling import Told


@dataclass(frozen=True)
class ToldVocabulary:
    """The tokens of a told graph, and what reading its weights needs of them."""

    tokens: tuple[str, ...]
    """The text of every token."""
    names: tuple[tuple[int, ...], ...]
    """The tokens of every node's name."""
    context_length: int
    """Positions of the model."""


def told_vocabulary(told: Told) -> ToldVocabulary:
    """What is kept of a told graph's tokens."""
    return ToldVocabulary(told.tokenizer.tokens, told.name_tokens, told.context_length)


def describe_told_vocabulary(vocabulary: ToldVocabulary) -> dict[str, Any]:
    """The content of its file."""
    return {
        "node_count": len(vocabulary.names),
        "tokens": list(vocabulary.tokens),
        "names": [list(tokens) for tokens in vocabulary.names],
        "context_length": vocabulary.context_length,
    }


def read_told_vocabulary(path: Path, node_count: int) -> ToldVocabulary:
    """Read it back; raises `InputError` if it is not one of so many nodes."""
    content = read_json(path)
    tokens, names, length = (
        content.get(key) if isinstance(content, dict) else None
        for key in ("tokens", "names", "context_length")
    )
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise damaged(path, "its tokens are not a list of texts")
    if not isinstance(names, list) or len(names) != node_count:
        raise damaged(path, f"it does not name {node_count} nodes")
    for name in names:
        known = isinstance(name, list) and name and all(type(token) is int for token in name)
        if not known or not 0 <= min(name) <= max(name) < len(tokens):
            raise damaged(path, "a name in it is not a list of its tokens")
    if type(length) is not int or not max(map(len, names), default=0) < length:
        raise damaged(path, "its context length is not a number of tokens")
    return ToldVocabulary(tuple(tokens), tuple(map(tuple, names)), length)
