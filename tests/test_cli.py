"""The command line: help without torch, options that apply, TOML, the progress table, every verb."""

import io
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from geomem.cli import VERBS, main
from geomem.cli.memorize import option_groups, read_arguments
from geomem.cli.options import configuration_arguments, option_names, read_configuration
from geomem.cli.progress import RunTable
from geomem.errors import InputError
from geomem.geometry.signatures import SIGNATURES
from geomem.measure.edges import READINGS, measure_fleet
from geomem.models.configuration import MODELS, Bilinear, Node2Vec
from geomem.runs.edges import edge_job, memorize
from geomem.runs.run import read_run
from geomem.runs.train import Announcement
from geomem.training.configuration import Training, default_training
from geomem.training.loop import Progress
from geomem.worlds.catalogue import FACT_WORLDS, WORLDS
from geomem.worlds.graphs.families import cycle, path_star
from handmade_fleets import make_fleet

QUICK = ["--steps", "5", "--seeds", "2", "--quiet"]


@pytest.fixture
def fleet(tmp_path):
    training = Training(steps=20)
    return memorize(
        path_star(arms=3, length=3), model=Bilinear(width=6), training=training, directory=tmp_path
    )


def test_help_is_quick_and_needs_no_torch():
    code = "import sys; from geomem.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    # Processor time: beside other programs everything takes long.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"usage: geomem {verb}" in capsys.readouterr().out


def test_no_argument_is_a_request_for_help(capsys):
    assert main([]) == 0
    assert "usage: geomem VERB" in capsys.readouterr().out


@pytest.mark.parametrize("model", MODELS)
def test_the_help_of_a_world_shows_what_applies_and_nothing_else(model, capsys):
    for world in WORLDS:
        # One flat list serves all groups only if no two have an option of one name.
        names = option_names(*[kind for _, kind, _, _ in option_groups(world, model)])
        assert {"--model", "--steps", "--self-edges", "--width"} <= names.keys()
    with pytest.raises(SystemExit):
        main(["memorize", "path-star", "--model", model, "--help"])
    shown = capsys.readouterr().out
    assert "--arms" in shown
    assert "--rows" not in shown
    assert ("--heads" in shown) == (model == "transformer")
    assert ("--embedding-scale" in shown) == (model == "node2vec")
    assert f"(default: {default_training(MODELS[model]()).steps})" in shown


def test_an_option_of_two_groups_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="--width is an option of Bilinear and of Node2Vec"):
        option_names(Bilinear, Node2Vec)


