"""Parameters that a training begins with, where they are not drawn."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float

from geomem.errors import InputError
from geomem.models.layers import Parameters


def start_from(parameters: Parameters, start: Mapping[str, Float[np.ndarray, "run ..."]]) -> Parameters:
    """The weights to start from, in place of those drawn; positions that a longer input adds stay as drawn.

    Raises `InputError` if they are not those of the same model, vocabulary and number of runs.
    """
    if start.keys() != parameters.keys():
        raise InputError(
            "The run to start from has other parameters than this model; give one of the same architecture."
        )
    joined = {}
    for name, drawn in parameters.items():
        given = torch.tensor(start[name], dtype=drawn.dtype, device=drawn.device)
        rows = min(given.shape[1], drawn.shape[1]) if name == "position_embedding" else drawn.shape[1]
        if given[:, :rows].shape != drawn[:, :rows].shape:
            raise InputError(
                f"The run to start from has {name} of shape {tuple(given.shape)} and this one of "
                f"{tuple(drawn.shape)} (runs first); give one of the same world, model and number of seeds."
            )
        joined[name] = drawn.clone()
        joined[name][:, :rows] = given[:, :rows]
    return joined
