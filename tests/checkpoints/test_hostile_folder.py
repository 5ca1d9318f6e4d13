"""Checkpoints of strangers: each fault is one sentence, before a number is read and without a program run."""

import json
import pickle
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from geomem.checkpoints.export import export_run
from geomem.checkpoints.import_ import import_checkpoint, plan_import
from geomem.cli import main
from geomem.errors import InputError
from geomem.models.configuration import Mamba, Transformer
from geomem.runs import environment
from geomem.worlds.graphs.families import cycle
from shifted_runs import shifted_run

RING = cycle(6)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    models = {
        "gpt2": Transformer(layers=2, width=8, heads=2),
        "untied": Transformer(width=8, tied=False),
        "mamba": Mamba(width=8, residual=True, norm="root-mean-square", final_norm=True),
        "plain": Transformer(width=8),
    }
    for name, model in models.items():
        form = "safetensors" if name == "plain" else "hf"
        export_run(shifted_run(model, RING, folder / "runs"), folder / name, format=form)
    return folder


@pytest.fixture
def folder(written, tmp_path, request):
    name = getattr(request, "param", "gpt2")
    shutil.copytree(written / name, tmp_path / name)
    return tmp_path / name


def refusal(folder, graph=RING, **options):
    with pytest.raises(InputError) as caught:
        plan_import(folder, graph, **options)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith((".", "?"))
    assert len(said) < 600
    return said


def change(folder, **values):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: value for name, value in config.items() if value != "absent"}))


def change_tensors(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"model_type": "llama"}, "is of the architecture 'llama', which geomem does not have; give gpt"),
        ({"model_type": "gpt3"}, "did you mean gpt2?"),
        ({"model_type": ["gpt2"]}, "is of the architecture"),
        ({"model_type": "absent", "geomem": "absent"}, "is of the architecture 'None'"),
        ({"n_layer": 3}, "lacks transformer.h.2.attn.c_attn.bias; give a checkpoint whose parts belong"),
        ({"n_layer": 1}, "has transformer.h.1.attn.c_attn.bias, which its configuration does not"),
        ({"n_layer": 10**8}, "layers is 100000000"),
        ({"n_layer": "two"}, "layers is 'two'; give a whole number"),
        ({"n_layer": True}, "layers is True"),
        ({"n_layer": "absent"}, "it does not say n_layer"),
        ({"n_embd": 16}, "n_inner is '32', and geomem computes 64 only"),
        ({"n_embd": 16, "n_inner": None}, "and its configuration says (15, 16)"),
        ({"n_embd": 10**9, "n_inner": None}, "and its configuration says (15, 10000"),
        ({"n_head": 3}, "heads must divide width"),
        ({"n_head": "absent"}, "it does not say n_head"),
        ({"vocab_size": 16}, "wte.weight of shape (15, 8), and its configuration says (16, 8)"),
        ({"vocab_size": -1}, "vocab_size is '-1'"),
        ({"n_positions": 4}, "wpe.weight of shape (2, 8), and its configuration says (4, 8)"),
        ({"n_positions": None}, "n_positions is 'None'"),
        ({"n_inner": 16}, "n_inner is '16', and geomem computes 32 only"),
        ({"activation_function": "relu"}, "computes 'gelu_new' or 'gelu_pytorch_tanh' only"),
        ({"activation_function": ["relu"]}, "activation_function is"),
        ({"layer_norm_epsilon": 1e-3}, "layer_norm_epsilon is '0.001', and geomem computes 1e-05 only"),
        ({"scale_attn_by_inverse_layer_idx": True}, "geomem computes False only"),
        ({"tie_word_embeddings": False}, "lacks lm_head.weight"),
        ({"tie_word_embeddings": "no"}, "tied is 'no'"),
    ],
    ids=str,
)
def test_a_configuration_that_does_not_fit(folder, values, complaint):
    change(folder, **values)
    assert complaint in refusal(folder)


@pytest.mark.parametrize("folder", ["mamba"], indirect=True)
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"use_bias": True}, "use_bias is 'True', and geomem computes False only"),
        ({"time_step_rank": 7}, "time_step_rank is '7', and geomem computes 1 only"),
        ({"state_size": "absent"}, "it does not say state_size"),
        ({"conv_kernel": 3}, "conv1d.weight of shape (16, 1, 4), and its configuration says (16, 1, 3)"),
    ],
    ids=str,
)
def test_a_configuration_of_mamba_that_does_not_fit(folder, values, complaint):
    change(folder, **values)
    assert complaint in refusal(folder)


