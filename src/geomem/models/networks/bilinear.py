"""The paper's tiny "neural network", logits(u) = E (W e_u + b), and the associative control with frozen E."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.bilinear import Associative, Bilinear
from geomem.models.layers import Parameters, apply_linear, embed, unembed
from geomem.models.randomness import generator_for


def compute_logits(
    model: Bilinear | Associative,
    parameters: Parameters,
    prefixes: Int[Tensor, "example seq"],
    *,
    shared: int | None = None,
    dropout_mask: Float[Tensor, "run example width"] | None = None,
) -> Float[Tensor, "run example vocab"]:
    """logits(u) = E (W e_u + b), where u is the last token: nothing before it can matter (release, C).

    `dropout_mask` multiplies W e_u + b; training draws it, evaluation goes without.
    """
    table = parameters["token_embedding"]
    hidden = apply_linear(embed(table, prefixes[:, -1]), parameters["weight"], parameters["bias"])
    return unembed(hidden if dropout_mask is None else hidden * dropout_mask, table)


def compute_noisy_logits(
    model: Bilinear | Associative,
    parameters: Parameters,
    prefixes: Int[Tensor, "example seq"],
    *,
    seeds: Sequence[int],
    step: int,
) -> Float[Tensor, "run example vocab"] | None:
    """Logits with dropout on W e_u + b; None if the model has none."""
    if isinstance(model, Associative) or not model.dropout:
        return None
    bias = parameters["bias"]
    mask = draw_dropout(
        model, (len(prefixes), model.width), seeds, step, device=bias.device, dtype=bias.dtype
    )
    return compute_logits(model, parameters, prefixes, dropout_mask=mask)


def draw_dropout(
    model: Bilinear,
    shape: tuple[int, int],
    seeds: Sequence[int],
    step: int,
    *,
    device: str | torch.device,
    dtype: torch.dtype,
) -> Float[Tensor, "run example width"]:
    """Dropout masks of one step, [example, width] for every run: 0 or 1 / (1 - dropout).

    The stream is named after the run's seed and the step, so a fleet, a run alone and a resumed run agree.
    """
    keep = 1.0 - model.dropout
    draws = [torch.rand(shape, generator=generator_for(seed, f"dropout/{step}")) for seed in seeds]
    return ((torch.stack(draws) < keep).to(dtype) / keep).to(device)
