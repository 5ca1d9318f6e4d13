"""The Transformer's configuration and the start of its tensors."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from geomem.errors import InputError
from geomem.fields import Count, Deviation, Layers
from geomem.models.architecture import (
    Model,
    ParameterDescription,
    Sizes,
    architecture,
    describe_linear,
    describe_norm,
)

# Of heads that an error proposes, whatever was given.
MOST_HEADS = 1024


@architecture("transformer", network="geomem.models.networks.transformer")
@dataclass(frozen=True)
class Transformer(Model):
    """GPT-2: pre-LayerNorm blocks of causal attention and a tanh-GELU MLP, with biases everywhere."""

    layers: Layers = 1
    width: Count = 32
    heads: Count = 1
    positions: Literal["learned", "sinusoidal", "none"] = "learned"
    position_scale: Deviation = 1.0
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

    laptop = MappingProxyType({"layers": 2, "width": 128, "heads": 4, "position_scale": 0.02})
    block_calls: ClassVar[int] = 500
    remarks = MappingProxyType(
        {
            "tied": {False: "untied"},
            "attention": {False: "no attention"},
            "residual": {False: "no residual"},
            "layer_norm": {False: "no LayerNorm"},
            "frozen_embeddings": {True: "frozen embeddings"},
            "initialization": {"unit-normal": "unit-normal start"},
        }
    )

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Every tensor by name, and its start (release of arXiv 2510.26745; Radford et al. 2019).

        | tensor | start |
        |---|---|
        | `token_embedding` [vocab, width] | N(0, 0.02²); N(0, 1) if `unit-normal` |
        | `position_embedding` [seq, width] | N(0, `position_scale`²); sinusoidal: fixed waves; none: absent |
        | `output_embedding` [vocab, width], if not tied | as `token_embedding` |
        | `block_i.attention_norm`, `block_i.mlp_norm`, `final_norm` `.weight`, `.bias` | ones, zeros |
        | `block_i.attention.query.weight` [width, width] | N(0, 0.02²) |
        | `block_i.attention.key_value.weight` [2 width, width], keys first | N(0, 0.02²) |
        | `block_i.attention.output.weight` [width, width] | N(0, 0.02²) |
        | `block_i.mlp.expand.weight` [4 width, width], `.contract.weight` [width, 4 width] | N(0, 0.02²) |
        | their `.bias` [out] | zeros |

        Never trained: sinusoidal positions; with `frozen_embeddings` also tokens and positions. GPT-2's
        smaller start of the residual projections is left out because the release leaves it out.
        """
        width, trained = self.width, not self.frozen_embeddings
        deviation = 1.0 if self.initialization == "unit-normal" else 0.02
        embedding = ParameterDescription((sizes.vocabulary_size, width), "normal", deviation, trained=trained)
        described = {"token_embedding": embedding}
        if self.positions != "none":
            learned = self.positions == "learned"
            described["position_embedding"] = ParameterDescription(
                (sizes.context_length, width),
                "normal" if learned else "sinusoids",
                self.position_scale if learned else 0.0,
                trained=trained and learned,
            )

        def norm(name: str) -> dict[str, ParameterDescription]:
            return describe_norm(name, width) if self.layer_norm else {}

        for block in (f"block_{number}" for number in range(self.layers)):
            if self.attention:
                described |= norm(f"{block}.attention_norm")
                described |= describe_linear(f"{block}.attention.query", width, width)
                described |= describe_linear(f"{block}.attention.key_value", width, 2 * width)
                described |= describe_linear(f"{block}.attention.output", width, width)
            described |= norm(f"{block}.mlp_norm")
            described |= describe_linear(f"{block}.mlp.expand", width, 4 * width)
            described |= describe_linear(f"{block}.mlp.contract", 4 * width, width)
        described |= norm("final_norm")
        if not self.tied:
            table = ParameterDescription((sizes.vocabulary_size, width), "normal", deviation)
            described["output_embedding"] = table
        return described

    def check(self) -> None:
        """Raise `InputError` unless the heads divide the width and sinusoids fit into it."""
        if self.width % self.heads:
            most = min(self.heads, self.width, MOST_HEADS)
            best = next(heads for heads in range(most, 0, -1) if self.width % heads == 0)
            raise InputError(
                f"width is {self.width} and heads is {self.heads}; heads must divide width, "
                f"for example heads {best}."
            )
        if self.positions == "sinusoidal" and self.width % 2:
            raise InputError(f"width is {self.width}; sinusoidal positions need an even width.")

    def count_activations(self, context: int) -> int:
        """16 vectors of the width, and in every head the weights of every position against every other."""
        return 16 * self.width + 2 * self.heads * context

    @property
    def reads_past(self) -> bool:
        """Without attention no token reaches another position."""
        return self.attention
