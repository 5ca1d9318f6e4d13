"""Folders of models are refused before anything is loaded, each for its reason, in one sentence."""

import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from geomem.audit.folder import check_folder
from geomem.audit.prompts import check_templates, read_templates
from geomem.audit.source import Reading, read_source
from geomem.cli import main
from geomem.errors import InputError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    (tmp_path / "tokenizer.json").write_text("{}")
    safetensors.numpy.save_file({"a": np.zeros((3, 4)), "b": np.zeros(5)}, tmp_path / "model.safetensors")
    return tmp_path


def spoil(folder, name, content):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def test_weights_are_counted(folder):
    found = check_folder(folder)
    assert (found.parameters, found.bytes, found.architecture) == (17, 68, "GPT2LMHeadModel")
    (folder / "model.safetensors").rename(folder / "part-1.safetensors")
    spoil(folder, "model.safetensors.index.json", {"weight_map": {"a": "part-1.safetensors"}})
    assert check_folder(folder).parameters == 17


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("config.json", None, "has no config.json"),
        ("config.json", "[1]", "config.json is not a JSON object"),
        ("config.json", "{", "config.json is not JSON"),
        (
            "config.json",
            {"auto_map": {"AutoModel": "m.M"}},
            r"code of its own \(auto_map\), which is never run",
        ),
        ("tokenizer_config.json", {"auto_map": {}}, r"code of its own \(auto_map\)"),
        ("config.json", {"quantization_config": {}}, "are quantized; save them in float32"),
        ("config.json", {"is_encoder_decoder": True}, "has an encoder beside its decoder"),
        ("adapter_config.json", {}, "holds an adapter and not a model"),
        ("tokenizer.json", None, r"has no tokenizer \(no tokenizer.json\)"),
        ("model.safetensors", None, "has no model.safetensors; save the model"),
        ("model.safetensors", "x" * 40, "is not a complete .safetensors file"),
    ],
)
def test_what_is_wrong_is_said(folder, name, content, complaint):
    spoil(folder, name, content)
    with pytest.raises(InputError, match=complaint) as caught:
        check_folder(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_pickled_weights_are_never_opened(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(InputError, match=f"are '{name}', a format that can run code and is never opened"):
        check_folder(folder)


@pytest.mark.parametrize("part", ["../model.safetensors", "/etc/passwd", "model.bin", 5])
def test_weights_are_files_beside_their_index(folder, part):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    spoil(folder, "model.safetensors.index.json", {"weight_map": {"a": part}})
    with pytest.raises(InputError, match=r"weights are .safetensors files beside it|names no weights"):
        check_folder(folder)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("The word is", "must have one {}"),
        ("{} and {}", "must have one {}"),
        ("{} is a word", "begins with the name"),
    ],
)
def test_templates_have_one_place_that_is_not_the_first(tmp_path, lines, complaint):
    (tmp_path / "templates.txt").write_text(f"All about {{}}\n{lines}\n")
    with pytest.raises(InputError, match=complaint):
        read_templates(tmp_path / "templates.txt")
    with pytest.raises(InputError, match="no template"):
        check_templates([])


def test_a_tab_in_a_template_is_written_as_one(tmp_path):
    (tmp_path / "templates.txt").write_text("[EDGE]\\t{}\n")
    assert read_templates(tmp_path / "templates.txt") == ("[EDGE]\t{}",)


def test_vectors_are_a_source_without_torch(tmp_path):
    lines = [
        f"{word} {at} {at % 3}" for at, word in enumerate(["the", "of", "mali", "chad", "niger", "togo"])
    ]
    (tmp_path / "v.txt").write_text("\n".join(lines * 1) + "\n")
    source = read_source(tmp_path / "v.txt", ("Mali", "Chad", "Ghana"))
    assert source.states.entities == ("Mali", "Chad")
    assert source.states.layers[0].vectors.tolist() == [[[2, 2], [3, 0]]]
    assert source.frequencies is None
    assert "1 of 3 names are unknown to it and left out: 'Ghana'." in source.notes
    with pytest.raises(InputError, match="knows 1 of 3 names, and not 'Ghana', 'Peru'"):
        read_source(tmp_path / "v.txt", ("Mali", "Ghana", "Peru"))
    with pytest.raises(InputError, match="are about files of vectors"):
        read_source(tmp_path, ("Mali",), Reading(array="a"))


def test_frequencies_follow_the_rows_of_a_vocabulary(tmp_path):
    lines = ["chad 1 2", *(f"word{at} 1 2" for at in range(30)), "mali 3 4"]
    (tmp_path / "v.txt").write_text("\n".join(lines) + "\n")
    frequencies = read_source(tmp_path / "v.txt", ("Mali", "Chad")).frequencies
    assert frequencies["Chad"] > frequencies["Mali"]


def test_the_command_line_says_what_is_missing(tmp_path, capsys):
    for given, complaint in [
        (["audit"], "Give a model and what it may know"),
        (["audit", str(tmp_path / "no"), "--graph", "cycle"], "There is no file"),
        (["audit", str(tmp_path), "--graph", "cycle"], "has no config.json"),
        (["audit", "v.txt", "--graph", "cycle", "--facts", "countries"], "either --graph or --facts"),
        (["audit", "v.txt", "--facts", "contries"], "did you mean countries"),
        (["audit", "v.txt", "--graph", "cycle", "--twins", "-1"], "--twins is a count of at least 0"),
        (["audit", "v.txt", "--graph", "cycle", "--baseline-labels", "a"], "--baseline-labels is about"),
        (["audit", "v.txt", "--facts", "countries", "--question", "Where"], "does not say of which relation"),
        (["audit", "v.txt", "--facts", "countries", "--baseline", "b"], "--baseline is about graphs"),
    ]:
        assert main(given) == 2
        assert complaint in capsys.readouterr().err


def test_the_help_and_vectors_wait_for_no_torch(tmp_path):
    lines = [f"{5 * x + y} {x} {y}" for x in range(5) for y in range(5)]
    (tmp_path / "v.txt").write_text("\n".join(lines) + "\n")
    code = (
        "import sys\nfrom geomem.cli import main\n"
        "given = ['audit', sys.argv[1], '--graph', 'grid', '--rows', '5', '--columns', '5']\n"
        "assert main([*given, '--permutations', '39']) == 0\n"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "v.txt"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Word: " in done.stdout
