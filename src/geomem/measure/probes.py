"""What the measurements of a recall memory need of its network: states, answers, gates, Jacobians.

One run at a time, in float64, with subject vectors as input instead of subject names: a network is everything
but the subject table. A question's relations are one *chain*; with one hop chains are the relations.

| symbol | code |
|---|---|
| s, e | subject vector, relation embedding |
| a | attention from the relation to the subject: σ(s · k - e · k), k = W_Kᵀ W_Q e / √width, or 1/2 |
| h = e + M (a s + (1 - a) e), M = W_O W_V | what enters the MLP |
| y = h + W_2 G (W_1 h + b_1) + b_2, G = diag(g) | what is read out; g: which gates are open |
| J = a A + b cᵀ, A = M + W_2 G W_1 M | dy/ds, with b = A (s - e), c = a (1 - a) k |
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp
from torch import Tensor

from geomem.geometry.read_out import best_objects
from geomem.geometry.selector import JacobianSummary
from geomem.models.configuration import Recall
from geomem.models.model import Parameters
from geomem.models.networks.recall import all_paths, compute_recall_states, load_recall, recall_output_table

CHUNK_NUMBERS = 1 << 22
"""Numbers of one intermediate result held at once: 32 MB."""


@dataclass(frozen=True, eq=False)
class RecallNetwork:
    """One run's network with the subject table taken out."""

    model: Recall
    parameters: Parameters
    """With a run axis of length one."""
    paths: Int[Tensor, "chain hop"]
    table: Float[Tensor, "object width"]
    """What states are read out with."""

    @property
    def unembedding(self) -> Float[np.ndarray, "object width"]:
        """The read-out table as the measurements in NumPy take it."""
        return self.table.cpu().numpy()


def open_network(
    model: Recall, parameters: Parameters, *, run: int = 0, dtype: torch.dtype = torch.float64
) -> RecallNetwork:
    """The network of one run of a fleet whose runs are of equal size; `load_network` takes arrays.

    >>> from geomem.models.networks.recall import initialize_recall
    >>> from geomem.models.recall import RecallSize
    >>> model = Recall(width=4, mlp_width=8)
    >>> network = open_network(model, initialize_recall([model], [RecallSize(5, 3, 6)], seeds=[0]))
    >>> network_answers(network, np.zeros((2, 4))).shape, network.unembedding.shape
    ((2, 3), (6, 4))
    """
    own = {name: values[run : run + 1].detach().to(dtype) for name, values in parameters.items()}
    paths = all_paths(own["relation_embedding"].shape[1], model.hops).to(own["relation_embedding"].device)
    return RecallNetwork(model, own, paths, recall_output_table(model, own)[0])


def load_network(model: Recall, arrays: Mapping[str, Float[np.ndarray, "..."]]) -> RecallNetwork:
    """The network of weights without a run axis: one run's of a stored memory, or a construction's.

    Raises `InputError` if they are not the model's.
    """
    return open_network(model, load_recall(model, arrays, dtype=torch.float64))


def states_of(
    network: RecallNetwork, vectors: Float[Tensor, "query width"]
) -> Float[Tensor, "query chain width"]:
    """What is read out after every chain when these are the subjects' vectors; differentiable in them."""
    parameters = network.parameters | {"subject_embedding": vectors[None]}
    return compute_recall_states(network.model, parameters, network.paths)[0]


def network_states(
    network: RecallNetwork, vectors: Float[np.ndarray, "query width"]
) -> Float[np.ndarray, "query chain width"]:
    """What is read out after every chain when these are the subjects' vectors."""
    parts = [states_of(network, part).cpu().numpy() for part in _chunks(network, vectors)]
    return np.concatenate(parts)


def network_answers(
    network: RecallNetwork, vectors: Float[np.ndarray, "query width"]
) -> Int[np.ndarray, "query chain"]:
    """The best object after every chain when these are the subjects' vectors; -1 where several are best."""
    states = network_states(network, vectors)
    best = best_objects(states.reshape(-1, states.shape[-1]), network.unembedding)
    return best.reshape(states.shape[:2])


