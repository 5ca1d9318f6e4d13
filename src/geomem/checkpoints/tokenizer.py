"""The vocabulary of a checkpoint: one word per row of its tables, as tokenizers write it and read it.

Labels hold spaces and never a tab, so a prompt is words joined by tabs: `[EDGE]\tBosnia and Herzegovina`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geomem.checkpoints.weight_files import read_object
from geomem.errors import InputError
from geomem.files import Writer, json_file
from geomem.worlds.text_file import show_label
from geomem.worlds.vocabulary import Vocabulary

TOKENIZER, VOCABULARY = "tokenizer.json", "vocab.json"

PADDING = "[PAD]"
"""The word that unknown words become: a row of its own would change the softmax."""

LARGEST_VOCABULARY = 1 << 28
"""Bytes of a vocabulary's file that are read."""


def tokens_of(vocabulary: Vocabulary) -> list[str]:
    """The text of every row of a token table.

    Raises `InputError` if a node has the name of a special token: no tokenizer tells them apart.

    >>> tokens_of(Vocabulary(("a", "b")))[:4]
    ['a', 'b', '|', '[PAUSE]']
    """
    tokens = [vocabulary.text(token) for token in range(vocabulary.size)]
    if twice := {*vocabulary.labels} & {*tokens[vocabulary.node_count :]}:
        raise InputError(
            f"A node is called '{min(twice)}', as a special token is, and no tokenizer tells them apart; "
            "export with --format safetensors."
        )
    return tokens


def tokenizer_files(tokens: Sequence[str], longest: int | None) -> dict[str, Writer]:
    """The files from which transformers makes a `PreTrainedTokenizerFast`; `longest` is a prompt's length."""
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": "\t"},
            "behavior": "Removed",
            "invert": False,
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {token: row for row, token in enumerate(tokens)},
            "unk_token": PADDING,
        },
    }
    configuration: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": PADDING,
        "pad_token": PADDING,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    configuration |= {} if longest is None else {"model_max_length": longest}
    return {TOKENIZER: json_file(tokenizer), "tokenizer_config.json": json_file(configuration)}


def read_tokens(folder: Path) -> dict[str, int] | None:
    """The row of every word, from the tokenizer in a folder; None if there is none.

    Raises `InputError` for a file that numbers its words otherwise than with whole numbers from 0 on.
    """
    path = folder / TOKENIZER
    if path.exists():
        described = read_object(path, LARGEST_VOCABULARY)
        model = described.get("model")
        found = model.get("vocab") if isinstance(model, dict) else None
        added = described.get("added_tokens") or []
        if isinstance(found, dict) and isinstance(added, list):
            extra = [entry for entry in added if isinstance(entry, dict)]
            found = found | {entry.get("content"): entry.get("id") for entry in extra}
    elif (path := folder / VOCABULARY).exists():
        found = read_object(path, LARGEST_VOCABULARY)
    else:
        return None
    return check_tokens(path, found)


def check_tokens(path: Path, found: Any) -> dict[str, int]:
    """The row of every word; raises `InputError` unless each has a row of its own."""
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{path} does not say the row of any word; give --vocabulary FILE, a word per line.")
    for word, row in found.items():
        if not isinstance(word, str) or type(row) is not int or row < 0:
            raise InputError(
                f"{path} has the row {str(row)[:20]!r} for '{show_label(str(word))}'; rows are whole numbers."
            )
    if len({*found.values()}) < len(found):
        raise InputError(f"{path} has two words for one row; give --vocabulary FILE, a word per line.")
    return dict(found)
