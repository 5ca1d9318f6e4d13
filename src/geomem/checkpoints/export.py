"""Weights taken out of a run: as transformers opens them, or plain, for everything else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from geomem.checkpoints.recall_words import words_of_memory
from geomem.checkpoints.tokenizer import tokenizer_files
from geomem.checkpoints.weight_files import CONFIG, WEIGHTS
from geomem.checkpoints.words import Words, words_of_graph
from geomem.errors import InputError
from geomem.files import Writer, json_file, replace_file, system_errors, text_file, write_whole
from geomem.runs.checks import CELLS
from geomem.runs.configuration import model_kind
from geomem.runs.directory import array_file, configuration_hash
from geomem.runs.run import Run, find_seed, read_run
from geomem.worlds.facts.table import token_labels
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.language.telling import Telling
from geomem.worlds.vocabulary import Vocabulary

Format = Literal["hf", "safetensors"]

ROWS = "rows.json"
"""Which word each row of each table stands for."""

FORMAT = 1
"""Version of a plain folder's layout."""


@dataclass(frozen=True)
class Exported:
    """A folder of weights."""

    path: Path
    seed: int
    """The run that it holds."""
    notes: tuple[str, ...]
    """What whoever opens it has to know."""


def export_run(
    run: Run | str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    format: Format = "hf",
    seed: int | None = None,
) -> Exported:
    """Write the weights of one run, with its vocabulary, into a new folder.

    `hf` is what `AutoModelForCausalLM` and `AutoTokenizer` of transformers open: a Transformer as
    `GPT2LMHeadModel`, a Mamba as `MambaForCausalLM`, words split at tabs. `safetensors` takes every model
    and every memory, under our own names. Of several seeds the first is written, or `seed`. Neither needs
    transformers.

    Raises `InputError` for a model that transformers does not have, a seed that there is no run of, a folder
    that is there already, and where the disk is full.

    >>> import tempfile
    >>> from geomem.runs.edges import memorize
    >>> from geomem.training.configuration import Training
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = memorize("cycle", training=Training(steps=5), seeds=1, directory=folder)
    ...     exported = export_run(run, Path(folder) / "cycle")
    ...     sorted(path.name for path in exported.path.iterdir())
    ['README.md', 'config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']
    """
    stored = run if isinstance(run, Run) else read_run(run)
    path = Path(directory)
    number = find_seed(stored, seed)
    if format not in get_args(Format):
        raise InputError(f"format is {format!r}; give {' or '.join(get_args(Format))}.")
    with system_errors(path, "read"):
        if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path} is there already; give a new folder, or remove it.")
    if isinstance(stored.task, Telling):
        raise InputError(
            f"{stored.path} was told its graph in sentences, and such runs are not exported; look at it with "
            "`geomem audit` or `geomem measure`."
        )
    weights = {name: array[number] for name, array in stored.weights().items()}
    weights |= {CELLS + name: array[number] for name, array in stored.cell_weights().items()}
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise InputError(
                f"{name} of {stored.path} holds NaN or infinity; export a run that did not diverge."
            )
    described = _describe(stored, stored.seeds[number])
    if format == "hf":
        words = (words_of_graph if isinstance(stored.world, Graph) else words_of_memory)(stored, weights)
        files, notes = _for_transformers(words, described), list(words.notes)
    else:
        files, notes = _plain(stored, weights, described)
    if len(stored.seeds) > 1:
        others = ", ".join(map(str, stored.seeds))
        notes.insert(0, f"this is the run of seed {stored.seeds[number]}, of the seeds {others}")
    files["README.md"] = text_file(_read_me(stored, format, notes))

    def write(folder: Path) -> None:
        for name, writer in files.items():
            replace_file(folder / name, writer)

    write_whole(path, write)
    return Exported(path, stored.seeds[number], tuple(notes))


def _describe(stored: Run, seed: int) -> dict[str, Any]:
    """What the folder says of the run that it holds."""
    told = {name: stored.configuration[name] for name in ("world", "task", "model")}
    return {"format": FORMAT, "run": configuration_hash(stored.configuration), "seed": seed, **told}


def _for_transformers(words: Words, described: Mapping[str, Any]) -> dict[str, Writer]:
    config = {**words.config, "pad_token_id": words.padding, "bos_token_id": None, "eos_token_id": None}
    single = {name: array.astype(np.float32) for name, array in words.tensors.items()}
    return {
        CONFIG: json_file(config | {"geomem": dict(described)}),
        WEIGHTS: array_file(single, {"format": "pt"}),
        **tokenizer_files(words.tokens, words.longest),
    }


def _plain(
    stored: Run, weights: Mapping[str, np.ndarray], described: Mapping[str, Any]
) -> tuple[dict[str, Writer], list[str]]:
    world = stored.world
    if isinstance(world, Graph):
        vocabulary = Vocabulary(world.labels)
        tokens = [vocabulary.text(token) for token in range(vocabulary.size)]
        words = {f"{table}_embedding": tokens for table in ("token", "output", "context")}
    else:
        words = {"subject_embedding": world.subjects, "relation_embedding": world.relations}
        words |= {"output_embedding": world.objects, "token_embedding": token_labels(world)}
    rows = {name: list(words[name])[: len(weights[name])] for name in words if name in weights}
    described = {**described, "cells": list(stored.cell_counts)} if stored.cell_counts else dict(described)
    files = {
        CONFIG: json_file({"geomem": described}),
        WEIGHTS: array_file(weights, {"format": "pt"}),
        ROWS: json_file(rows),
    }
    return files, [f"{ROWS} has the words of the rows of every table"]


_OPENED = {
    "hf": """import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".").eval()
prompt = tokenizer(["{prompt}"], return_tensors="pt")
with torch.no_grad():
    logits = model(**prompt).logits[0, -1]
print([tokenizer.convert_ids_to_tokens(int(token)) for token in logits.topk(3).indices])""",
    "safetensors": """import json
from safetensors.numpy import load_file

weights = load_file("model.safetensors")
words = json.load(open("rows.json"))
print({{name: array.shape for name, array in weights.items()}})""",
}


def _read_me(stored: Run, format: Format, notes: list[str]) -> str:
    """What a person finds in the folder."""
    if isinstance(stored.world, Graph):
        edge = stored.configuration["task"].get("kind") == "edge-memorization"
        first = () if edge and not getattr(stored.task, "task_token", True) else ("[EDGE]",)
        prompt = [*first, stored.world.labels[0]]
    else:
        prompt = [stored.world.subjects[0], stored.world.relations[0]]
    text = "\\t".join(word.replace("\\", "\\\\").replace('"', '\\"') for word in prompt)
    again = "; `geomem import` makes a run of it again" if isinstance(stored.world, Graph) else ""
    lines = "\n".join(f"- {note[0].upper()}{note[1:]}." for note in notes)
    return (
        f"# {stored.path.name}\n\nWeights that hold {stored.world.name}, of the architecture "
        f"{model_kind(stored.model)}, written by geomem{again}.\n\n```python\n"
        f"{_OPENED[format].format(prompt=text)}\n```\n\n{lines}\n"
    )
