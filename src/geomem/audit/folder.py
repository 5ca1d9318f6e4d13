"""A Hugging Face folder, checked before anything of it is loaded: no pickle, no code, no surprise in size."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geomem.checkpoints.weight_files import read_object, weight_files
from geomem.errors import InputError
from geomem.files import is_there
from geomem.measure.vectors.array_file import safetensors_header

LARGEST_CONFIGURATION, LARGEST_TOKENIZER = 1 << 20, 64 << 20
"""Bytes of config.json and tokenizer_config.json that are read."""

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
    configuration = read_object(path / "config.json", LARGEST_CONFIGURATION)
    tokenizer = {}
    if is_there(path / "tokenizer_config.json"):
        tokenizer = read_object(path / "tokenizer_config.json", LARGEST_TOKENIZER)
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
    files = weight_files(path)
    if not any(is_there(path / name) for name in VOCABULARIES):
        raise InputError(
            f"{path} has no tokenizer (no {VOCABULARIES[0]}); "
            "save the model's tokenizer there, with `save_pretrained`."
        )
    arrays = [array for file in files for array in safetensors_header(file).values()]
    return ModelFolder(path, configuration, sum(math.prod(array.shape) for array in arrays))
