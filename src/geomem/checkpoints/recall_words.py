"""A memory of facts as a GPT-2 that reads subject and relation and names the object, where that is exact.

GPT-2 has one table of words: a subject's row is its own, a relation's too, and in the read-out an object's.
All other rows are zeros. It normalises before attention, MLP and read-out; only a memory that does so maps.
"""

from collections.abc import Mapping

import numpy as np

from geomem.checkpoints.architectures import (
    GPT2,
    check_needs,
    describe_for_transformers,
    find_mapped,
    to_theirs,
)
from geomem.checkpoints.tokenizer import PADDING
from geomem.checkpoints.words import JOINED, Words
from geomem.errors import InputError
from geomem.models.configuration import Recall, Transformer
from geomem.runs.configuration import model_kind
from geomem.runs.run import Run
from geomem.worlds.text_file import show_label

QUESTION = 2
"""Words of a question: subject and relation."""


def words_of_memory(stored: Run, weights: Mapping[str, np.ndarray]) -> Words:
    """A memory, by the weights of one seed; raises `InputError` for what does not map."""
    model, table = stored.model, stored.table
    if not isinstance(model, Recall):
        find_mapped(model, model_kind(model))  # it says that there is nothing
    wanted = {"layer_norm": True, "hops": 1, "attention": "content"}
    lacking = {name: value for name, value in wanted.items() if getattr(model, name) != value}
    if model.attention == "uniform":  # a head whose scores are all 0
        del lacking["attention"]
    check_needs(GPT2, lacking)
    tokens = list(dict.fromkeys([*table.subjects, *table.relations, *table.objects, PADDING]))
    named = {*table.subjects, *table.objects} & {*table.relations}
    if named or PADDING in {*table.subjects, *table.relations, *table.objects}:
        word = show_label(min(named, default=PADDING))
        raise InputError(
            f"'{word}' is the name of two things, and a tokenizer has one row for it; export with "
            "--format safetensors."
        )
    row = {word: number for number, word in enumerate(tokens)}
    ours = _as_transformer(model, weights)
    table_of = {"token_embedding": (*table.subjects, *table.relations), "output_embedding": table.objects}
    read_out = weights["subject_embedding" if model.tied else "output_embedding"]
    given = {
        "token_embedding": np.concatenate([weights["subject_embedding"], weights["relation_embedding"]]),
        "output_embedding": read_out,
    }
    for name, words in table_of.items():
        ours[name] = np.zeros((len(tokens), model.width), np.float32)
        ours[name][[row[word] for word in words]] = given[name]
    like = Transformer(layers=model.layers, width=model.width, tied=False)
    config = describe_for_transformers(GPT2, like, vocabulary_size=len(tokens), context_length=QUESTION)
    config |= {"activation_function": "relu", "n_inner": max(model.mlp_width, 1)}
    return Words(
        config=config,
        tensors=to_theirs(GPT2, model.layers, ours, {name: array.shape for name, array in ours.items()}),
        tokens=tokens,
        longest=QUESTION,
        notes=(
            JOINED,
            "a prompt is a subject and a relation",
            "words that are no objects have the logit 0: compare those of objects only",
        ),
    )


def _as_transformer(model: Recall, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The blocks by the names that a Transformer has for them, with biases of zero where ours has none."""
    width = model.width
    ours = {name: array for name, array in weights.items() if not name.endswith("_embedding")}
    ours["position_embedding"] = np.zeros((QUESTION, width), np.float32)
    for block in (f"block_{number}" for number in range(model.layers)):
        keys, values = (ours.pop(f"{block}.attention.{name}.weight") for name in ("key", "value"))
        ours[f"{block}.attention.key_value.weight"] = np.concatenate([keys, values])
        for name, size in (("query", width), ("key_value", 2 * width), ("output", width)):
            ours[f"{block}.attention.{name}.bias"] = np.zeros(size, np.float32)
        if not model.mlp_width:
            shapes = {"mlp_norm.weight": (width,), "mlp_norm.bias": (width,), "mlp.contract.bias": (width,)}
            shapes |= {"mlp.expand.weight": (1, width), "mlp.contract.weight": (width, 1)}
            shapes["mlp.expand.bias"] = (1,)
            ours |= {f"{block}.{name}": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return ours
