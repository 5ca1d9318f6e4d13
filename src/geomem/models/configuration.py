"""Which architectures there are and what can be said of each, without importing torch.

Every class is a frozen dataclass whose fields are the command line's options.
"""

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin, get_type_hints

from geomem.errors import InputError


@dataclass(frozen=True)
class Transformer:
    """GPT-2: pre-LayerNorm blocks of causal attention and a tanh-GELU MLP, with biases everywhere."""

    layers: int = 1
    width: int = 32
    heads: int = 1
    positions: Literal["learned", "sinusoidal", "none"] = "learned"
    position_scale: float = 1.0
    """Standard deviation of learned positions at the start: 1.0 as in the release, 0.02 as in GPT-2."""
    tied: bool = True
    """Read out with the token embedding; otherwise with a table of its own."""
    attention: bool = True
    residual: bool = True
    layer_norm: bool = True
    frozen_embeddings: bool = False
    """Never train token embedding and positions (nor the read-out, if tied)."""
    initialization: Literal["gpt2", "unit-normal"] = "gpt2"
    """Token embeddings (and read-out) from N(0, 0.02²), or from N(0, 1); other weights from N(0, 0.02²)."""


@dataclass(frozen=True)
class Mamba:
    """Mamba-1: normalisation, causal convolution and selective scan per block (Gu and Dao 2023)."""

    layers: int = 1
    width: int = 32
    state_size: int = 8
    """Numbers each channel carries on: 8 in the paper's tiny models, 16 in its large ones."""
    convolution: int = 4
    """Tokens the causal convolution sees, the current one included."""
    expansion: int = 2
    """Channels inside a block, as a multiple of the width."""
    residual: bool = False
    """Add each block to its input; the release does not."""
    norm: Literal["layer", "root-mean-square"] = "layer"
    """What comes before each block: LayerNorm as in the release, or RMSNorm as in the published Mamba."""
    final_norm: bool = False
    """Normalise once more before the read-out; the release does not."""
    tied: bool = True
    """Read out with the token embedding; otherwise with a table of its own."""
    initialization: Literal["release", "mamba"] = "release"
    """All linear weights from N(0, 0.02²) and their biases 0; or Mamba's own start, with small step sizes."""


@dataclass(frozen=True)
class Bilinear:
    """The paper's tiny "neural network": logits(u) = E (W e_u + b), linear, tied (release, B.3 and C)."""

    width: int = 32
    dropout: float = 0.0
    """Chance that a coordinate of W e_u + b is dropped while training; the rest is scaled up."""
    initialization: Literal["gpt2", "unit-normal", "identity"] = "gpt2"
    """E and W from N(0, 0.02²); or E from N(0, 1); or E from N(0, 0.02²) and W the identity."""


@dataclass(frozen=True)
class Associative:
    """The associative control: a bilinear model whose embeddings stay as they were drawn; only W, b learn."""

    width: int = 512
    initialization: Literal["gpt2", "unit-normal"] = "gpt2"


@dataclass(frozen=True)
class Node2Vec:
    """One-hop Node2Vec with a full softmax, trained on its closed-form gradient (paper's equation 1)."""

    width: int = 100
    tied: bool = True
    """Score a pair by v_i · v_j; untied by v_i · u_j with a second table."""
    embedding_scale: float = 1.0
    """Standard deviation of the embeddings at the start."""


