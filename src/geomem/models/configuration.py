"""Which architectures there are and what can be said of each, without importing torch.

Every class is a frozen dataclass whose fields are the command line's options.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Transformer:
    """GPT-2: pre-LayerNorm blocks of causal attention and a tanh-GELU MLP, with biases everywhere."""

    layers: int = 1
    width: int = 32
    heads: int = 1
    positions: Literal["learned", "sinusoidal", "none"] = "learned"
    position_scale: float = 1.0
    """Standard deviation of learned positions at the start: 1.0 as in the authors' release, 0.02 as in GPT-2."""
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


Model = Transformer | Bilinear | Associative | Node2Vec

MODELS: dict[str, type[Model]] = {
    "transformer": Transformer,
    "bilinear": Bilinear,
    "associative": Associative,
    "node2vec": Node2Vec,
}
"""The architectures by the name the command line uses."""
