"""Which tensors a model has, their shapes and how they start: one table for every architecture; no torch."""

from dataclasses import dataclass
from math import ceil, prod, sqrt
from typing import Literal

from geomem.models.configuration import Associative, Bilinear, Mamba, Model, Node2Vec, Transformer


@dataclass(frozen=True)
class ParameterDescription:
    """Shape and start of one tensor of one run; in a fleet a `run` axis comes first."""

    shape: tuple[int, ...]
    start: Literal["normal", "uniform", "zeros", "ones", "identity", "sinusoids", "logarithms", "step-sizes"]
    deviation: float = 0.0
    """Standard deviation of a normal or uniform start."""
    trained: bool = True


def describe_parameters(
    model: Model, *, vocabulary_size: int, context_length: int, node_count: int
) -> dict[str, ParameterDescription]:
    """Every tensor of a model, by name; weights act as `y = W x + b` with `W` of shape [out, in].

    The start of each tensor (release of arXiv 2510.26745, sections B.0.4 and C of its code):

    | model | tensor | start |
    |---|---|---|
    | Transformer | `token_embedding` [vocab, width] | N(0, 0.02²); N(0, 1) if `unit-normal` |
    | | `position_embedding` [seq, width] | N(0, `position_scale`²); sinusoidal: fixed waves; none: absent |
    | | `output_embedding` [vocab, width], if not tied | as `token_embedding` |
    | | `block_i.attention_norm`, `block_i.mlp_norm`, `final_norm` `.weight`, `.bias` | ones, zeros |
    | | `block_i.attention.query.weight` [width, width] | N(0, 0.02²) |
    | | `block_i.attention.key_value.weight` [2 width, width], keys first | N(0, 0.02²) |
    | | `block_i.attention.output.weight` [width, width] | N(0, 0.02²) |
    | | `block_i.mlp.expand.weight` [4 width, width], `.contract.weight` [width, 4 width] | N(0, 0.02²) |
    | | their `.bias` [out] | zeros |
    | Mamba | `token_embedding`; `output_embedding`, if not tied | as the Transformer's |
    | | `block_i.norm.weight`, `.bias` (LayerNorm only); `final_norm` likewise, if asked for | ones, zeros |
    | | `block_i.input.weight` [2 inner, width], signal first, then gate | `release`: N(0, 0.02²) |
    | | `block_i.convolution.weight` [inner, taps], `.bias` [inner] | uniform within ± 1/√taps |
    | | `block_i.selection.weight` [rank + 2 state, inner]: step size, B, C | `release`: N(0, 0.02²) |
    | | `block_i.step_size.weight` [inner, rank] | `release`: N(0, 0.02²); `mamba`: within ± 1/√rank |
    | | `block_i.step_size.bias` [inner] | zeros; `mamba`: softplus⁻¹ of log-uniform in [0.001, 0.1] |
    | | `block_i.log_decay` [inner, state] | log 1, ..., log state (S4D-real: A = -1, ..., -state) |
    | | `block_i.skip` [inner] | ones |
    | | `block_i.output.weight` [width, inner] | `release`: N(0, 0.02²) |
    | Bilinear, Associative | `token_embedding` [vocab, width] | N(0, 0.02²); N(0, 1) if `unit-normal` |
    | | `weight` [width, width] | N(0, 0.02²); the identity if `identity` |
    | | `bias` [width] | zeros |
    | Node2Vec | `token_embedding` [node, width] | N(0, `embedding_scale`²) |
    | | `context_embedding` [node, width], if not tied | N(0, `embedding_scale`²) |

    Never trained: sinusoidal positions; with `frozen_embeddings` also tokens and positions; the associative
    control's tokens. With Mamba's own start (`mamba`), the linear weights that name only the release's are
    uniform within ± 1/√inputs, the output's divided by √layers. Inside a Mamba block, inner = expansion ·
    width channels and rank = ⌈width / 16⌉. GPT-2's smaller start of the residual projections is left out
    because the release leaves it out.

    >>> table = describe_parameters(Bilinear(width=4), vocabulary_size=11, context_length=2, node_count=2)
    >>> {name: parameter.shape for name, parameter in table.items()}
    {'token_embedding': (11, 4), 'weight': (4, 4), 'bias': (4,)}
    """
    width = model.width
    if isinstance(model, Node2Vec):
        table = ParameterDescription((node_count, width), "normal", model.embedding_scale)
        return {"token_embedding": table} | ({} if model.tied else {"context_embedding": table})
    if isinstance(model, Mamba):
        return _describe_mamba(model, vocabulary_size)
    deviation = 1.0 if model.initialization == "unit-normal" else 0.02
    if isinstance(model, Bilinear | Associative):
        start = "identity" if model.initialization == "identity" else "normal"
        return {
            "token_embedding": ParameterDescription(
                (vocabulary_size, width), "normal", deviation, trained=isinstance(model, Bilinear)
            ),
            "weight": ParameterDescription((width, width), start, 0.02),
            "bias": ParameterDescription((width,), "zeros"),
        }
    trained = not model.frozen_embeddings
    embedding = ParameterDescription((vocabulary_size, width), "normal", deviation, trained=trained)
    described = {"token_embedding": embedding}
    if model.positions != "none":
        learned = model.positions == "learned"
        described["position_embedding"] = ParameterDescription(
            (context_length, width),
            "normal" if learned else "sinusoids",
            model.position_scale if learned else 0.0,
            trained=trained and learned,
        )
    for block in range(model.layers):
        if model.attention:
            described |= _norm(model, f"block_{block}.attention_norm")
            described |= _linear(f"block_{block}.attention.query", width, width)
            described |= _linear(f"block_{block}.attention.key_value", width, 2 * width)
            described |= _linear(f"block_{block}.attention.output", width, width)
        described |= _norm(model, f"block_{block}.mlp_norm")
        described |= _linear(f"block_{block}.mlp.expand", width, 4 * width)
        described |= _linear(f"block_{block}.mlp.contract", 4 * width, width)
    described |= _norm(model, "final_norm")
    if not model.tied:
        described["output_embedding"] = ParameterDescription((vocabulary_size, width), "normal", deviation)
    return described