@dataclass(frozen=True)
class Recall:
    """One block over the tokens (subject, relations), read at the last: the model of factual recall.

    After arXiv 2605.12426, whose details are not public: h = e_r + W_O sum att W_V X,
    y = h + W_2 relu(W_1 h + b_1) + b_2, logits U y; our own recipe. It answers fact tables, not graphs, so
    it is none of `MODELS`.
    """

    width: int = 32
    mlp_width: int = 128
    """Neurons of the MLP in every block; 0 leaves the MLP out."""
    layers: int = 1
    attention: Literal["content", "uniform", "none"] = "content"
    """One softmax head; the plain mean over the tokens seen; or no head, and the tokens' embeddings added."""
    layer_norm: bool = False
    """Normalise before the head, before the MLP and before the read-out."""
    tied: bool = False
    """Read out with the subjects' embedding; then the objects must be the subjects."""
    frozen: tuple[Literal["subjects", "relations", "objects"], ...] = ()
    """Tables that stay as they were drawn."""
    subject_scale: float = 1.0
    """Factor on the standard deviation of the subjects' embedding at the start."""
    hops: int = 1
    """Relations in a question; from two on, every position of a relation has a head of its own too."""


Model = Transformer | Mamba | Bilinear | Associative | Node2Vec

MODELS: dict[str, type[Model]] = {
    "transformer": Transformer,
    "mamba": Mamba,
    "bilinear": Bilinear,
    "associative": Associative,
    "node2vec": Node2Vec,
}
"""The architectures by the name the command line uses."""


def check_model(model: Model) -> None:
    """Raise `InputError` if the configuration describes no model: sizes, heads, chances, unknown words.

    >>> check_model(Transformer(width=32, heads=4))
    >>> check_model(Transformer(width=32, heads=5))
    Traceback (most recent call last):
    geomem.errors.InputError: width is 32 and heads is 5; heads must divide width, for example heads 4.
    """
    types = get_type_hints(type(model))
    for field in fields(model):
        value = getattr(model, field.name)
        if get_origin(types[field.name]) is Literal and value not in get_args(types[field.name]):
            words = ", ".join(repr(word) for word in get_args(types[field.name]))
            raise InputError(f"{field.name} is {value!r}; give one of {words}.")
        if types[field.name] is int and value < 1:
            raise InputError(f"{field.name} is {value}; give a whole number of at least 1.")
    match model:
        case Transformer():
            if model.width % model.heads:
                best = max(heads for heads in range(1, model.heads) if model.width % heads == 0)
                raise InputError(
                    f"width is {model.width} and heads is {model.heads}; heads must divide width, "
                    f"for example heads {best}."
                )
            if model.positions == "sinusoidal" and model.width % 2:
                raise InputError(f"width is {model.width}; sinusoidal positions need an even width.")
            _check_scale("position_scale", model.position_scale)
        case Bilinear() if not 0 <= model.dropout < 1:
            raise InputError(f"dropout is {model.dropout}; give a chance of at least 0 and below 1.")
        case Node2Vec():
            _check_scale("embedding_scale", model.embedding_scale)


def check_recall(model: Recall) -> None:
    """Raise `InputError` if the configuration describes no recall model.

    >>> check_recall(Recall(width=8, mlp_width=0))
    >>> check_recall(Recall(hops=2, attention="none"))
    Traceback (most recent call last):
    geomem.errors.InputError: hops is 2 and attention is 'none'; only a head knows the order of relations.
    """
    for name, least in (("width", 1), ("mlp_width", 0), ("layers", 1), ("hops", 1)):
        if getattr(model, name) < least:
            raise InputError(f"{name} is {getattr(model, name)}; give a whole number of at least {least}.")
    if model.attention not in ("content", "uniform", "none"):
        raise InputError(f"attention is {model.attention!r}; give 'content', 'uniform' or 'none'.")
    if not set(model.frozen) <= {"subjects", "relations", "objects"}:
        raise InputError(f"frozen is {model.frozen!r}; give some of 'subjects', 'relations', 'objects'.")
    if model.tied and "objects" in model.frozen:
        raise InputError("A tied model has no table of objects to freeze; freeze 'subjects', or untie.")
    if model.hops > 1 and model.attention == "none":
        raise InputError(
            f"hops is {model.hops} and attention is 'none'; only a head knows the order of relations."
        )
    _check_scale("subject_scale", model.subject_scale)


def _check_scale(name: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise InputError(f"{name} is {value}; give a finite standard deviation of at least 0.")
