"""An architecture from outside the package, without torch: each block adds the mean of all tokens so far."""

from dataclasses import dataclass
from types import MappingProxyType

from geomem.fields import Count
from geomem.models.architecture import Model, ParameterDescription, Sizes, architecture


@architecture("averager", network="averager_network")
@dataclass(frozen=True)
class Averager(Model):
    """A toy: every block adds a matrix times the mean of the tokens so far."""

    layers: Count = 1
    width: Count = 16
    tied: bool = True

    published = MappingProxyType({"steps": 40, "learning_rate": 0.02})
    laptop = MappingProxyType({"width": 24})
    block_calls = 20
    remarks = MappingProxyType({"tied": {False: "untied"}})

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Every tensor by name, and its start.

        | tensor | start |
        |---|---|
        | `token_embedding`, `output_embedding` [vocab, width] | N(0, 1 / width) |
        | `block_i.weight` [width, width] | N(0, 1 / width) |
        """
        table = ParameterDescription((sizes.vocabulary_size, self.width), "normal", self.width**-0.5)
        square = ParameterDescription((self.width, self.width), "normal", self.width**-0.5)
        described = {"token_embedding": table}
        described |= {f"block_{block}.weight": square for block in range(self.layers)}
        return described | ({} if self.tied else {"output_embedding": table})
