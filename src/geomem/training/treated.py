"""What a `Treatment` does to a training: its start, the rates of its numbers, the gradient of every step.

All of it works on the buffers of the training loop, so it is one for edges and paths and for every model, and
nothing waits for the device.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.errors import InputError
from geomem.geometry.spectrum import fiedler_modes, laplacian_spectrum
from geomem.models.layers import Parameters
from geomem.models.randomness import generator_for
from geomem.training.loop import Problem
from geomem.training.optimizer import MatrixPlace, Rules
from geomem.training.treatment import NOTHING, Treatment
from geomem.worlds.graphs.graph import Graph


@dataclass(frozen=True, eq=False)
class Treated:
    """A treatment with what it takes from the graph."""

    treatment: Treatment = NOTHING
    edges: Int[np.ndarray, "edge 2"] | None = None
    """The pairs that the Dirichlet energy sums over."""
    modes: Float[np.ndarray, "node mode"] | None = None
    """What the spectral start adds, in a frame of its own (`spectral_modes`)."""
    node_count: int = 0


UNTREATED = Treated()


def treat_graph(treatment: Treatment, graph: Graph | None, width: int) -> Treated:
    """A treatment on a graph; raises `InputError` if it needs a graph and there is none."""
    if not treatment.reads_graph:
        return Treated(treatment)
    if graph is None:
        raise InputError("An intervention reads the graph, and in context there is none; leave it out.")
    modes = spectral_modes(graph, width) if treatment.spectral_start else None
    return Treated(treatment, graph.edges, modes, graph.node_count)


def spectral_modes(graph: Graph, width: int) -> Float[np.ndarray, "node mode"]:
    """The Laplacian's lowest non-trivial modes, the longer the lower: √n · mode · (λ_F - λ_1) / (λ - λ_1).

    λ_1 is the lowest eigenvalue, λ_F that of the Fiedler modes. All of those are there, however many; further
    ones in whole eigenspaces as far as `width` has room.

    >>> from geomem.worlds.graphs.families import cycle
    >>> np.square(spectral_modes(cycle(8), 4)).mean(axis=0).round(2).tolist()
    [1.0, 1.0, 0.09, 0.09]
    """
    spectrum = laplacian_spectrum(graph)
    fiedler, spaces = fiedler_modes(spectrum), spectrum.eigenspaces
    higher = np.flatnonzero(spaces > spaces[fiedler].max())
    ends = np.array([np.sum(spaces[higher] <= spaces[mode]) for mode in higher], dtype=int)
    chosen = np.concatenate([fiedler, higher[len(fiedler) + ends <= width]])
    gaps = spectrum.eigenvalues[chosen] - spectrum.eigenvalues[0]
    return np.sqrt(graph.node_count) * spectrum.eigenvectors[:, chosen] * (gaps[0] / gaps)


def is_embedding(name: str) -> bool:
    """Whether a tensor is one of the embeddings: a table of the vocabulary."""
    return name in ("token_embedding", "output_embedding")


def is_network(name: str) -> bool:
    """Whether a tensor is of the network between them, without positions and the last norm."""
    return not is_embedding(name) and not name.startswith(("position_", "final_norm"))


def ends_branch(name: str) -> bool:
    """Whether a tensor is the last matrix of a residual branch."""
    return name.startswith("block_") and name.endswith((".output.weight", ".contract.weight"))


def start_treated(parameters: Parameters, treated: Treated, seeds: Sequence[int]) -> Parameters:
    """The parameters as the treatment has them begin; raises `InputError` if the model has none of them."""
    treatment = treated.treatment
    changed = dict(parameters)

    def scale(named: Callable[[str], bool], factor: float, what: str) -> None:
        names = [name for name in parameters if named(name)]
        if factor != 1 and not names:
            raise InputError(f"An intervention changes {what}, which this model lacks; leave it out.")
        for name in names if factor != 1 else ():
            changed[name] = changed[name] * factor

    scale(is_embedding, treatment.embedding_start, "the start of embeddings")
    matrices = {name for name, tensor in parameters.items() if is_network(name) and tensor.ndim == 3}
    scale(matrices.__contains__, treatment.network_start, "the start of matrices")
    scale(ends_branch, treatment.branch_start, "the start of residual branches")
    if treated.modes is not None:
        table = _token_embedding(changed).clone()
        frames = torch.stack([_frame(treated.modes.shape[1], table.shape[2], seed) for seed in seeds])
        modes = torch.tensor(treated.modes)
        added = treatment.spectral_start * (modes @ frames.to(modes.dtype))
        table[:, : len(modes)] += added.to(table)
        changed["token_embedding"] = table
    if treatment.readout_start == "embedding":
        changed["output_embedding"] = _token_embedding(changed).clone()
    return changed


def _frame(modes: int, width: int, seed: int) -> Float[Tensor, "mode width"]:
    """Random orthonormal rows, or columns where there are more modes than dimensions."""
    drawn = torch.randn(max(modes, width), min(modes, width), generator=generator_for(seed, "spectral frame"))
    frame = torch.linalg.qr(drawn.double())[0]
    return frame if modes > width else frame.T


def _token_embedding(parameters: Mapping[str, Any]) -> Any:
    if "token_embedding" not in parameters:
        raise InputError("An intervention changes the token embedding, which this model does not train.")
    return parameters["token_embedding"]


def make_rules(treatment: Treatment, trained: Mapping[str, Tensor]) -> Rules | None:
    """Factors, decays and Muon's matrices for a buffer of the trained tensors [run, ...]; None if plain."""
    rated = treatment.embedding_rate, treatment.network_rate
    decayed = treatment.embedding_decay, treatment.network_decay
    if rated == (1, 1) and decayed == (0, 0) and treatment.muon == "none":
        return None

    def spread(embedding: float, network: float, others: float) -> Float[Tensor, " parameter"]:
        parts = [
            torch.full(
                (prod(tensor.shape[1:]),),
                embedding if is_embedding(name) else network if is_network(name) else others,
            )
            for name, tensor in trained.items()
        ]
        return torch.cat(parts).to(next(iter(trained.values())))

    matrices, first = [], 0
    for name, tensor in trained.items():
        size = prod(tensor.shape[1:])
        chosen = is_network(name) or (treatment.muon == "all" and is_embedding(name))
        if treatment.muon != "none" and chosen and tensor.ndim == 3:
            matrices.append(MatrixPlace(first, tensor.shape[1], tensor.shape[2]))
        first += size
    if treatment.muon != "none" and not matrices:
        raise InputError("An intervention has Muon update matrices, and this model has none; leave it out.")
    return Rules(spread(*rated, 1.0), spread(*decayed, 0.0), tuple(matrices))


