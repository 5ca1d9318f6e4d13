"""A `.pt` file of the first paper's release: the state dictionary of a GPT, and nothing beside it.

Its linear layers are [out, in], or [in, out] as in GPT-2; their names are GPT-2's, after any of `PREFIXES`.
It does not say how many heads there are.
"""

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geomem.checkpoints.architectures import GPT2, Architecture, their_shapes, to_ours
from geomem.checkpoints.folder import UNREAD, Checkpoint, check_shapes, shapes_of
from geomem.checkpoints.weight_files import refuse_pickle
from geomem.errors import InputError
from geomem.files import check_plain_file, system_errors
from geomem.models.configuration import Transformer, check_model
from geomem.worlds.text_file import show_label

PREFIXES = ("_orig_mod.", "module.", "model.", "transformer.")
"""What compiled, parallel and wrapped models put before the names."""
STATES = ("model", "model_state_dict", "state_dict", "model_state")
"""Where a training keeps the state dictionary among other things."""
ALIASES = {"embed_tokens.weight": "wte.weight", "position_embedding.weight": "wpe.weight"}
LARGEST_INDEX = 1 << 26
"""Bytes of the description in front of the numbers."""


def read_release_file(path: Path, *, heads: int | None) -> Checkpoint:
    """Check a file and open it; only tensors are read from it, with torch's `weights_only`.

    Raises `InputError` for a file that holds anything else, or no GPT, and where `heads` is not given.
    """
    if heads is None:
        raise InputError(
            f"{path} does not say how many heads its attention has; give --heads (the "
            "release's notebooks: 1)."
        )
    tensors = _named(path, _load(path))
    found = _as_stored(tensors)
    wte, blocks = tensors.get("wte.weight"), [int(hit[1]) for name in tensors if (hit := _BLOCK.match(name))]
    if wte is None or wte.ndim != 2 or not blocks:
        raise InputError(
            f"{path} holds no GPT (no wte.weight and h.0); give a state dictionary of the release."
        )
    read_out = tensors.get("lm_head.weight")
    tied = read_out is None or (read_out.shape == wte.shape and bool((read_out == wte).all()))
    if tied:
        tensors.pop("lm_head.weight", None)
    model = Transformer(
        layers=max(blocks) + 1,
        width=wte.shape[1],
        heads=heads,
        positions="learned" if "wpe.weight" in tensors else "none",
        tied=tied,
        attention=any(".attn." in name for name in tensors),
        layer_norm="ln_f.weight" in tensors,
    )
    check_model(model)
    positions = tensors["wpe.weight"].shape[0] if "wpe.weight" in tensors else 1
    shapes = shapes_of(model, wte.shape[0], positions)
    expected = their_shapes(found, model.layers, shapes)
    for name, shape in expected.items():  # the release can leave biases out
        if name.endswith(".bias") and name not in tensors:
            tensors[name] = torch.zeros(shape)
    check_shapes(path, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, expected)

    def weights() -> dict[str, np.ndarray]:
        return to_ours(found, model.layers, {name: t.float().numpy() for name, t in tensors.items()}, shapes)

    return Checkpoint(model, shapes, weights, None)


_BLOCK = re.compile(r"h\.(\d{1,5})\.")


def _load(path: Path) -> Any:
    """What the file holds, if it holds tensors and plain values only, no larger than itself."""
    size = check_plain_file(path, links=True).st_size
    damaged = InputError(f"{path} is not a complete file of torch.save; save the state dictionary again.")
    with system_errors(path, "read"), path.open("rb") as file:
        if file.read(2) != b"PK":
            raise refuse_pickle(path)
        try:
            with zipfile.ZipFile(file) as archive:
                parts = archive.infolist()
        except Exception as error:  # zipfile lets whatever it stumbles over through
            raise damaged from error
    index = sum(part.file_size for part in parts if part.filename.endswith(".pkl"))
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or index > LARGEST_INDEX or sum(part.file_size for part in parts) > size:
        raise damaged
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # what torch and its unpickler stumble over comes through
        why = show_label(str(error).partition("\n")[0], 200)
        raise InputError(
            f"{path} holds more than tensors, or is damaged ({why}); save model.state_dict() alone."
        ) from error


def _named(path: Path, loaded: Any) -> dict[str, Tensor]:
    """Tensors by GPT-2's names, without masks; raises `InputError` for what is not a plain tensor."""
    found = loaded if isinstance(loaded, dict) else {}
    found = next((found[key] for key in STATES if isinstance(found.get(key), dict)), found)
    if not found:
        raise InputError(f"{path} holds no state dictionary; save model.state_dict().")
    tensors: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if not isinstance(name, str) or not _is_plain(tensor):
            raise InputError(
                f"{path} holds {str(name)[:60]!r}, which is not a plain tensor; save model.state_dict()."
            )
        while prefix := next((own for own in PREFIXES if name.startswith(own)), ""):
            name = name.removeprefix(prefix)
        if not UNREAD.search(name):
            tensors[ALIASES.get(name, name)] = tensor
    return tensors


def _is_plain(tensor: Any) -> bool:
    """Whether it is a tensor of numbers of its own: one that repeats few numbers can claim any size."""
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or not tensor.is_contiguous():
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _as_stored(tensors: dict[str, Tensor]) -> Architecture:
    """GPT-2's table, with linear layers the way these are: the joined one tells them apart."""
    joined = tensors.get("h.0.attn.c_attn.weight", tensors.get("h.0.mlp.c_fc.weight"))
    transposed = joined is not None and joined.ndim == 2 and joined.shape[0] < joined.shape[1]
    rows = tuple(replace(row, transposed=row.transposed and transposed) for row in GPT2.rows)
    return replace(GPT2, prefix="", rows=rows)
