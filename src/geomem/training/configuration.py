"""How a fleet is trained, without importing torch; the fields are the command line's options."""

from dataclasses import dataclass
from typing import Literal

from geomem.models.configuration import Associative, Bilinear, Model, Node2Vec


@dataclass(frozen=True)
class Training:
    """Full-batch training of a fleet: optimizer, learning-rate schedule, and what is written down on the way."""

    steps: int = 500
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    """Decoupled weight decay on every trained parameter, as torch.optim.AdamW applies it."""
    warmup_steps: int = 0
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: a cosine down to `final_learning_rate`, or constant."""
    final_learning_rate: float = 0.1
    """Learning rate at the last step of the cosine, as a share of the peak."""
    optimizer: Literal["adamw", "gradient-descent"] = "adamw"
    metric_every: int = 5
    """Steps between two rows of the metrics; the first step and the last are always written."""
    snapshots: int = 24
    """How many times the node embeddings are kept, log-spaced from step 0 to the last."""


def default_training(model: Model) -> Training:
    """The published setting of each architecture on the tiny graphs (release notebooks, B.3.1).

    >>> from geomem.models.configuration import Node2Vec
    >>> default_training(Node2Vec()).optimizer
    'gradient-descent'
    """
    if isinstance(model, Node2Vec):
        return Training(steps=10_000, schedule="constant", optimizer="gradient-descent", metric_every=100)
    if isinstance(model, Associative):
        return Training(steps=100, learning_rate=0.1, schedule="constant", metric_every=1)
    if isinstance(model, Bilinear):
        return Training(steps=500)
    return Training(steps=500)
