"""Mamba's configuration and the start of its tensors."""

from dataclasses import dataclass
from math import ceil, sqrt
from types import MappingProxyType
from typing import ClassVar, Literal

from geomem.fields import Count, Layers
from geomem.models.architecture import Model, ParameterDescription, Sizes, architecture, describe_norm


@architecture("mamba", network="geomem.models.networks.mamba")
@dataclass(frozen=True)
class Mamba(Model):
    """Mamba-1: normalisation, causal convolution and selective scan per block (Gu and Dao 2023)."""

    layers: Layers = 1
    width: Count = 32
    state_size: Count = 8
    """Numbers each channel carries on: 8 in the paper's tiny models, 16 in its large ones."""
    convolution: Count = 4
    """Tokens the causal convolution sees, the current one included."""
    expansion: Count = 2
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

    laptop = MappingProxyType({"layers": 2, "width": 128, "state_size": 16})
    recurrent: ClassVar[bool] = True
    block_calls: ClassVar[int] = 1000
    # Plain is the release's: no residual, no final norm, all linear weights from one distribution.
    remarks = MappingProxyType(
        {
            "tied": {False: "untied"},
            "residual": {True: "residual"},
            "initialization": {"mamba": "Mamba's own start"},
        }
    )

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Every tensor by name, and its start (release of arXiv 2510.26745; Gu and Dao 2023).

        | tensor | start |
        |---|---|
        | `token_embedding` [vocab, width]; `output_embedding`, if not tied | N(0, 0.02²) |
        | `block_i.norm.weight`, `.bias` (LayerNorm only); `final_norm` likewise, if asked for | ones, zeros |
        | `block_i.input.weight` [2 inner, width], signal first, then gate | `release`: N(0, 0.02²) |
        | `block_i.convolution.weight` [inner, taps], `.bias` [inner] | uniform within ± 1/√taps |
        | `block_i.selection.weight` [rank + 2 state, inner]: step size, B, C | `release`: N(0, 0.02²) |
        | `block_i.step_size.weight` [inner, rank] | `release`: N(0, 0.02²); `mamba`: within ± 1/√rank |
        | `block_i.step_size.bias` [inner] | zeros; `mamba`: softplus⁻¹ of log-uniform in [0.001, 0.1] |
        | `block_i.log_decay` [inner, state] | log 1, ..., log state (S4D-real: A = -1, ..., -state) |
        | `block_i.skip` [inner] | ones |
        | `block_i.output.weight` [width, inner] | `release`: N(0, 0.02²) |

        With `mamba`, the linear weights that name only the release's start are uniform within ± 1/√inputs,
        the output's divided by √layers. inner = expansion · width channels, rank = ⌈width / 16⌉.
        """
        width, inner, taps, rank = self.width, self._inner, self.convolution, ceil(self.width / 16)
        release = self.initialization == "release"

        def uniform(*shape: int, bound: float) -> ParameterDescription:
            return ParameterDescription(shape, "uniform", bound / sqrt(3))

        def linear(outputs: int, inputs: int, bound: float) -> ParameterDescription:
            return (
                ParameterDescription((outputs, inputs), "normal", 0.02)
                if release
                else uniform(outputs, inputs, bound=bound)
            )

        def norm(name: str) -> dict[str, ParameterDescription]:
            return describe_norm(name, width, bias=self.norm == "layer")

        table = ParameterDescription((sizes.vocabulary_size, width), "normal", 0.02)
        described = {"token_embedding": table}
        for name in (f"block_{number}" for number in range(self.layers)):
            described |= norm(f"{name}.norm")
            described |= {
                f"{name}.input.weight": linear(2 * inner, width, bound=width**-0.5),
                f"{name}.convolution.weight": uniform(inner, taps, bound=taps**-0.5),
                f"{name}.convolution.bias": uniform(inner, bound=taps**-0.5),
                f"{name}.selection.weight": linear(rank + 2 * self.state_size, inner, bound=inner**-0.5),
                f"{name}.step_size.weight": linear(inner, rank, bound=rank**-0.5),
                f"{name}.step_size.bias": ParameterDescription(
                    (inner,), "zeros" if release else "step-sizes"
                ),
                f"{name}.log_decay": ParameterDescription((inner, self.state_size), "logarithms"),
                f"{name}.skip": ParameterDescription((inner,), "ones"),
                f"{name}.output.weight": linear(width, inner, bound=(inner * self.layers) ** -0.5),
            }
        described |= norm("final_norm") if self.final_norm else {}
        return described | ({} if self.tied else {"output_embedding": table})

    def count_activations(self, context: int) -> int:
        """About 16 vectors of its channels and 4 of their states."""
        return 16 * self._inner + 4 * self.count_scan()

    def count_scan(self) -> int:
        """One number per channel and state."""
        return self._inner * self.state_size

    @property
    def _inner(self) -> int:
        return self.expansion * self.width
