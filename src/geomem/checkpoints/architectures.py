"""What our models are called in transformers: one table per architecture, read in both directions.

Where a table names several tensors of ours, theirs is one of them on top of the other: c_attn is query, key
and value. Numbers are never changed, so that writing and reading again is the identity.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import ceil, prod
from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.fields import read_fields
from geomem.models.configuration import Mamba, Model, Transformer, check_model

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One tensor of theirs, and ours that it is made of, [out, in] each."""

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False
    """Whether theirs is [in, out], as the Conv1D of GPT-2 has it."""
    spread: bool = False
    """Whether theirs has an axis of length one before the last, as the filters of a convolution."""

    def shape(self, ours: Mapping[str, Shape]) -> Shape:
        """The shape of theirs."""
        parts = [ours[name] for name in self.ours]
        whole = (sum(part[0] for part in parts), *parts[0][1:])
        whole = whole[::-1] if self.transposed else whole
        return (*whole[:-1], 1, whole[-1]) if self.spread else whole

    def join(self, ours: Mapping[str, np.ndarray]) -> np.ndarray:
        """Theirs from ours."""
        whole = np.concatenate([ours[name] for name in self.ours])
        whole = whole.T if self.transposed else whole
        return whole[:, None] if self.spread else whole

    def split(self, theirs: np.ndarray, ours: Mapping[str, Shape]) -> dict[str, np.ndarray]:
        """Ours from theirs."""
        whole = theirs[:, 0] if self.spread else theirs
        whole = whole.T if self.transposed else whole
        ends = np.cumsum([ours[name][0] for name in self.ours])[:-1]
        return dict(zip(self.ours, np.split(whole, ends), strict=True))


def _linear(theirs: str, *ours: str) -> tuple[Row, Row]:
    """Weight and bias of a Conv1D."""
    weights, biases = (tuple(f"{name}.{part}" for name in ours) for part in ("weight", "bias"))
    return Row(f"{theirs}.weight", weights, transposed=True), Row(f"{theirs}.bias", biases)


def _norm(theirs: str, ours: str) -> tuple[Row, Row]:
    return Row(f"{theirs}.weight", (f"{ours}.weight",)), Row(f"{theirs}.bias", (f"{ours}.bias",))


@dataclass(frozen=True)
class Architecture:
    """A model of transformers, and the model of ours that computes the same."""

    kind: type[Model]
    model_type: str
    class_name: str
    prefix: str
    """What the names of all tensors but the read-out begin with."""
    rows: tuple[Row, ...]
    """Without the prefix; `{}` stands for the number of a block."""
    options: Mapping[str, str]
    """Fields of our configuration by what theirs calls them."""
    needs: Mapping[str, Any]
    """Fields of our configuration with the only value that theirs computes."""
    fixed: Mapping[str, tuple[Any, ...]]
    """Fields of their configuration with the values that ours computes; the first is written."""
    derived: Callable[[Any], dict[str, Any]]
    """Fields of their configuration that follow from ours."""
    unread: Mapping[str, Any]
    """Fields of their configuration that are written and change no logit."""
    positions: str = ""
    """What their configuration calls the length of the table of positions, if there is one."""
    whole: Mapping[str, Any] | None = None
    """Fields of ours that make a model with every tensor of theirs; zeros stand for what a model lacks."""