def judge_vectors(
    network: RecallNetwork, vectors: Float[np.ndarray, "query width"], answers: Int[np.ndarray, "query chain"]
) -> tuple[float, float]:
    """Recall (ties wrong) and mean cross-entropy of these answers when these are the subjects' vectors.

    Questions whose answer is -1 are not asked.
    """
    right, loss, known = 0, 0.0, answers >= 0
    rows = max(1, CHUNK_NUMBERS // (len(network.paths) * len(network.table)))
    for at in range(0, len(vectors), rows):
        mask = known[at : at + rows]
        logits = network_states(network, vectors[at : at + rows])[mask] @ network.unembedding.T
        own = np.take_along_axis(logits, answers[at : at + rows][mask][:, None], axis=1)
        # The right object must be the only one that scores as high.
        right += int(((logits >= own).sum(axis=1) == 1).sum())
        loss += float((logsumexp(logits, axis=1) - own[:, 0]).sum())
    return right / known.sum(), loss / known.sum()


def measure_gate_rates(
    network: RecallNetwork, vectors: Float[np.ndarray, "query width"], known: Bool[np.ndarray, "query chain"]
) -> Float[np.ndarray, "chain neuron"]:
    """Share of queries, those that are `known`, for which each neuron of the last block's MLP is open.

    A gate is open if the ReLU's input is above 0. Without an MLP there is no neuron.
    """
    if not network.model.mlp_width:
        return np.zeros((len(network.paths), 0))
    last = f"block_{network.model.layers - 1}.mlp"
    # The same network without the last MLP, and with that MLP's norm as its final one, yields what enters it.
    own = dict(network.parameters)
    for name in ("weight", "bias"):
        own[f"{last}.contract.{name}"] = torch.zeros_like(own[f"{last}.contract.{name}"])
        if network.model.layer_norm:
            own[f"final_norm.{name}"] = own[f"{last}_norm.{name}"]
    before = RecallNetwork(network.model, own, network.paths, network.table)
    W, b = own[f"{last}.expand.weight"][0], own[f"{last}.expand.bias"][0]
    open_counts = torch.zeros(len(network.paths), len(W), dtype=W.dtype, device=W.device)
    asked = torch.tensor(known, device=W.device).split(_rows(network))
    for part, mask in zip(_chunks(network, vectors), asked, strict=True):
        gates = (states_of(before, part) @ W.T + b > 0) & mask[..., None]
        open_counts += gates.sum(dim=0)
    return open_counts.cpu().numpy() / known.sum(axis=0)[:, None].clip(1)


def summarize_network_jacobians(
    network: RecallNetwork, vectors: Float[np.ndarray, "query width"], known: Bool[np.ndarray, "query chain"]
) -> JacobianSummary:
    """Mean over the `known` queries of J = dy/ds and of |J|², per chain; no [query, width, width] is held.

    In closed form for one block without LayerNorm over one relation: the mean of J needs Σ a g and Σ b cᵀ
    alone, and |J|² = a² |A|² + 2 a b · A c + |b|² |c|² where

        |A|² = |M|² + 2 Σ_i g_i t_i + gᵀ H g,    t = diag(W_1 M Mᵀ W_2),    H = W_2ᵀ W_2 * (W_1 M)(W_1 M)ᵀ

    with * entry by entry: neuron² operations per query instead of width² · neuron. Otherwise by one backward
    pass per coordinate.
    """
    model = network.model
    if model.layers == 1 and model.hops == 1 and not model.layer_norm:
        return _closed_form(network, vectors, known)
    return _by_differentiation(network, vectors, known)


def _closed_form(network: RecallNetwork, vectors: np.ndarray, known: np.ndarray) -> JacobianSummary:
    own = {name.removeprefix("block_0."): values[0] for name, values in network.parameters.items()}
    width, kind = network.model.width, network.model.attention
    E = own["relation_embedding"]
    M = torch.eye(width, dtype=E.dtype, device=E.device)
    if kind != "none":
        M = own["attention.output.weight"] @ own["attention.value.weight"]
    W1, b1, W2 = M[:0], M[:0, 0], M[:, :0]
    if network.model.mlp_width:
        W1, b1, W2 = own["mlp.expand.weight"], own["mlp.expand.bias"], own["mlp.contract.weight"]
    P = W1 @ M
    t = ((W2.T @ M) * P).sum(dim=1)
    H = (W2.T @ W2) * (P @ P.T)
    means = torch.zeros(len(E), width, width, dtype=E.dtype, device=E.device)
    squares = torch.zeros(len(E), dtype=E.dtype, device=E.device)
    for r, e in enumerate(E):
        a_sum, ag_sum = E.new_zeros(()), E.new_zeros(len(W1))
        # Without a head h = e + s; with one of equal weights a = 1/2; both leave k = 0.
        k = torch.zeros_like(e)
        if kind == "content":
            k = own["attention.key.weight"].T @ (own["attention.query.weight"] @ e) / width**0.5
        for s in _chunks(network, vectors[known[:, r]]):
            u = s - e
            a = torch.ones_like(u[:, 0]) if kind == "none" else (u @ k).sigmoid()
            h = e + u @ M.T * a[:, None] + (e @ M.T)
            g = (h @ W1.T + b1 > 0).to(E.dtype)
            b = u @ M.T + (g * (u @ P.T)) @ W2.T
            Ac = k @ M.T + (g * (k @ P.T)) @ W2.T
            slope = a * (1 - a)
            A_square = (M**2).sum() + 2 * (g @ t) + ((g @ H) * g).sum(dim=1)
            squares[r] += (
                a**2 * A_square + 2 * a * slope * (b * Ac).sum(dim=1) + slope**2 * (b**2).sum(dim=1) * (k @ k)
            ).sum()
            means[r] += torch.outer(slope @ b, k)
            a_sum, ag_sum = a_sum + a.sum(), ag_sum + a @ g
        means[r] += a_sum * M + (W2 * ag_sum) @ P
    return _mean(means, squares, known)


def _by_differentiation(network: RecallNetwork, vectors: np.ndarray, known: np.ndarray) -> JacobianSummary:
    width = network.model.width
    means = torch.zeros(len(network.paths), width, width, dtype=network.table.dtype)
    squares = torch.zeros(len(network.paths), dtype=network.table.dtype)
    for path, column in enumerate(known.T):
        alone = RecallNetwork(
            network.model, network.parameters, network.paths[path : path + 1], network.table
        )
        for s in _chunks(alone, vectors[column]):
            s = s.requires_grad_()
            with torch.enable_grad():
                outputs = states_of(alone, s)[:, 0].sum(dim=0)
            for coordinate, output in enumerate(outputs):
                (row,) = torch.autograd.grad(output, s, retain_graph=True)
                means[path, coordinate] += row.sum(dim=0).cpu()
                squares[path] += (row**2).sum().cpu()
    return _mean(means, squares, known)


def _mean(means: Tensor, squares: Tensor, known: np.ndarray) -> JacobianSummary:
    counts = known.sum(axis=0).clip(1)
    return JacobianSummary(means.cpu().numpy() / counts[:, None, None], squares.cpu().numpy() / counts)


def _rows(network: RecallNetwork) -> int:
    """How many subjects are asked at once, so that no intermediate result is larger than a chunk."""
    model = network.model
    return max(1, CHUNK_NUMBERS // (len(network.paths) * max(model.width, model.mlp_width)))


def _chunks(network: RecallNetwork, vectors: np.ndarray) -> tuple[Tensor, ...]:
    whole = torch.tensor(np.asarray(vectors), dtype=network.table.dtype, device=network.table.device)
    return whole.split(_rows(network))