def _describe_mamba(model: Mamba, vocabulary_size: int) -> dict[str, ParameterDescription]:
    width, inner, taps = model.width, model.expansion * model.width, model.convolution
    rank = ceil(width / 16)
    table = ParameterDescription((vocabulary_size, width), "normal", 0.02)

    def uniform(*shape: int, bound: float) -> ParameterDescription:
        return ParameterDescription(shape, "uniform", bound / sqrt(3))

    def linear(outputs: int, inputs: int, bound: float) -> ParameterDescription:
        if model.initialization == "release":
            return ParameterDescription((outputs, inputs), "normal", 0.02)
        return uniform(outputs, inputs, bound=bound)

    def norm(name: str) -> dict[str, ParameterDescription]:
        described = {f"{name}.weight": ParameterDescription((width,), "ones")}
        if model.norm == "layer":
            described[f"{name}.bias"] = ParameterDescription((width,), "zeros")
        return described

    described = {"token_embedding": table}
    for block in range(model.layers):
        name = f"block_{block}"
        biases = "zeros" if model.initialization == "release" else "step-sizes"
        described |= norm(f"{name}.norm")
        described |= {
            f"{name}.input.weight": linear(2 * inner, width, bound=width**-0.5),
            f"{name}.convolution.weight": uniform(inner, taps, bound=taps**-0.5),
            f"{name}.convolution.bias": uniform(inner, bound=taps**-0.5),
            f"{name}.selection.weight": linear(rank + 2 * model.state_size, inner, bound=inner**-0.5),
            f"{name}.step_size.weight": linear(inner, rank, bound=rank**-0.5),
            f"{name}.step_size.bias": ParameterDescription((inner,), biases),
            f"{name}.log_decay": ParameterDescription((inner, model.state_size), "logarithms"),
            f"{name}.skip": ParameterDescription((inner,), "ones"),
            f"{name}.output.weight": linear(width, inner, bound=(inner * model.layers) ** -0.5),
        }
    described |= norm("final_norm") if model.final_norm else {}
    return described | ({} if model.tied else {"output_embedding": table})


def _linear(name: str, inputs: int, outputs: int) -> dict[str, ParameterDescription]:
    return {
        f"{name}.weight": ParameterDescription((outputs, inputs), "normal", 0.02),
        f"{name}.bias": ParameterDescription((outputs,), "zeros"),
    }


def _norm(model: Transformer, name: str) -> dict[str, ParameterDescription]:
    if not model.layer_norm:
        return {}
    return {
        f"{name}.weight": ParameterDescription((model.width,), "ones"),
        f"{name}.bias": ParameterDescription((model.width,), "zeros"),
    }


@dataclass(frozen=True)
class Cost:
    """What training one fleet takes: counted, not measured."""

    trained_parameters: int
    """Trained numbers of one run."""
    memory_bytes: int
    """Parameters, gradient, optimizer state and activations of the whole fleet."""
    flops_per_step: int
    """Multiplications and additions of one step of the whole fleet."""


def estimate_cost(
    model: Model,
    *,
    vocabulary_size: int,
    context_length: int,
    node_count: int,
    example_count: int,
    run_count: int = 1,
) -> Cost:
    """Memory and arithmetic of full-batch float32 training, to be said before a run starts.

    Five numbers per trained parameter (itself, gradient, AdamW's two moments and its scratch space); the
    activations kept for the backward pass, of which the logits are three copies. A matrix of size [out, in]
    costs 2 · out · in operations for every vector it meets, three times that with the backward pass.

    >>> sizes = dict(vocabulary_size=26, context_length=2, node_count=17, example_count=17)
    >>> estimate_cost(Bilinear(), **sizes).trained_parameters
    1888
    """
    described = describe_parameters(
        model, vocabulary_size=vocabulary_size, context_length=context_length, node_count=node_count
    )
    sizes = {name: prod(parameter.shape) for name, parameter in described.items()}
    trained = sum(size for name, size in sizes.items() if described[name].trained)
    frozen = sum(sizes.values()) - trained
    if isinstance(model, Node2Vec):
        # Scores, probabilities and C are [node, node]; scores and gradient are one product each per table.
        activations = 3 * node_count**2
        flops = 2 * 2 * node_count**2 * model.width * len(sizes)
    else:
        matrices = sum(size for name, size in sizes.items() if name.endswith("weight") and size > model.width)
        blocks = model.layers if isinstance(model, Transformer | Mamba) else 0
        # A scan passes every position; one block of attention asks at the last alone.
        positions = example_count * (context_length if blocks > 1 or isinstance(model, Mamba) else 1)
        # Per position and block about 16 vectors of the model's width live until the backward pass; in Mamba
        # about 16 of its channels and 4 of its states.
        vectors = 16 * model.width
        scan = 0
        if isinstance(model, Mamba):
            scan = model.expansion * model.width * model.state_size
            vectors = 16 * model.expansion * model.width + 4 * scan
        activations = blocks * positions * vectors + 3 * example_count * vocabulary_size
        flops = 6 * (
            positions * (matrices + 4 * blocks * scan) + example_count * vocabulary_size * model.width
        )
    return Cost(
        trained_parameters=trained,
        memory_bytes=4 * run_count * (5 * trained + frozen + activations),
        flops_per_step=run_count * (flops + 14 * trained),
    )