def test_mamba_takes_the_rank_as_transformers_abbreviates_it(written, tmp_path):
    shutil.copytree(written / "mamba", tmp_path / "mamba")
    change(tmp_path / "mamba", time_step_rank="auto", intermediate_size="absent", use_conv_bias="absent")
    assert plan_import(tmp_path / "mamba", RING).job.model.residual


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was opened')",))


def test_pickles_are_never_opened(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    said = "are 'pytorch_model.bin', a format that can run code and is never opened"
    assert said in refusal(folder)
    assert said in refusal(folder / "pytorch_model.bin")
    (folder / "old.pt").write_bytes(pickle.dumps(Bomb()))
    assert "are 'old.pt', a format that can run code" in refusal(folder / "old.pt", heads=1)
    (folder / "pytorch_model.bin").unlink()
    (folder / "old.pt").unlink()
    assert "has no model.safetensors" in refusal(folder)


def test_weights_in_several_files(folder, written):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {"a.safetensors": {}, "b.safetensors": {}}
    for number, (name, array) in enumerate(tensors.items()):
        parts["ab"[number % 2] + ".safetensors"][name] = array
    for file, part in parts.items():
        save_file(part, folder / file)
    index = {name: file for file, part in parts.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert plan_import(folder, RING).job.path() == plan_import(written / "gpt2", RING).job.path()
    save_file(tensors, folder / "b.safetensors")
    assert "both have" in refusal(folder)
    for wrong in ("../a.safetensors", "c.safetensors", "a.bin", 1):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": wrong}}))
        assert "weights are .safetensors files beside it" in refusal(folder) or "no file" in refusal(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    assert "names no weights" in refusal(folder)


def test_code_in_a_checkpoint_is_not_run(folder, written):
    change(folder, auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('code was run')")
    assert plan_import(folder, RING).job.start.digest == plan_import(written / "gpt2", RING).job.start.digest


def test_what_lies_in_the_place_of_a_file(folder):
    assert "There is no" in refusal(folder / "nowhere")
    assert "give the folder it lies in" in refusal(folder / "config.json")
    for name, text in {"config.json": "[1]", "tokenizer.json": "{", "model.safetensors": "\0" * 40}.items():
        kept = (folder / name).read_bytes()
        (folder / name).write_text(text)
        assert name in refusal(folder)
        (folder / name).write_text("[" * 100_000)
        assert name in refusal(folder)
        (folder / name).unlink()
        (folder / name).mkdir()
        assert "is a directory" in refusal(folder)
        (folder / name).rmdir()
        if name == "config.json":
            assert "There is no file" in refusal(folder)
        (folder / name).write_bytes(kept)
    plan_import(folder, RING)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda t: t.pop("transformer.ln_f.bias"), "lacks transformer.ln_f.bias"),
        (lambda t: t.update(extra=np.ones(2, np.float32)), "has transformer.extra, which its configuration"),
        (lambda t: t["transformer.wte.weight"].fill(np.nan), "NaN or infinity in token_embedding"),
        (
            lambda t: t.update({"transformer.wte.weight": t["transformer.wte.weight"].astype(np.int64)}),
            "transformer.wte.weight of whole numbers",
        ),
        (
            lambda t: t.update({"transformer.wpe.weight": t["transformer.wpe.weight"][:1]}),
            "wpe.weight of shape (1, 8), and its configuration says (2, 8)",
        ),
    ],
    ids=["missing", "unknown", "nan", "integers", "short"],
)
def test_tensors_that_do_not_fit(folder, spoil, complaint):
    change_tensors(folder, spoil)
    assert complaint in refusal(folder)


def test_tensors_of_half_precision_and_old_masks_are_taken(folder, written):
    def older(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name).astype(np.float16)
        tensors["h.0.attn.bias"] = np.ones((1, 1, 4, 4), np.uint8)
        tensors["h.1.attn.masked_bias"] = np.float32(-1e4) * np.ones(1, np.float32)
        tensors["lm_head.weight"] = tensors["wte.weight"]

    change_tensors(folder, older)
    half, whole = plan_import(folder, RING).job.start.weights(), plan_import(written / "gpt2", RING).job.start
    for name, array in whole.weights().items():
        np.testing.assert_allclose(half[name], array, atol=2e-3)


@pytest.mark.parametrize(
    ("vocabulary", "complaint"),
    [
        (None, "has no tokenizer.json and no vocab.json; give --vocabulary FILE"),
        ({}, "does not say the row of any word"),
        (["a"], "does not say the row of any word"),
        ({"0": "0"}, "has the row '0' for '0'"),
        ({"0": True}, "has the row 'True'"),
        ({"0": -1}, "has the row '-1'"),
        ({"0": 0, "1": 0}, "two words for one row"),
        ({str(row): row for row in range(16)}, "has a word for row 15 and only 15 rows"),
        ({str(row): row for row in range(5)}, "has no word for 1 of 6 nodes, '5' for one"),
        ({str(row): row for row in range(6)}, "has no [EDGE], which the task needs; give --no-task-token"),
    ],
    ids=str,
)
def test_vocabularies_that_do_not_fit(folder, vocabulary, complaint):
    described = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").unlink()
    if vocabulary is not None:
        described["model"]["vocab"] = vocabulary
        (folder / "tokenizer.json").write_text(json.dumps(described))
    assert complaint in refusal(folder)


def test_a_vocabulary_of_its_own(folder, tmp_path):
    before = plan_import(folder, RING)
    (folder / "tokenizer.json").unlink()
    words = tmp_path / "words.txt"
    words.write_text(
        "\n".join([*RING.labels, "|", "[PAUSE]", "/", "$", ">", "<", "[PAD]", "[EDGE]", "[PATH]"])
    )
    assert plan_import(folder, RING, vocabulary=words).job.path() == before.job.path()
    words.write_text("\n".join([*RING.labels, *(f"unused {row}" for row in range(8)), "[EDGE]"]))
    found = plan_import(folder, RING, vocabulary=words)
    assert "it has no |, [PAUSE], /, $, >, <, [PAD], [PATH]; their rows are zeros" in found.notes[0]
    assert (
        "8 of its words are no tokens of the graph and are left out (unused 0, unused 1, unused 2)"
        in found.notes
    )
    assert not found.job.start.weights()["token_embedding"][0, [6, 7, 14]].any()
    words.write_text("a\nb\n")
    assert "has 2 words and" in refusal(folder, vocabulary=words)
    words.write_text("a\n" * 15)
    assert "has a word twice" in refusal(folder, vocabulary=words)


@pytest.mark.parametrize("folder", ["plain"], indirect=True)
def test_plain_folders_that_do_not_fit(folder):
    config = json.loads((folder / "config.json").read_text())
    for part, value, complaint in (
        ("format", 2, "of another version of geomem"),
        ("model", None, "of another version of geomem"),
        ("model", {"kind": "transformer", "wings": 2}, "with other settings than this geomem knows"),
        ("model", {"kind": "transformer", "width": 9}, "its configuration says (15, 9)"),
    ):
        change(folder, geomem=config["geomem"] | {part: value})
        assert complaint in refusal(folder)
    change(folder, geomem=config["geomem"])
    (folder / "rows.json").write_text(json.dumps({"token_embedding": ["0", "0"]}))
    assert "one word for two rows" in refusal(folder)
    (folder / "rows.json").unlink()
    assert "There is no file" in refusal(folder)


def test_a_checkpoint_larger_than_memory_is_refused_before_it_is_read(folder, monkeypatch):
    monkeypatch.setattr(environment, "available_memory", lambda device="cpu": 10_000)
    assert "of memory to be read, 10 kB are free; give a smaller checkpoint" in refusal(folder)


def test_a_header_that_promises_more_than_the_file_holds(folder):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "is not a complete .safetensors file" in refusal(folder)


def test_nothing_is_written_for_what_is_refused(folder, tmp_path, capsys):
    change(folder, n_layer=3)
    runs = tmp_path / "runs"
    assert main(["import", str(folder), "--graph", "cycle", "--nodes", "6", "--directory", str(runs)]) == 2
    assert "lacks transformer.h.2" in capsys.readouterr().err
    with pytest.raises(InputError):
        import_checkpoint(folder, RING, directory=runs)
    assert not runs.exists()
