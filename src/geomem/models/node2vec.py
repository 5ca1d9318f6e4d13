"""One-hop Node2Vec's configuration and the start of its tables."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from geomem.fields import Count, Deviation
from geomem.models.architecture import Model, ParameterDescription, Sizes, architecture


@architecture("node2vec", network="geomem.models.networks.node2vec")
@dataclass(frozen=True)
class Node2Vec(Model):
    """One-hop Node2Vec with a full softmax, trained on its closed-form gradient (paper's equation 1)."""

    width: Count = 100
    tied: bool = True
    """Score a pair by v_i · v_j; untied by v_i · u_j with a second table."""
    embedding_scale: Deviation = 1.0
    """Standard deviation of the embeddings at the start."""

    published = MappingProxyType(
        {"steps": 10_000, "schedule": "constant", "optimizer": "gradient-descent", "metric_every": 100}
    )
    scores: ClassVar[Literal["tokens", "nodes"]] = "nodes"
    step_calls: ClassVar[int] = 20
    remarks = MappingProxyType({"tied": {False: "untied"}})

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Every tensor by name, and its start.

        | tensor | start |
        |---|---|
        | `token_embedding` [node, width] | N(0, `embedding_scale`²) |
        | `context_embedding` [node, width], if not tied | N(0, `embedding_scale`²) |
        """
        table = ParameterDescription((sizes.node_count, self.width), "normal", self.embedding_scale)
        return {"token_embedding": table} | ({} if self.tied else {"context_embedding": table})