def test_memorize_prints_the_run_directory_and_keeps_the_options(tmp_path, capsys):
    arguments = ["path-star", "--arms", "3", "--length", "4", "--world-seed", "None", "--model", "bilinear"]
    arguments += ["--width", "6", "--learning-rate", "0.02", "--directions", "forward", "--no-task-token"]
    assert main(["memorize", *arguments, *QUICK, "--directory", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    fleet = read_run(printed.out.strip())
    assert fleet.graph.digest == path_star(arms=3, length=4, world_seed=None).digest
    configuration = fleet.manifest["configuration"]
    assert configuration["model"] == {
        "kind": "bilinear",
        "width": 6,
        "dropout": 0.0,
        "initialization": "gpt2",
    }
    assert configuration["training"]["learning_rate"] == 0.02
    assert configuration["task"] == {
        "kind": "edge-memorization",
        "directions": "forward",
        "self_edges": False,
        "self_edge_weight": 1.0,
        "task_token": False,
    }
    assert fleet.seeds == (0, 1)


def test_memorize_takes_a_file_and_a_list_of_seeds(tmp_path, capsys):
    (tmp_path / "borders.tsv").write_text(
        "# who borders whom\nÖsterreich\t日本\n日本\tاليمن\n", encoding="utf-8"
    )
    arguments = ["memorize", str(tmp_path / "borders.tsv"), "--model", "node2vec", "--steps", "3"]
    assert main([*arguments, "--seed-list", "7", "2", "--directory", str(tmp_path)]) == 0
    fleet = read_run(capsys.readouterr().out.strip())
    assert fleet.seeds == (7, 2)
    assert fleet.graph.labels == ("Österreich", "日本", "اليمن")


def test_each_model_has_its_published_training(capsys):
    for model in MODELS:
        _, options = read_arguments(["cycle", f"--model={model}"])
        assert options.training == default_training(MODELS[model]())
        assert options.model == MODELS[model]()


# TOML.


def test_a_configuration_file_gives_options_and_the_command_line_comes_before_it(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'world = "grid"\nrows = 3\nmodel = "bilinear"\nwidth = 6\nself_edges = true\ntask-token = false\n'
        "learning_rate = 0.5\nseed_list = [4, 2]\nquiet = true\n"
    )
    world, options = read_arguments(["--config", str(file), "--width", "9", "--task-token"])
    assert world == "grid"
    assert (options.world.rows, options.world.columns) == (3, 4)
    assert options.model == Bilinear(width=9)
    assert options.task.self_edges
    assert options.task.task_token
    assert options.training.learning_rate == 0.5
    assert options.fleet.seed_list == (4, 2)
    assert options.fleet.quiet


def test_a_world_on_the_command_line_comes_before_the_file(tmp_path):
    (tmp_path / "run.toml").write_text('world = "grid"\nnodes = 7\n')
    world, options = read_arguments(["cycle", "--config", str(tmp_path / "run.toml")])
    assert (world, options.world.nodes) == ("cycle", 7)


def test_every_option_goes_through_toml_unchanged():
    for world in WORLDS:
        for model in MODELS:
            groups = option_groups(world, model)
            values = {}
            for _, _, default, _ in groups[1:]:  # the first are seeds, directory and the like
                values |= {key: value for key, value in vars(default).items() if value is not None}
            text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
            known = option_names(*[kind for _, kind, _, _ in groups])
            given = configuration_arguments(
                {key.replace("_", "-"): value for key, value in tomllib.loads(text).items()},
                known,
                path=Path("none.toml"),
            )
            _, options = read_arguments([world, "--model", model, *given])
            for name, _, default, _ in groups[1:]:
                assert vars(getattr(options, name)) == vars(default)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("widht = 3", r"The key 'widht' in .*run.toml is no option here; did you mean width\?"),
        ("steps = ", r"is not TOML .*; write lines like"),
        ("[training]\nsteps = 3", r"The key 'training' in .* is not a number, text or list"),
        ("steps = 'many'", r"error parsing --steps"),
    ],
)
def test_a_configuration_file_that_cannot_be_is_refused(tmp_path, capsys, content, complaint):
    (tmp_path / "run.toml").write_text(content)
    assert main(["memorize", "cycle", "--config", str(tmp_path / "run.toml")]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert re.search(complaint, stderr)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("steps = " + "9" * 5000, r"is not TOML \(Exceeds the limit"),
        ("seed-list = " + "[" * 5000, r"is not TOML \(maximum recursion depth"),
        ("steps = " + "9" * 30, "key 'steps' .* is a whole number beyond 64 bits; give a smaller one"),
        ("learning-rate = inf", "key 'learning-rate' .* is inf; give a finite number"),
        ("learning-rate = nan", "is nan; give a finite number"),
        ("steps = 2026-11-27", "is not a number, text or list of such"),
        ("[steps]\na = 1", "is not a number, text or list of such"),
        ("seed-list = [[1], [2]]", "is not a number, text or list of such"),
        ('device = "cpu\\u001b[31m"', r"is a text with the control character '\\x1b'"),
        ('world = "a\\u0000"', r"is a text with the control character '\\x00'"),
        (f'"{"x" * 3000}" = 1', "x{60}….* is no option here; remove it"),
        (f'directory = "{"x" * (1 << 20)}"', "is larger than 1,048,576 bytes; give a smaller file"),
        (b"steps = \xff", r"is not TOML \('utf-8' codec"),
    ],
)
def test_any_configuration_file_is_read_or_refused(tmp_path, capsys, content, complaint):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "run.toml").write_bytes(data)
    assert main(["memorize", "cycle", "--config", str(tmp_path / "run.toml")]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert re.search(complaint, stderr)
    assert len(stderr) < 1000


@pytest.mark.parametrize("name", ["a" * 300, "a\nb", "a\x1b[31mb", "M\udcfcller", "../" * 2000])
@pytest.mark.parametrize(
    "verb",
    [
        ["memorize"],
        ["learn"],
        ["paths"],
        ["construct", "--out", "m"],
        ["sweep", "--over", "width=2,3"],
        ["measure", "--embeddings", "v.npy", "--graph"],
    ],
    ids=lambda verb: verb[0],
)
def test_a_world_of_an_impossible_name_is_refused_in_one_line(tmp_path, capsys, monkeypatch, name, verb):
    monkeypatch.chdir(tmp_path)
    arguments = [*verb, name] if verb[0] == "measure" else [verb[0], name, *verb[1:]]
    assert main(arguments) == 2
    sentence = capsys.readouterr().err.removesuffix("\n")
    assert "is neither a built-in" in sentence
    assert len(sentence) < 500
    assert "\x1b" not in sentence
    assert "\n" not in sentence


def test_a_missing_configuration_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"There is no file .*missing.toml; give one"):
        read_configuration(tmp_path / "missing.toml")


