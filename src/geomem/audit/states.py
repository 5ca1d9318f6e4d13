"""What a model holds of its entities: one vector per layer, template and entity.

Axis names: `template` (a sentence in which the entity stands), `entity`, `width`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Layer:
    """One place of a model: "input embedding", "block 3", "final norm", "output embedding" or "vectors"."""

    name: str
    vectors: Float[np.ndarray, "template entity width"]
    """A place that no template reaches (embeddings) has one template."""


@dataclass(frozen=True)
class States:
    """The same entities at every place that was looked at.

    >>> places = (Layer("vectors", np.zeros((1, 2, 3), dtype=np.float32)),)
    >>> States(("Chad", "Mali"), ("",), "last token", places).layers[0].name
    'vectors'
    """

    entities: tuple[str, ...]
    templates: tuple[str, ...]
    """Each with `{}` where the entity stands, which is at its end."""
    position: str
    """"last token" or "mean of tokens" of the entity's name."""
    layers: tuple[Layer, ...]
