"""The GRU's configuration and the start of its tensors."""

from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType
from typing import ClassVar, Literal

from geomem.fields import Count, Layers
from geomem.models.architecture import Model, ParameterDescription, Sizes, architecture


@architecture("gru", network="geomem.models.networks.gru", title="GRU")
@dataclass(frozen=True)
class Gru(Model):
    """Gated recurrent unit, one layer per block: a recurrent memory of fixed size (Cho et al. 2014)."""

    layers: Layers = 1
    width: Count = 32
    residual: bool = False
    """Add each block to its input, which deep stacks need."""
    tied: bool = True
    """Read out with the token embedding; otherwise with a table of its own."""
    initialization: Literal["uniform", "gpt2"] = "uniform"
    """Weights and biases of the gates uniform within ± 1/√width; or weights from N(0, 0.02²), biases 0."""

    laptop = MappingProxyType({"layers": 2, "width": 128, "residual": True})
    recurrent: ClassVar[bool] = True
    block_calls: ClassVar[int] = 200
    remarks = MappingProxyType(
        {"tied": {False: "untied"}, "residual": {True: "residual"}, "initialization": {"gpt2": "gpt2 start"}}
    )

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Every tensor by name, and its start (the gates' is that of `torch.nn.GRU`).

        | tensor | start |
        |---|---|
        | `token_embedding` [vocab, width]; `output_embedding`, if not tied | N(0, 0.02²) |
        | `block_i.input`, `block_i.state` `.weight` [3 width, width] | ± 1/√width; `gpt2`: N(0, 0.02²) |
        | their `.bias` [3 width] | ± 1/√width; `gpt2`: zeros |

        ± is uniform within. The rows of the gates are those of reset, update and candidate, in this order.
        """
        width = self.width

        def gates(*inputs: int) -> ParameterDescription:
            if self.initialization == "uniform":
                return ParameterDescription((3 * width, *inputs), "uniform", 1 / sqrt(3 * width))
            return ParameterDescription((3 * width, *inputs), "normal" if inputs else "zeros", 0.02)

        table = ParameterDescription((sizes.vocabulary_size, width), "normal", 0.02)
        described = {"token_embedding": table}
        for block in range(self.layers):
            for part in ("input", "state"):
                described[f"block_{block}.{part}.weight"] = gates(width)
                described[f"block_{block}.{part}.bias"] = gates()
        return described | ({} if self.tied else {"output_embedding": table})

    def count_scan(self) -> int:
        """The gates of every coordinate."""
        return 3 * self.width
