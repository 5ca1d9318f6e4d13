"""The tiny linear "neural network" and the associative control: configurations and starts."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

from annotated_types import Ge, Lt, doc

from geomem.fields import Count
from geomem.models.architecture import Model, ParameterDescription, Sizes, architecture


@architecture("bilinear", network="geomem.models.networks.bilinear")
@dataclass(frozen=True)
class Bilinear(Model):
    """The paper's tiny "neural network": logits(u) = E (W e_u + b), linear, tied (release, notes B.3)."""

    width: Count = 32
    dropout: Annotated[float, Ge(0), Lt(1), doc("a chance of at least 0 and below 1")] = 0.0
    """Chance that a coordinate of W e_u + b is dropped while training; the rest is scaled up."""
    initialization: Literal["gpt2", "unit-normal", "identity"] = "gpt2"
    """E and W from N(0, 0.02²); or E from N(0, 1); or E from N(0, 0.02²) and W the identity."""

    remarks = MappingProxyType(
        {"initialization": {"unit-normal": "unit-normal start", "identity": "identity start"}}
    )

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Every tensor by name, and its start (release of arXiv 2510.26745).

        | tensor | start |
        |---|---|
        | `token_embedding` [vocab, width] | N(0, 0.02²); N(0, 1) if `unit-normal` |
        | `weight` [width, width] | N(0, 0.02²); the identity if `identity` |
        | `bias` [width] | zeros |
        """
        return _tensors(self, sizes)


@architecture("associative", network="geomem.models.networks.bilinear")
@dataclass(frozen=True)
class Associative(Model):
    """The associative control: a bilinear model whose embeddings stay as they were drawn; only W, b learn."""

    width: Count = 512
    initialization: Literal["gpt2", "unit-normal"] = "gpt2"

    published = MappingProxyType(
        {"steps": 100, "learning_rate": 0.1, "schedule": "constant", "metric_every": 1}
    )
    remarks = Bilinear.remarks

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Those of `Bilinear`; `token_embedding` is never trained."""
        return _tensors(self, sizes)


def _tensors(model: Bilinear | Associative, sizes: Sizes) -> dict[str, ParameterDescription]:
    width, start = model.width, "identity" if model.initialization == "identity" else "normal"
    deviation = 1.0 if model.initialization == "unit-normal" else 0.02
    return {
        "token_embedding": ParameterDescription(
            (sizes.vocabulary_size, width), "normal", deviation, trained=isinstance(model, Bilinear)
        ),
        "weight": ParameterDescription((width, width), start, 0.02),
        "bias": ParameterDescription((width,), "zeros"),
    }
