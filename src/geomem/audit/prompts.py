"""Names in sentences, as tokens: where each name stands, and what cannot be written.

Axis names: `prompt`, `token`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from geomem.errors import InputError
from geomem.worlds.text_file import read_text

Position = Literal["last token", "mean of tokens"]

NAME = "{}"
"""Where the name stands in a template; in a question's template, the first of the two."""

TEMPLATES = ("The word is {}", "I have been thinking about {}", "This sentence is about {}")
"""Neutral ones: they say nothing of what the names are."""

EDGE_TEMPLATES = ("[EDGE]\t{}",)
"""Those of a model that geomem trained on edges: the only prompt it has seen."""


@dataclass(frozen=True)
class Prompt:
    """A sentence with a name in it, as tokens."""

    tokens: tuple[int, ...]
    name: tuple[int, ...]
    """Places of the name's tokens in `tokens`."""


def read_templates(path: Path) -> tuple[str, ...]:
    """Templates from a text, one per line, `{}` where the name stands, `\\\\t` for a tab.

    Raises `InputError` if the file is missing or a line has not exactly one `{}`, or nothing before it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "t.txt").write_text("The word is {}\\nAll about {}.\\n")
    ...     read_templates(Path(folder) / "t.txt")
    ('The word is {}', 'All about {}.')
    """
    lines = read_text(path, "one template per line").splitlines()
    return check_templates([line.strip().replace("\\t", "\t") for line in lines if line.strip()])


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """The same templates; raises `InputError` unless each has one `{}` with something before it.

    >>> check_templates(["{} is a word"])
    Traceback (most recent call last):
    geomem.errors.InputError: The template '{} is a word' begins with the name, and what a model holds at \
its first token is the same for every name; write a word before {}.
    """
    if not templates:
        raise InputError("There is no template; give at least one, such as 'The word is {}'.")
    for template in templates:
        if template.count(NAME) != 1:
            raise InputError(f"The template {template[:80]!r} must have one {{}}, where the name stands.")
        if template.startswith(NAME):
            raise InputError(
                f"The template {template[:80]!r} begins with the name, and what a model holds at its first "
                "token is the same for every name; write a word before {}."
            )
    return tuple(templates)


def encode_names(tokenizer: Any, template: str, names: Sequence[str]) -> list[Prompt | None]:
    """Every name in a template, as tokens; None for a name of which the tokenizer knows no token.

    The tokens of a name are those that overlap with its letters in the text.
    """
    before, _, after = template.partition(NAME)
    texts = [f"{before}{name}{after}" for name in names]
    encoded = tokenizer(texts, return_offsets_mapping=True, verbose=False)
    prompts: list[Prompt | None] = []
    for name, tokens, spans in zip(names, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        start, end = len(before), len(before) + len(name)
        places = tuple(at for at, (first, last) in enumerate(spans) if first < end and last > start)
        known = any(tokens[at] != tokenizer.unk_token_id for at in places)
        prompts.append(Prompt(tuple(tokens), places) if known and places[0] > 0 else None)
    return prompts


def shared_prefix(prompts: Sequence[Prompt]) -> int:
    """How many tokens all prompts begin with, before any name.

    >>> shared_prefix([Prompt((1, 2, 3, 4), (2, 3)), Prompt((1, 2, 5), (2,))])
    2
    """
    low, high = min(prompt.tokens for prompt in prompts), max(prompt.tokens for prompt in prompts)
    alike = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return min(alike, *(prompt.name[0] for prompt in prompts))


def batches(prompts: Sequence[Prompt], most_tokens: int) -> list[Int[np.ndarray, " prompt"]]:
    """Numbers of prompts of one length, so many at a time that they have at most so many tokens.

    Prompts of one length need no padding, in whatever way an architecture takes that.

    >>> [batch.tolist() for batch in batches([Prompt((1, 2), (1,)), Prompt((1, 2, 3), (1,))] * 2, 4)]
    [[0, 2], [1], [3]]
    """
    lengths = np.array([len(prompt.tokens) for prompt in prompts])
    found = []
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        size = max(1, most_tokens // int(length))
        found += [members[start : start + size] for start in range(0, len(members), size)]
    return found
