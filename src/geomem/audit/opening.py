"""Models of Hugging Face folders, opened offline with transformers; no code of the folder runs."""

import importlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from geomem.audit.folder import ModelFolder, check_folder
from geomem.errors import InputError
from geomem.runs.environment import available_memory

MOST_UNEXPLAINED = 1.1
"""A configuration may describe this many times the numbers that the weights hold, not more."""


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A decoder or encoder of transformers with its tokenizer, in float32, ready to be asked."""

    folder: ModelFolder
    network: Any
    """With its head where the weights have one: decoder for the next token, or encoder for masked ones."""
    tokenizer: Any
    blocks: tuple[torch.nn.Module, ...]
    """The blocks of the residual stream, from the bottom to the top."""
    answers: str
    """"next token", "masked token", or nothing where it has no head that answers."""

    @property
    def base(self) -> torch.nn.Module:
        """The network without its head."""
        return self.network.base_model

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.network.get_input_embeddings().weight.device

    @property
    def input_embedding(self) -> torch.Tensor:
        """[token, width], as stored."""
        return self.network.get_input_embeddings().weight

    @property
    def output_embedding(self) -> torch.Tensor | None:
        """[token, width] of the head, as stored; None without head, or where it is the input embedding."""
        head = self.network.get_output_embeddings()
        if head is None or head.weight.data_ptr() == self.input_embedding.data_ptr():
            return None
        return head.weight


def open_model(path: str | os.PathLike[str], *, device: str = "cpu") -> OpenedModel:
    """Open a folder that `save_pretrained` wrote: safetensors and tokenizer, an architecture of transformers.

    Nothing is fetched from a network, and no code of the folder runs. Raises `InputError` without
    transformers; for what `check_folder` refuses; for an architecture that transformers does not have,
    weights that are not those of config.json, a tokenizer that does not say which token stands where, and
    more than memory holds.
    """
    folder = check_folder(Path(path))
    free = available_memory(device)
    if folder.bytes > free:
        raise InputError(
            f"The weights in {path} take {folder.bytes / 2**30:.1f} GiB in float32 and "
            f"{free / 2**30:.1f} are free; give a smaller model, or a machine with more memory."
        )
    transformers = _transformers()
    configuration = _open(transformers.AutoConfig, folder, what="config.json")
    kind, answers = _kind(transformers, folder, configuration)
    _check_sizes(kind, folder, configuration)
    network, loaded = _open(
        kind,
        folder,
        what="model",
        config=configuration,
        attn_implementation="eager",
        dtype=torch.float32,
        output_loading_info=True,
    )
    # A pooler stands behind the states that are looked at, and many weights come without it.
    missing = sorted(name for name in loaded["missing_keys"] if "pooler" not in name)
    if missing or loaded["mismatched_keys"]:
        raise InputError(
            f"The weights in {path} lack {len(missing)} arrays of {type(network).__name__}, such as "
            f"{(missing or ['one of another shape'])[0]!r}; save the model again."
        )
    tokenizer = _open(transformers.AutoTokenizer, folder, what="tokenizer")
    if not tokenizer.is_fast:
        raise InputError(
            f"The tokenizer in {path} does not say which token stands where; save a fast one "
            "(tokenizer.json) beside the weights."
        )
    network = network.to(device).requires_grad_(False).eval()
    return OpenedModel(folder, network, tokenizer, _blocks(network, folder), answers)


def reinitialized(model: OpenedModel, seed: int) -> OpenedModel:
    """The same architecture and tokenizer with weights drawn anew, as before any training."""
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.device(model.device):
        torch.manual_seed(seed)
        network = type(model.network)._from_config(
            model.network.config, attn_implementation="eager", dtype=torch.float32
        )
    network = network.requires_grad_(False).eval()
    return replace(model, network=network, blocks=_blocks(network, model.folder))


def _transformers() -> Any:
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    try:
        # By name: a type checker that follows the import reads two thousand files.
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise InputError(
            "Opening a model needs transformers; install it with `pip install geomem[hf]`."
        ) from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _open(kind: Any, folder: ModelFolder, *, what: str, **settings: Any) -> Any:
    """`from_pretrained` of one class; whatever it stumbles over becomes one sentence."""
    if what == "model":
        settings["use_safetensors"] = True
    try:
        return kind.from_pretrained(
            str(folder.path), local_files_only=True, trust_remote_code=False, **settings
        )
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # a folder of a stranger; transformers raises whatever it meets
        why = " ".join(str(error).split())[:200]
        kind_of = folder.configuration.get("model_type")
        raise InputError(
            f"The {what} in {folder.path} (model_type {kind_of!r}) cannot be opened by transformers: {why}"
            f"{'' if why.endswith('.') else '.'}"
        ) from error


def _kind(transformers: Any, folder: ModelFolder, configuration: Any) -> tuple[Any, str]:
    """The class that opens the weights, and what it answers."""
    auto = transformers.models.auto.modeling_auto
    name = configuration.model_type
    reads_text = hasattr(configuration.get_text_config(), "vocab_size")
    for table, answers in (
        (auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "next token"),
        (auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, "masked token"),
        (auto.MODEL_MAPPING_NAMES, ""),
    ):
        known = table.get(name, ())
        if reads_text and folder.architecture in ((known,) if isinstance(known, str) else known):
            return getattr(transformers, folder.architecture), answers
    if name in auto.MODEL_MAPPING_NAMES and reads_text:
        return transformers.AutoModel, ""
    raise InputError(
        f"The architecture {folder.architecture or name!r} in {folder.path} is no decoder or encoder of text "
        f"that transformers {transformers.__version__} has; update transformers or give another model."
    )


def _check_sizes(kind: Any, folder: ModelFolder, configuration: Any) -> None:
    """Raise `InputError` if config.json describes far more than the weights hold, before it is made."""
    layers = configuration.get_text_config().num_hidden_layers
    try:
        if not 0 < layers <= folder.parameters:
            raise ValueError("it has no blocks, or more than weights")
        make = kind.from_config if hasattr(kind, "from_config") else kind._from_config
        with torch.device("meta"):
            described = sum(entry.numel() for entry in make(configuration).parameters())
    except Exception as error:  # sizes that contradict each other
        why = " ".join(str(error).split())[:200]
        raise InputError(f"The config.json in {folder.path} describes no model ({why}).") from error
    if described > MOST_UNEXPLAINED * folder.parameters + 1e6:
        raise InputError(
            f"The config.json in {folder.path} describes {described:,} numbers and the weights hold "
            f"{folder.parameters:,}; save the model again."
        )


def _blocks(network: Any, folder: ModelFolder) -> tuple[torch.nn.Module, ...]:
    count = network.config.get_text_config().num_hidden_layers
    lists = [
        entry
        for entry in network.base_model.modules()
        if isinstance(entry, torch.nn.ModuleList) and len(entry) == count
    ]
    if not lists:
        raise InputError(
            f"The model in {folder.path} ({type(network).__name__}) has no list of its {count} blocks; such "
            "architectures cannot be looked into."
        )
    return tuple(lists[0])
