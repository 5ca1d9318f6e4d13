"""A Hugging Face folder, checked before anything of it is loaded: no pickle, no code, no surprise in size."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomem.errors import InputError
from geomem.files import check_plain_file, is_there, read_bytes
from geomem.measure.vectors.array_file import safetensors_header

LARGEST_CONFIGURATION, LARGEST_INDEX = 1 << 20, 64 << 20
"""Bytes of config.json and of the list of weight files that are read."""

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
"""Endings of weights that are never opened."""

VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
)
"""A tokenizer has one of these files."""


@dataclass(frozen=True)
class ModelFolder:
    """What a folder says about the model in it."""

    path: Path
    configuration: dict[str, Any]
    parameters: int
    """How many numbers its weights are."""

    @property
    def bytes(self) -> int:
        """Memory that the weights take in float32."""
        return 4 * self.parameters

    @property
    def architecture(self) -> str:
        """The class that wrote the weights, or nothing if the folder does not say."""
        named = self.configuration.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""


def check_folder(path: Path) -> ModelFolder:
    """Read what a folder says about its model, and measure its weights; opens none of them.

    Raises `InputError` for a folder without config.json, safetensors or tokenizer, weights that are pickles,
    a model that brings its own code, is quantized, an adapter, or has an encoder beside its decoder.
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give one that `save_pretrained` wrote.")
    if is_there(path / "adapter_config.json"):
        raise InputError(
            f"{path} holds an adapter and not a model; merge it (merge_and_unload) and save the result."
        )
    if not is_there(path / "config.json"):
        raise InputError(f"{path} has no config.json; give a folder that `save_pretrained` wrote.")
    configuration = _read_json(path / "config.json", LARGEST_CONFIGURATION)
    tokenizer = {}
    if is_there(path / "tokenizer_config.json"):
        tokenizer = _read_json(path / "tokenizer_config.json", LARGEST_INDEX)
    if "auto_map" in configuration or "auto_map" in tokenizer:
        raise InputError(
            f"The model in {path} brings code of its own (auto_map), which is never run; "
            "give one of an architecture that transformers has."
        )
    if "quantization_config" in configuration:
        raise InputError(f"The weights in {path} are quantized; save them in float32 or bfloat16.")
    if configuration.get("is_encoder_decoder"):
        raise InputError(
            f"The model in {path} has an encoder beside its decoder; give a decoder or an encoder alone."
        )
    files = _weight_files(path)
    if not any(is_there(path / name) for name in VOCABULARIES):
        raise InputError(
            f"{path} has no tokenizer (no {VOCABULARIES[0]}); "
            "save the model's tokenizer there, with `save_pretrained`."
        )
    arrays = [array for file in files for array in safetensors_header(file).values()]
    return ModelFolder(path, configuration, sum(math.prod(array.shape) for array in arrays))


def _weight_files(path: Path) -> list[Path]:
    if is_there(path / WEIGHTS):
        return [path / WEIGHTS]
    if is_there(path / WEIGHTS_INDEX):
        index = _read_json(path / WEIGHTS_INDEX, LARGEST_INDEX).get("weight_map")
        names = sorted(set(index.values())) if isinstance(index, dict) else []
        for name in names:
            if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
                raise InputError(
                    f"{path / WEIGHTS_INDEX} names the file {str(name)[:80]!r}; weights are .safetensors "
                    "files beside it."
                )
            check_plain_file(path / name, links=True)
        if names:
            return [path / name for name in names]
        raise InputError(f"{path / WEIGHTS_INDEX} names no weights; save the model again.")
    others = sorted(entry.name for entry in path.iterdir() if entry.suffix in (*PICKLES, ".gguf"))
    if others and not others[0].endswith(".gguf"):
        raise InputError(
            f"The weights in {path} are {others[0]!r}, a format that can run code and is never opened; save "
            "the model as safetensors (`save_pretrained` does)."
        )
    found = f", only {others[0]!r}" if others else ""
    raise InputError(f"{path} has no {WEIGHTS}{found}; save the model with `save_pretrained`.")


def _read_json(path: Path, limit: int) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(path, limit, links=True))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not JSON; save the model again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object; save the model again.")
    return content
