"""`--module` on the command line: what is executed is said, and only what was named is."""

import re
from pathlib import Path

import pytest

from geomem.cli import main
from geomem.cli.own import execute
from geomem.runs.run import read_run

MODULES = Path(__file__).parent / "models" / "own_factories.py"
LSTM = f"{MODULES}:lstm"


def run(tmp_path, *words):
    return main([*words, "--quiet", "--directory", str(tmp_path)])


def test_edges_then_paths_from_them(tmp_path, capsys):
    execute.cache_clear()
    assert run(tmp_path, "memorize", "cycle", "--module", LSTM, "--steps", "4", "--seeds", "2") == 0
    shown = capsys.readouterr()
    assert read_run(shown.out.strip()).model.source == "own_factories.py:lstm"
    assert "Executing" in shown.err
    edges = shown.out.strip()
    for options, status in (([], 2), (["--module", LSTM, "--learning-rate", "0.1"], 0)):
        again = run(tmp_path, "memorize", "cycle", "--start", edges, "--steps", "3", *options)
        assert again == status
    assert "give --module own_factories.py:lstm" in capsys.readouterr().err
    short = ["--epochs", "2", "--batches", "2", "--warmup-steps", "1"]
    assert run(tmp_path, "paths", "path-star", "--arms", "8", "--module", LSTM, "--seeds", "1", *short) == 0
    path = capsys.readouterr().out.strip()
    short[1] = "3"
    assert run(tmp_path, "paths", "--start", path, *short) == 2
    refused = capsys.readouterr().err
    assert "give --module own_factories.py:lstm, which executes that file." in refused
    assert run(tmp_path, "paths", "--start", path, "--module", LSTM, *short) == 0
    again = capsys.readouterr().out.strip()
    assert read_run(again).configuration["start"]
    assert main(["measure", again]) == 0
    assert "Reading:" in capsys.readouterr().out


def test_a_sweep_varies_the_training_of_a_module(tmp_path, capsys):
    words = ["sweep", "cycle", "--nodes", "6", "--module", LSTM, "--steps", "3", "--processes", "1"]
    assert run(tmp_path, *words, "--over", "learning-rate=0.01,0.1", "self-edges=true,false") == 0
    assert "module" in capsys.readouterr().out
    assert run(tmp_path, *words, "--over", "scale=1,2") == 2
    assert "'scale' is no axis of this model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--module", LSTM, "--model", "mamba"], "--module is .*:lstm and --model mamba; give one"),
        (["--module", LSTM, "--embedding", "table"], "has no parameter 'table'; name one of embed.weight"),
        (["--module", LSTM, "--width", "3"], "unrecognized options: --width"),
        (["--module", f"{MODULES}:lst"], "defines no 'lst'; did you mean"),
        (["--module", "nowhere.py:factory"], "There is no file .*nowhere.py; give one that exists"),
        (["--embedding", "embed"], "unrecognized options: --embedding"),
        (["--module", f"{MODULES}:too_narrow"], r"gives \(3, 2, 5\) for tokens of shape"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(words, said, tmp_path, capsys):
    assert run(tmp_path, "memorize", "cycle", *words) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert re.search(said, shown.err)
    assert "Traceback" not in shown.err
    assert ("Executing" in shown.err) <= (MODULES.name in " ".join(words))
    assert not list(tmp_path.iterdir())