def treat_problem(
    problem: Problem, treated: Treated, trained: Mapping[str, Tensor], seeds: Sequence[int]
) -> Problem:
    """The problem with what the treatment does to every step; `trained` are views of its buffer, in order."""
    treatment = treated.treatment
    rules = make_rules(treatment, trained)
    if not (treatment.noise or treatment.dropout or treatment.dirichlet):
        return replace(problem, rules=rules)
    table = _token_embedding(trained)
    first = 0
    for name, tensor in trained.items():
        if name == "token_embedding":
            break
        first += prod(tensor.shape[1:])
    gradient = problem.gradient[:, first : first + prod(table.shape[1:])].view(table.shape)
    differentiate = problem.differentiate
    if treatment.noise or treatment.dropout:
        differentiate = partial(_differentiate_perturbed, differentiate, treatment, table, gradient, seeds)
    if treatment.dirichlet:
        edges = torch.tensor(np.asarray(treated.edges), device=table.device)
        nodes = slice(None, treated.node_count)
        differentiate = partial(
            *(_differentiate_with_energy, differentiate, treatment.dirichlet),
            *(table[:, nodes], gradient[:, nodes], edges),
        )
    return replace(problem, differentiate=differentiate, rules=rules)


def _differentiate_perturbed(
    differentiate: Callable[[int], Any],
    treatment: Treatment,
    table: Float[Tensor, "run row width"],
    gradient: Float[Tensor, "run row width"],
    seeds: Sequence[int],
    step: int,
) -> None:
    """The gradient at a table with noise, or with some of its numbers at zero and the others larger.

    What it finds on the way is of the perturbed table, so nothing is handed on.
    """
    kept = table.clone()
    mask = None
    if treatment.noise:
        drawn = _draw(torch.randn, table, seeds, f"embedding noise/{step}")
        size = kept.square().mean(dim=(1, 2), keepdim=True).sqrt()
        table.addcmul_(drawn, size, value=treatment.noise)
    if treatment.dropout:
        drawn = _draw(torch.rand, table, seeds, f"embedding dropout/{step}")
        mask = (drawn >= treatment.dropout).to(table) / (1 - treatment.dropout)
        table.mul_(mask)
    differentiate(step)
    table.copy_(kept)
    if mask is not None:
        gradient.mul_(mask)


def _draw(draw: Callable[..., Tensor], table: Tensor, seeds: Sequence[int], stream: str) -> Tensor:
    drawn = [draw(table.shape[1:], generator=generator_for(seed, stream)) for seed in seeds]
    return torch.stack(drawn).to(table, non_blocking=True)


def _differentiate_with_energy(
    differentiate: Callable[[int], Any],
    weight: float,
    embeddings: Float[Tensor, "run node width"],
    gradient: Float[Tensor, "run node width"],
    edges: Int[Tensor, "edge 2"],
    step: int,
) -> Any:
    found = differentiate(step)
    add_energy_gradient(embeddings, edges, gradient, weight)
    return found


def dirichlet_energy(
    embeddings: Float[Tensor, "run node width"], edges: Int[Tensor, "edge 2"]
) -> Float[Tensor, " run"]:
    """Unevenness along edges against the spread: Σ_edges ‖v_i - v_j‖² / Σ_nodes ‖v_i - mean‖².

    A Rayleigh quotient of the combinatorial Laplacian (Belkin and Niyogi 2003); 0 if all are in one place
    along edges.

    >>> dirichlet_energy(torch.tensor([[[0.0], [1.0], [2.0]]]), torch.tensor([[0, 1], [1, 2]]))
    tensor([1.])
    """
    along = embeddings.index_select(1, edges[:, 0]) - embeddings.index_select(1, edges[:, 1])
    spread = embeddings - embeddings.mean(dim=1, keepdim=True)
    return along.square().sum(dim=(1, 2)) / spread.square().sum(dim=(1, 2))


def add_energy_gradient(
    embeddings: Float[Tensor, "run node width"],
    edges: Int[Tensor, "edge 2"],
    gradient: Float[Tensor, "run node width"],
    weight: float,
) -> None:
    """Add `weight` times the gradient of `dirichlet_energy`: 2 (L V - energy (V - mean)) / spread."""
    along = embeddings.index_select(1, edges[:, 0]) - embeddings.index_select(1, edges[:, 1])
    spread = embeddings - embeddings.mean(dim=1, keepdim=True)
    size = spread.square().sum(dim=(1, 2))[:, None, None]
    energy = along.square().sum(dim=(1, 2))[:, None, None] / size
    slope = spread * -energy
    slope.index_add_(1, edges[:, 0], along)
    slope.index_add_(1, edges[:, 1], along, alpha=-1)
    gradient.addcdiv_(slope, size, value=2 * weight)
