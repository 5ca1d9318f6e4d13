"""The paper's tiny "neural network", logits(u) = E (W e_u + b), and the associative control with frozen E."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.configuration import Associative, Bilinear
from geomem.models.layers import apply_linear, look_up, read_out
from geomem.models.model import Parameters, compute_logits, compute_noisy_logits
from geomem.models.randomness import generator_for


@compute_logits.register(Bilinear)
@compute_logits.register(Associative)
def compute_bilinear_logits(
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
    hidden = apply_linear(look_up(table, prefixes[:, -1]), parameters["weight"], parameters["bias"])
    return read_out(hidden if dropout_mask is None else hidden * dropout_mask, table)


@compute_noisy_logits.register(Bilinear)
def compute_dropped_logits(
    model: Bilinear,
    parameters: Parameters,
    prefixes: Int[Tensor, "example seq"],
    *,
    seeds: Sequence[int],
    step: int,
) -> Float[Tensor, "run example vocab"] | None:
    """Logits with dropout on W e_u + b; None if the model has none."""
    if not model.dropout:
        return None
    bias = parameters["bias"]
    mask = draw_dropout(
        model, (len(prefixes), model.width), seeds, step, device=bias.device, dtype=bias.dtype
    )
    return compute_bilinear_logits(model, parameters, prefixes, dropout_mask=mask)


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
