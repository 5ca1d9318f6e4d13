"""What every model can be asked: to start, to compute logits, to show its node embeddings.

A model is its configuration; its parameters are a dictionary of tensors whose first axis is `run`. What is
computed stands in the configuration's network, a module of `geomem.models.networks`.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.errors import InputError
from geomem.models.architecture import Model, ParameterDescription, Sizes, check_model
from geomem.models.layers import Parameters as Parameters
from geomem.models.layers import count_runs
from geomem.models.networks import network_of
from geomem.models.parameters import describe_parameters
from geomem.models.randomness import generator_for
from geomem.models.sequences import compute_sequence_logits


def initialize_parameters(
    model: Model,
    *,
    vocabulary_size: int,
    context_length: int,
    node_count: int,
    seeds: Sequence[int],
    scales: Sequence[float] | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Parameters:
    """Parameters of one fresh run per seed, drawn as the table of `describe_parameters` says.

    Every tensor of every run has its own random stream, so a run starts the same alone and in a fleet.
    `scales` multiplies every standard deviation, run by run. Raises `InputError` for an impossible model.

    >>> from geomem.models.configuration import Bilinear
    >>> sizes = dict(vocabulary_size=11, context_length=2, node_count=2)
    >>> parameters = initialize_parameters(Bilinear(width=4), **sizes, seeds=[0, 1])
    >>> parameters["weight"].shape
    torch.Size([2, 4, 4])
    """
    check_model(model)
    described = describe_parameters(
        model, vocabulary_size=vocabulary_size, context_length=context_length, node_count=node_count
    )
    scales = [1.0] * len(seeds) if scales is None else scales
    if any(parameter.start == "own" for parameter in described.values()):
        return _draw_own(
            model, Sizes(vocabulary_size, context_length, node_count), seeds, scales, device, dtype
        )
    return {
        name: torch.stack(
            [_draw(name, parameter, seed, scale, dtype) for seed, scale in zip(seeds, scales, strict=True)]
        ).to(device)
        for name, parameter in described.items()
    }


def _draw_own(
    model: Model,
    sizes: Sizes,
    seeds: Sequence[int],
    scales: Sequence[float],
    device: str | torch.device,
    dtype: torch.dtype,
) -> Parameters:
    if any(scale != 1 for scale in scales):
        raise InputError(
            "A module of your own starts as its factory makes it, without a scale; scale it in the factory."
        )
    runs = network_of(model).draw_parameters(model, sizes, seeds)
    return {name: torch.stack([run[name] for run in runs]).to(device, dtype) for name in runs[0]}


def _draw(
    name: str, parameter: ParameterDescription, seed: int, scale: float, dtype: torch.dtype
) -> Float[Tensor, "..."]:
    shape = parameter.shape
    match parameter.start:
        case "normal":
            # Drawn in float32 whatever the dtype: float64 runs start at the same point.
            draw = torch.randn(shape, generator=generator_for(seed, name))
            return draw.to(dtype) * (parameter.deviation * scale)
        case "zeros":
            return torch.zeros(shape, dtype=dtype)
        case "uniform":
            draw = 2 * torch.rand(shape, generator=generator_for(seed, name)) - 1
            return draw.to(dtype) * (3**0.5 * parameter.deviation * scale)
        case "ones":
            return torch.ones(shape, dtype=dtype)
        case "logarithms":
            return torch.arange(1, shape[-1] + 1, dtype=torch.float64).log().to(dtype).expand(shape).clone()
        case "step-sizes":
            return _step_size_biases(torch.rand(shape, generator=generator_for(seed, name)).double()).to(
                dtype
            )
        case "identity":
            return torch.eye(*shape, dtype=dtype)
        case "sinusoids":
            return _sinusoids(*shape).to(dtype)
        case "own":
            raise ValueError(f"{name} is drawn by its network")


def _sinusoids(positions: int, width: int) -> Float[Tensor, "seq width"]:
    """Even coordinates sin(p / 10000^(2k/width)), odd ones the cosine (Vaswani et al. 2017, section 3.5)."""
    frequencies = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def _step_size_biases(draws: Float[Tensor, " channel"]) -> Float[Tensor, " channel"]:
    """Biases whose softplus is log-uniform between 0.001 and 0.1: Mamba's first step sizes."""
    steps = 0.001 * 100**draws
    return steps + (-torch.expm1(-steps)).log()


def trainable_names(model: Model) -> tuple[str, ...]:
    """Names of the tensors that training changes.

    >>> from geomem.models.configuration import Associative
    >>> trainable_names(Associative())
    ('weight', 'bias')
    """
    described = describe_parameters(model, vocabulary_size=1, context_length=1, node_count=1)
    return tuple(name for name, parameter in described.items() if parameter.trained)


def compute_logits(
    model: Model, parameters: Parameters, prefixes: Int[Tensor, "example seq"], *, shared: int | None = None
) -> Float[Tensor, "run example vocab"]:
    """Logits after the last token of every prefix.

    `shared` is the number of leading tokens that are the same in all prefixes; what they contribute is
    computed once. It is counted if not given. For Node2Vec the vocabulary is the nodes.
    """
    if model.laptop is not None:
        return compute_sequence_logits(model, parameters, prefixes, shared=shared)
    return network_of(model).compute_logits(model, parameters, prefixes, shared=shared)


def compute_noisy_logits(
    model: Model,
    parameters: Parameters,
    prefixes: Int[Tensor, "example seq"],
    *,
    seeds: Sequence[int],
    step: int,
) -> Float[Tensor, "run example vocab"] | None:
    """The logits a training step sees where training adds noise; None where it sees `compute_logits`."""
    noisy = getattr(network_of(model), "compute_noisy_logits", None)
    return noisy and noisy(model, parameters, prefixes, seeds=seeds, step=step)


def node_embeddings(model: Model, parameters: Parameters, node_count: int) -> Float[Tensor, "run node width"]:
    """The rows of the token embedding that belong to nodes: a view that changes with training, so copy it.

    Of a module whose embedding is not known they have no column.
    """
    if "token_embedding" in parameters:
        return parameters["token_embedding"][:, :node_count].detach()
    return next(iter(parameters.values())).new_zeros(count_runs(parameters), node_count, 0)