GPT2 = Architecture(
    kind=Transformer,
    model_type="gpt2",
    class_name="GPT2LMHeadModel",
    prefix="transformer.",
    rows=(
        Row("wte.weight", ("token_embedding",)),
        Row("wpe.weight", ("position_embedding",)),
        *_norm("h.{}.ln_1", "block_{}.attention_norm"),
        *_linear("h.{}.attn.c_attn", "block_{}.attention.query", "block_{}.attention.key_value"),
        *_linear("h.{}.attn.c_proj", "block_{}.attention.output"),
        *_norm("h.{}.ln_2", "block_{}.mlp_norm"),
        *_linear("h.{}.mlp.c_fc", "block_{}.mlp.expand"),
        *_linear("h.{}.mlp.c_proj", "block_{}.mlp.contract"),
        *_norm("ln_f", "final_norm"),
        Row("lm_head.weight", ("output_embedding",)),
    ),
    options={"layers": "n_layer", "width": "n_embd", "heads": "n_head", "tied": "tie_word_embeddings"},
    needs={"residual": True, "layer_norm": True},
    fixed={
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "layer_norm_epsilon": (1e-5,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    },
    derived=lambda model: {"n_inner": 4 * model.width},
    unread=dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    positions="n_positions",
    whole={"positions": "learned", "attention": True},
)

MAMBA = Architecture(
    kind=Mamba,
    model_type="mamba",
    class_name="MambaForCausalLM",
    prefix="backbone.",
    rows=(
        Row("embeddings.weight", ("token_embedding",)),
        Row("layers.{}.norm.weight", ("block_{}.norm.weight",)),
        Row("layers.{}.mixer.in_proj.weight", ("block_{}.input.weight",)),
        Row("layers.{}.mixer.conv1d.weight", ("block_{}.convolution.weight",), spread=True),
        Row("layers.{}.mixer.conv1d.bias", ("block_{}.convolution.bias",)),
        Row("layers.{}.mixer.x_proj.weight", ("block_{}.selection.weight",)),
        Row("layers.{}.mixer.dt_proj.weight", ("block_{}.step_size.weight",)),
        Row("layers.{}.mixer.dt_proj.bias", ("block_{}.step_size.bias",)),
        Row("layers.{}.mixer.A_log", ("block_{}.log_decay",)),
        Row("layers.{}.mixer.D", ("block_{}.skip",)),
        Row("layers.{}.mixer.out_proj.weight", ("block_{}.output.weight",)),
        Row("norm_f.weight", ("final_norm.weight",)),
        Row("lm_head.weight", ("output_embedding",)),
    ),
    options={
        "layers": "num_hidden_layers",
        "width": "hidden_size",
        "state_size": "state_size",
        "convolution": "conv_kernel",
        "expansion": "expand",
        "tied": "tie_word_embeddings",
    },
    needs={"residual": True, "norm": "root-mean-square", "final_norm": True},
    fixed={
        "hidden_act": ("silu", "swish"),
        "layer_norm_epsilon": (1e-5,),
        "use_bias": (False,),
        "use_conv_bias": (True,),
    },
    derived=lambda model: {
        "time_step_rank": ceil(model.width / 16),
        "intermediate_size": model.expansion * model.width,
    },
    unread={"residual_in_fp32": False},
)

ARCHITECTURES = {own.model_type: own for own in (GPT2, MAMBA)}
"""By what a config.json says of itself."""

UNMAPPED = {
    "bilinear": "one matrix between embedding and read-out",
    "associative": "one matrix between frozen embeddings",
    "node2vec": "products of vectors without a network",
    "gru": "gated recurrent units without normalisation",
    "module": "a module of your own",
}
"""What the other models compute, as nothing in transformers does."""


def find_mapped(model: Any, name: str) -> Architecture:
    """The architecture of transformers that computes a model of ours, called by its `name`.

    Raises `InputError` if there is none, with what does not map and what to train instead.

    >>> find_mapped(Transformer(), "transformer").class_name
    'GPT2LMHeadModel'
    >>> find_mapped(Mamba(residual=True), "mamba")
    Traceback (most recent call last):
    geomem.errors.InputError: A MambaForCausalLM always computes norm root-mean-square and final_norm, and \
this model does not; train with --norm root-mean-square --final-norm, or export with --format safetensors.
    """
    found = next((own for own in ARCHITECTURES.values() if isinstance(model, own.kind)), None)
    if found is None:
        what = UNMAPPED.get(name, name)
        raise InputError(f"transformers has nothing that computes {what}; export with --format safetensors.")
    check_needs(found, {name: value for name, value in found.needs.items() if getattr(model, name) != value})
    return found


def check_needs(found: Architecture, lacking: Mapping[str, Any]) -> None:
    """Raise `InputError` for fields with the only values that theirs computes, of a model with others."""
    said = [field if value is True else f"{field} {value}" for field, value in lacking.items()]
    options = ["--" + words.replace("_", "-") for words in said]
    if lacking:
        raise InputError(
            f"A {found.class_name} always computes {' and '.join(said)}, and this model does not; train with "
            f"{' '.join(options)}, or export with --format safetensors."
        )


def with_every_tensor(found: Architecture, model: Model) -> Model:
    """The model of ours that has every tensor of theirs."""
    return replace(model, **found.whole) if found.whole else model  # pyright: ignore[reportArgumentType]


def describe_for_transformers(
    found: Architecture, model: Model, *, vocabulary_size: int, context_length: int
) -> dict[str, Any]:
    """The config.json of a model.

    >>> config = describe_for_transformers(GPT2, Transformer(width=8), vocabulary_size=11, context_length=2)
    >>> config["n_embd"], config["n_inner"], config["n_positions"]
    (8, 32, 2)
    """
    config = {"architectures": [found.class_name], "model_type": found.model_type, "dtype": "float32"}
    config |= {"vocab_size": vocabulary_size}
    config |= {found.positions: context_length} if found.positions else {}
    config |= {theirs: getattr(model, ours) for ours, theirs in found.options.items()}
    config |= {name: values[0] for name, values in found.fixed.items()}
    return config | found.derived(model) | dict(found.unread)


def read_model(found: Architecture, config: Mapping[str, Any]) -> Model:
    """The model of ours that a config.json describes; what it does not say is as transformers has it.

    Raises `InputError` for what ours does not compute, and for sizes that describe no model.

    >>> read_model(GPT2, {"n_layer": 2, "n_embd": 8, "n_head": 2}).layers
    2
    """
    for name, values in found.fixed.items():
        if config.get(name, values[0]) not in values:
            allowed = " or ".join(map(repr, values))
            raise InputError(f"{name} is {str(config[name])[:60]!r}, and geomem computes {allowed} only.")
    known = {field.name: field for field in fields(found.kind)}  # pyright: ignore[reportArgumentType]
    values = {ours: config.get(theirs, known[ours].default) for ours, theirs in found.options.items()}
    missing = [theirs for ours, theirs in found.options.items() if ours != "tied" and theirs not in config]
    if missing:
        raise InputError(f"it does not say {missing[0]}.")
    model = read_fields(found.kind, {**values, **found.needs})
    check_model(model)
    for name, value in found.derived(model).items():
        if config.get(name) not in (None, "auto", value):
            raise InputError(f"{name} is {str(config[name])[:60]!r}, and geomem computes {value} only.")
    return model


def _rows(found: Architecture, layers: int, known: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """Every row with the name of its tensor in a file, for the tensors that a model has."""
    for row in found.rows:
        for block in range(layers) if "{}" in row.theirs else (0,):
            ours = tuple(name.format(block) for name in row.ours)
            if ours[0] in known:
                own = replace(row, theirs=row.theirs.format(block), ours=ours)
                name = own.theirs if own.theirs.startswith("lm_head") else found.prefix + own.theirs
                yield name, own


def to_theirs(
    found: Architecture, layers: int, ours: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]
) -> dict[str, np.ndarray]:
    """Their tensors by name; of ours with these shapes, zeros where a model lacks one."""
    lacking = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name not in ours}
    whole = {**ours, **lacking}
    return {name: row.join(whole) for name, row in _rows(found, layers, shapes)}


def their_shapes(found: Architecture, layers: int, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shape of every tensor of theirs, of ours with these shapes."""
    return {name: row.shape(shapes) for name, row in _rows(found, layers, shapes)}


def to_ours(
    found: Architecture, layers: int, theirs: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]
) -> dict[str, np.ndarray]:
    """Our tensors, of these shapes, from theirs by name."""
    ours = {}
    for name, row in _rows(found, layers, shapes):
        ours |= row.split(theirs[name], shapes)
    return ours


def count_numbers(shapes: Mapping[str, Shape]) -> int:
    """How many numbers tensors of these shapes hold.

    >>> count_numbers({"a": (2, 3), "b": (4,)})
    10
    """
    return sum(map(prod, shapes.values()))