# The other verbs.


def test_measure_prints_the_table_and_the_reading_with_its_rule(fleet, capsys):
    assert main(["measure", str(fleet.path)]) == 0
    shown = capsys.readouterr().out
    reading = measure_fleet(fleet).reading
    assert f"Reading: {reading}" in shown
    assert " ".join(READINGS[reading].split()) in " ".join(shown.split())
    assert "Geometric level" in shown
    assert "95 % interval" in shown


def test_measure_warns_of_what_it_finds_with_the_rule(tmp_path, capsys):
    broken = make_fleet(tmp_path, path_star(), seeds=(0, 1), diverged=(1,))
    assert main(["measure", str(broken.path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Warnings diverged 1 of 2 runs: training diverged" in printed
    assert SIGNATURES["diverged"] in printed
    assert main(["measure", str(broken.path), "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)["signatures"][0]
    assert entry["found"] == [False, True]
    assert entry["values"][1] is None
    assert entry["rule"] == SIGNATURES["diverged"]


def test_measure_as_json_is_json_without_nan(fleet, capsys):
    assert main(["measure", str(fleet.path), "--json"]) == 0

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    names = [entry["name"] for entry in found["measurements"]]
    assert "associative_accuracy" in names
    level = found["measurements"][names.index("geometric_level")]
    assert len(level["values"]) == 3
    assert level["mean"] == pytest.approx(np.mean(level["values"]))
    assert len(found["readings"]) == 3
    assert len(found["spectrum"]["energies"][0]) == len(found["spectrum"]["eigenvalues"])


def test_measure_of_somebody_elses_embeddings_needs_no_torch(tmp_path):
    angles = 2 * np.pi * np.arange(12) / 12
    np.save(tmp_path / "vectors.npy", np.stack([np.cos(angles), np.sin(angles)], axis=1))
    (tmp_path / "edges.tsv").write_text("".join(f"{node}\t{(node + 1) % 12}\n" for node in range(12)))
    arguments = [
        "measure",
        "--embeddings",
        str(tmp_path / "vectors.npy"),
        "--graph",
        str(tmp_path / "edges.tsv"),
    ]
    code = f"import sys; from geomem.cli import main; main({arguments!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Reading: geometric" in done.stdout
    assert "interval" not in done.stdout  # one embedding has no spread over seeds


def test_measure_matches_vectors_by_label_and_says_what_it_read(tmp_path, capsys):
    angles = 2 * np.pi * np.arange(15) / 15
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order = np.random.default_rng(0).permutation(15)
    lines = [
        f"n{node} {x!r} {y!r}" for node, (x, y) in zip(order.tolist(), ring[order].tolist(), strict=True)
    ]
    (tmp_path / "vectors.txt").write_text("\n".join(["16 2", *lines, "the 0 0"]))
    (tmp_path / "edges.csv").write_text("km,a,b\n" + "".join(f"5,n{at},n{(at + 1) % 15}\n" for at in order))
    arguments = ["measure", "--embeddings", str(tmp_path / "vectors.txt")]
    arguments += ["--graph", str(tmp_path / "edges.csv"), "--columns", "a,b", "--json"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["reading"] == "geometric"
    assert found["input"] == [
        "vectors.txt: 16 rows of width 2 (separated by blanks, word2vec's first line, labels in column 1).",
        "15 of 15 nodes found by label; 1 row belongs to no node and is left out (such as 'the').",
    ]
    assert all(note in printed.err for note in found["input"])
    assert "15 nodes, 15 edges" in printed.err


@pytest.mark.parametrize(
    "options", [["cycle"], ["cycle", "--nodes", "15"], ["path-star", "--arms", "2", "--length", "8"]]
)
def test_measure_by_position_says_the_order(tmp_path, capsys, options):
    angles = 2 * np.pi * np.arange(15) / 15
    np.save(tmp_path / "vectors.npy", np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert main(["measure", "--embeddings", str(tmp_path / "vectors.npy"), "--graph", *options]) == 0
    printed = capsys.readouterr()
    assert re.search(
        r"row 0 is '(0|root)', row 1 is '1(\.1)?', …, row 14 is '(14|2\.7)' \(\w+ order\)", printed.err
    )
    assert "Reading: geometric" in printed.out
    assert "Another order" not in printed.out


def test_measure_warns_beside_the_reading_of_an_order_that_fits_far_better(tmp_path, capsys):
    angles = 2 * np.pi * np.arange(15) / 15
    np.save(tmp_path / "vectors.npy", np.stack([np.cos(angles), np.sin(angles)], axis=1))
    order = np.random.default_rng(0).permutation(15)
    (tmp_path / "edges.tsv").write_text("".join(f"n{at}\tn{(at + 1) % 15}\n" for at in order))
    arguments = [
        "measure",
        "--embeddings",
        str(tmp_path / "vectors.npy"),
        "--graph",
        str(tmp_path / "edges.tsv"),
    ]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reading"] == "associative"
    assert any(
        note.startswith("Another order of the rows fits the graph far better: in natural")
        for note in found["notes"]
    )
    (tmp_path / "labels.txt").write_text("".join(f"n{at}\n" for at in range(15)))
    assert main([*arguments, "--labels", str(tmp_path / "labels.txt"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reading"] == "geometric"


def test_report_writes_one_file_and_prints_its_path(fleet, tmp_path, capsys):
    out = tmp_path / "my report.html"
    assert main(["report", str(fleet.path), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize(("verb", "names"), [("worlds", WORLDS | FACT_WORLDS), ("models", MODELS)])
def test_listings_name_everything(verb, names, capsys):
    assert main([verb]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(names)
    assert main([verb, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == list(names)
    assert all(entry["description"].endswith(".") for entry in listed.values())


def test_doctor_finds_this_installation_well(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("geomem.runs.pace.ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr("geomem.runs.environment.seen_cards", lambda: None)
    monkeypatch.setattr("torch.version.cuda", None)
    assert main(["doctor", "--directory", str(tmp_path), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("ok ") == 7
    speed = next(line for line in shown.splitlines() if line.startswith("ok     speed"))
    assert all(
        re.search(rf"\b{title} [\d,]+", speed)
        for title in ["Recall", *(kind.title for kind in MODELS.values())]
    )
    assert "All is well." in shown


def test_doctor_names_what_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("geomem.runs.pace.ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 5_000_000})())
    assert main(["doctor", "--directory", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    disk = next(line for line in lines if "disk" in line.split()[:2])
    assert disk.startswith("failed")
    assert "5.0 MB free" in disk
    assert lines[-1].endswith("of 7 checks failed.")


def test_doctor_notes_a_torch_that_does_not_fit_the_card(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("geomem.runs.pace.ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.version.cuda", None)
    monkeypatch.setattr("geomem.runs.environment.seen_cards", lambda: ("NVIDIA H100", "535.1"))
    assert main(["doctor", "--directory", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"note   torch .*; nvidia-smi sees NVIDIA H100, but torch is built without ", shown)
    assert main(["doctor", "--directory", str(tmp_path), "--device", "cuda"]) == 1
    shown = capsys.readouterr().out
    assert re.search(r"failed torch +device is 'cuda'; give cpu; .*NVIDIA H100", shown)
    assert shown.splitlines()[-1] == "3 of 7 checks failed."


def test_demo_makes_five_fleets_and_a_report(tmp_path):
    directory, out = str(tmp_path / "runs"), str(tmp_path / "a.html")
    command = [sys.executable, "-m", "geomem", "demo", "--seeds", "1", "--directory", directory, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == out
    assert "measuring 5 fleets" in done.stderr
    fleets = [read_run(path) for path in (tmp_path / "runs").iterdir()]
    assert len(fleets) == 5
    assert sum(fleet.graph.coordinates is not None for fleet in fleets) == 1


# What is seen on the way.


def progress_at(step, steps=1000):
    numbers = {"loss": 1.25, "associative_accuracy": 0.5, "geometric_level": -0.25, "top1_accuracy": 0.5}
    metrics = {name: np.array([value, value]) for name, value in numbers.items()}
    left = float("inf") if step == 0 else 75.0
    return Progress(step=step, steps=steps, seconds=4.0, seconds_left=left, metrics=metrics)


def announcement_of(tmp_path, first_step=0):
    job = edge_job(cycle(6), training=Training(steps=1000), seeds=2)
    job = replace(job, cost=replace(job.cost, memory_bytes=2_500_000), disk_bytes=900)
    return Announcement(job, tmp_path / "run", first_step)


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_table_fits_the_terminal(tmp_path, width):
    table = RunTable(console=Console(file=io.StringIO(), force_terminal=True, width=width))
    table.show(announcement_of(tmp_path))
    table.show(progress_at(500))
    table.show(announcement_of(tmp_path))
    table.show(progress_at(1000))
    console = Console(file=io.StringIO(), width=width)
    console.print(table.render())
    header, first, second = console.file.getvalue().splitlines()
    for title in ("world", "model", "runs", "step", "loss", "recall", "level", "time", "left"):
        assert title in header
    for cell in ("cycle-6", "transformer", "500/1000", "1.250", "0.500", "-0.250", "1:15"):
        assert cell in first
    assert second.rstrip().endswith("done")
    assert max(map(len, (header, first, second))) <= width


def test_fleets_trained_before_are_named_and_not_trained(fleet, capsys):
    again = ["memorize", "path-star", "--arms", "3", "--length", "3", "--model", "bilinear", "--width", "6"]
    assert main([*again, "--steps", "20", "--directory", str(fleet.path.parent)]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(fleet.path)
    assert printed.err == f"already trained: {fleet.path}\n"


def test_without_a_terminal_there_are_few_plain_lines(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    with RunTable(console=console) as table:
        table.show(announcement_of(tmp_path, first_step=400))
        for step in range(400, 1001, 10):
            table.show(progress_at(step))
    lines = console.file.getvalue().splitlines()
    said = "cycle-6: 6 nodes, 12 facts; 2.5 MB memory, 900 B disk; transformer, 2 runs, 1000 steps"
    assert lines[0] == said
    assert lines[1] == "going on from the checkpoint at step 400"
    assert lines[-1] == "step 1000/1000: loss 1.250, recall 0.500, level -0.250, 4.0 s"
    assert len(lines) <= 4
    assert "\x1b" not in console.file.getvalue()


def test_a_quiet_table_says_nothing(tmp_path):
    console = Console(file=io.StringIO())
    with RunTable(quiet=True, console=console) as table:
        table.show(announcement_of(tmp_path))
        table.show(progress_at(10))
        table.say("anything")
    assert console.file.getvalue() == ""


def test_ctrl_c_is_one_line_and_status_130(tmp_path, capsys, monkeypatch):
    def interrupt(self, event):
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    monkeypatch.setattr(RunTable, "show", interrupt)
    assert main(["memorize", "cycle", "--model", "node2vec", "--directory", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "geomem: interrupted; the same command starts again\n"


def test_ctrl_c_before_the_first_step_is_one_word(tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("geomem.runs.train.measure_pace", interrupt)
    assert main(["memorize", "cycle", "--model", "node2vec", "--directory", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "geomem: interrupted\n"


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m geomem worlds --json | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_memorize_goes_on_from_a_run(tmp_path, capsys):
    common = ["cycle", "--nodes", "6", "--directory", str(tmp_path), "--quiet"]
    assert main(["memorize", *common, "--width", "8", "--steps", "5", "--seed-list", "3"]) == 0
    first = capsys.readouterr().out.strip()
    assert main(["memorize", *common, "--start", first, "--steps", "6"]) == 0
    second = read_run(capsys.readouterr().out.strip())
    assert (second.seeds, second.model.width) == ((3,), 8)
    assert main(["memorize", *common, "--start", first, "--model", "mamba"]) == 2
    assert "is of a transformer and not of a mamba; leave --model out" in capsys.readouterr().err
