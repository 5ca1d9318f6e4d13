"""One-hop Node2Vec with a full softmax, trained on its closed-form gradient (arXiv 2510.26745, Lemma 5).

Glossary: V node embedding, U context embedding (V itself if tied), S = V Uᵀ scores, P row softmax of S, T
target distribution of each node, J = sum_i sum_j T_ij log P_ij what is maximised, G = P - T its negative
derivative by S.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.geometry.dynamics import target_distribution
from geomem.models.layers import Parameters
from geomem.models.node2vec import Node2Vec
from geomem.models.objective import Evaluation, Objective
from geomem.worlds.tasks import Examples


def compute_logits(
    model: Node2Vec,
    parameters: Parameters,
    prefixes: Int[Tensor, "example seq"],
    *,
    shared: int | None = None,
) -> Float[Tensor, "run example node"]:
    """Scores v_u · v_w (untied: v_u · u_w) of the last token u against every node w, u itself included."""
    nodes = parameters["token_embedding"]
    contexts = nodes if model.tied else parameters["context_embedding"]
    return torch.bmm(nodes.index_select(1, prefixes[:, -1]), contexts.transpose(1, 2))


def make_objective(
    model: Node2Vec,
    parameters: Parameters,
    gradient: Float[Tensor, "run parameter"],
    examples: Examples,
    *,
    seeds: Sequence[int],
) -> Objective:
    """The closed-form gradient of -J, in buffers that are allocated once.

    Tied: dV = (G + Gᵀ) V. Untied: dV = G U, dU = Gᵀ V. The softmax runs over all nodes, the node itself
    included; nodes that are never asked take no part. J is a sum over nodes, as the learning rates in use
    expect; the reported loss is the mean over the asked nodes. In the evaluation's logits a node's score
    with itself is minus infinity unless self-edges are facts: a tied table tends to score a node highest with
    itself.
    """
    V = parameters["token_embedding"]
    runs, nodes, width = V.shape
    U = V if model.tied else parameters["context_embedding"]
    U_columns = U.transpose(1, 2)
    distribution = target_distribution(examples, nodes)
    T = torch.tensor(distribution, device=V.device, dtype=V.dtype).expand(runs, -1, -1).contiguous()
    asked = T[:1].sum(dim=-1, keepdim=True) > 0
    all_asked = bool(asked.all())
    sources = torch.tensor(examples.prefixes[:, -1], device=V.device)
    hidden = torch.eye(nodes, dtype=torch.bool, device=V.device)[sources]
    shown_self = bool((distribution.diagonal() > 0).any())
    S, P, C = (torch.empty_like(T) for _ in range(3))
    parts = gradient.split(nodes * width, dim=1)
    dV = parts[0].view(V.shape)
    dU = None if model.tied else parts[1].view(U.shape)

    def differentiate(step: int) -> None:
        torch.bmm(V, U_columns, out=S)
        torch.softmax(S, dim=-1, out=P)
        if not all_asked:
            P.mul_(asked)
        P.sub_(T)  # now G
        if dU is None:
            torch.add(P, P.transpose(1, 2), out=C)
            torch.bmm(C, V, out=dV)
        else:
            torch.bmm(P, U, out=dV)
            torch.bmm(P.transpose(1, 2), V, out=dU)

    def evaluate() -> Evaluation:
        scores = torch.bmm(V, U_columns)
        losses = -(T * scores.log_softmax(dim=-1)).sum(dim=(1, 2)) / asked.sum()
        logits = scores.index_select(1, sources)
        return Evaluation(losses, logits if shown_self else logits.masked_fill(hidden, float("-inf")))

    return Objective(differentiate, evaluate, repeats=True)
