"""The study with real weights: its parts on small models made on the spot, and its page and numbers."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from geomem.errors import InputError
from geomem.studies.markdown import replace_section
from geomem.worlds.graphs.atlas import europe

STUDY = Path(__file__).parents[1] / "docs" / "studies"
sys.path.insert(0, str(STUDY))

import real_models  # noqa: E402
import real_pictures  # noqa: E402
import real_tables  # noqa: E402
import real_weights  # noqa: E402

ENTRIES = (real_models.Entry("glove", "europe"), real_models.Entry("smollm", "europe", twins=1))


def small_llama() -> tuple[dict, dict, "np.ndarray", list[int]]:
    """A llama with random weights as a GGUF file has it, and its logits for some tokens."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import LlamaConfig, LlamaForCausalLM

    words = ["<|endoftext|>", *sorted(ByteLevel.alphabet()), "Ġt", "Ġth"]
    sizes = {"block_count": 2, "embedding_length": 16, "feed_forward_length": 24, "context_length": 64}
    said = {f"llama.{name}": value for name, value in sizes.items()} | {
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 100.0,
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type": [3, *[1] * (len(words) - 1)],
        "tokenizer.ggml.merges": ["Ġ t", "Ġt h"],
        **{f"tokenizer.ggml.{name}_token_id": 0 for name in ("bos", "eos", "unknown", "padding")},
    }
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 100.0},
            tie_word_embeddings=True,
        )
    ).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    names = {real_weights.llama_name(name): name for name in gguf_names(2)}
    arrays = {
        names[name]: tensor.numpy().copy() for name, tensor in network.state_dict().items() if name in names
    }
    for name, heads in (("attn_q", 4), ("attn_k", 2)):
        for block in range(2):
            rows = arrays[f"blk.{block}.{name}.weight"]
            # llama.cpp rotates neighbours, transformers the halves of a head: rows 0, 2, 1, 3 for width 4.
            order = [head * 4 + at for head in range(heads) for at in (0, 2, 1, 3)]
            arrays[f"blk.{block}.{name}.weight"] = rows[order]
    tokens = [3, 50, 120, 7, 9]
    with torch.no_grad():
        logits = network(input_ids=torch.tensor([tokens])).logits.numpy()
    return said, arrays, logits, tokens


def gguf_names(blocks: int) -> list[str]:
    parts = [f"blk.{block}.{part}.weight" for block in range(blocks) for part in real_weights.LLAMA_NAMES]
    return ["token_embd.weight", "output_norm.weight", *parts]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    said, arrays, logits, tokens = small_llama()
    folder = tmp_path_factory.mktemp("converted") / "llama"
    real_weights.write_llama(said, arrays, folder)
    return folder, logits, tokens


def test_a_converted_llama_computes_and_writes_as_the_original(llama):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, logits, tokens = llama
    network = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        found = network(input_ids=torch.tensor([tokens])).logits.numpy()
    assert np.abs(found - logits).max() < 1e-5
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize("in the 12") == ["i", "n", "Ġth", "e", "Ġ", "1", "2"]
    assert tokenizer.decode(tokenizer("in thé 12").input_ids) == "in thé 12"


def test_a_missing_package_is_named():
    with pytest.raises(
        InputError, match=r"The package nothing-at-all is not installed; install it with `pip"
    ):
        real_weights.package_folder("nothing_at_all", "nothing-at-all")


@pytest.fixture(scope="module")
def study(llama, tmp_path_factory):
    """Two audits of made-up weights: places as vectors of words, and a model that knows nothing."""
    folder = tmp_path_factory.mktemp("study")
    graph = europe()
    assert graph.coordinates is not None
    np.save(folder / "vectors.npy", graph.coordinates.astype(np.float32))
    (folder / "words.txt").write_text("\n".join(graph.labels).lower())
    weights = real_weights.Weights(
        glove=folder / "vectors.npy", glove_labels=folder / "words.txt", minilm=llama[0], smollm=llama[0]
    )
    return weights, folder / "kept", real_models.run_study(weights, folder / "kept", ENTRIES)


def test_places_are_a_geometry_and_a_model_without_training_is_not(study):
    _, _, audits = study
    assert audits["glove-europe"]["audit"]["word"] == "geometry"
    assert audits["smollm-europe"]["audit"]["word"] in {"unknown", "cannot tell"}
    assert audits["smollm-europe"]["audit"]["behaviour"]["asked"] == 42
    assert [trial["name"] for trial in audits["smollm-europe"]["audit"]["trials"]][-1] == "co-occurrence"


def test_finished_audits_are_kept_and_others_made_anew(study, monkeypatch):
    weights, kept, audits = study
    made = []
    monkeypatch.setattr(real_models, "audit_entry", lambda entry, _: made.append(entry.name) or {})
    assert real_models.run_study(weights, kept, ENTRIES) == json.loads(json.dumps(audits))
    assert made == []
    longer = real_models.Entry("smollm", "europe", twins=2)
    assert real_models.kept_audit(longer, kept) is None


def test_tables_come_of_the_audits(study):
    _, _, audits = study
    tables = real_tables.audit_tables(audits)
    words = dict(zip(tables["words"]["audit"], tables["words"]["word"], strict=True))
    assert words == {name: kept["audit"]["word"] for name, kept in audits.items()}
    assert tables["looks"].filter(real_tables.pl.col("model") == "smollm").height == 1 + 3 * 3
    causes = real_tables.read_tables()["causes"]
    assert len(real_tables.page_tables(tables["words"], causes)["graphs"]) == 2 + len(ENTRIES)


def test_moved_answers_become_a_row_per_gain():
    causes = {"swaps": 9, "untouched": 1.0, "replaced": 0.5, "p": 0.01}
    causes |= {"gains": [0.5, 1.0], "moved": [0.2, 0.4], "random": [0.0, 0.1]}
    entry = {"model": "smollm", "world": real_models.CAUSES, "position": "last token"}
    audit = {"causes": [{"relation": "capital", "layer": "block 3", "causes": causes}]}
    tables = real_tables.audit_tables({"a": {"entry": entry, "audit": audit}})
    assert tables.keys() == {"causes"}
    assert tables["causes"]["moved"].to_list() == [0.2, 0.4]
    words = real_tables.read_tables()["words"]
    assert real_tables.page_tables(words, tables["causes"])["causes"][2:] == [
        "| capital | block 3 | 9 | 1.00 | .50 | moved | .010 | .20 | .40 |",
        "| capital | block 3 | 9 | 1.00 | .50 | random | .010 | .00 | .10 |",
    ]


def test_the_page_has_the_numbers_of_the_study():
    page = real_tables.PAGE.read_text(encoding="utf-8")
    tables = real_tables.read_tables()
    for name, lines in real_tables.page_tables(tables["words"], tables["causes"]).items():
        assert replace_section(page, name, lines) == page


def test_pictures_are_drawn_from_the_tables_alone(tmp_path):
    real_pictures.draw_pictures(tmp_path)
    assert len(list(tmp_path.glob("real-models-*-light.svg"))) == 2
    assert len(list(tmp_path.glob("real-models-*-dark.svg"))) == 2
