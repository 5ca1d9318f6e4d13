"""`geomem learn` and `geomem measure` of memories: what is printed for people and scripts, every mistake."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from geomem.cli import main
from geomem.cli.learn import ModelOptions, choose_model, describe_learned, option_groups, read_arguments
from geomem.cli.measure import print_memory
from geomem.cli.options import option_names
from geomem.cli.progress import FACT_COLUMNS, RunTable
from geomem.errors import InputError
from geomem.measure.facts import measure_memory
from geomem.memories.answers import recalled_facts
from geomem.memories.construct import construct_memory
from geomem.models.configuration import Recall
from geomem.models.recall import count_trained
from geomem.runs.facts import COMFORTABLE_BITS, default_recall_model, fact_job, learn_facts
from geomem.runs.run import memory_size, read_run
from geomem.runs.train import Announcement
from geomem.training.configuration import RecallTraining
from geomem.training.loop import Progress
from geomem.worlds.catalogue import FACT_WORLDS
from geomem.worlds.facts.families import random_bijections, random_permutations
from geomem.worlds.facts.table import entropy_bits

QUICK = ["--seeds", "2", "--steps", "150", "--warmup-steps", "4", "--learning-rate", "0.03"]
TOWNS = "Italy\tborders\tFrance\nItaly\tborders\tAustria\nItaly\tcapital\tRome\nFrance\tcapital\tParis\n"


@pytest.fixture
def learn(tmp_path, capfd):
    """Run `geomem learn`; give the memory, the lines on standard output, and all of standard error."""

    def run(*arguments):
        command = ["learn", *map(str, arguments), "--directory", str(tmp_path / "runs")]
        assert main(command) == 0
        printed = capfd.readouterr()
        lines = printed.out.splitlines()
        return read_run(lines[-1]), lines, printed.err

    return run


@pytest.fixture
def towns(tmp_path):
    file = tmp_path / "towns.tsv"
    file.write_text(TOWNS, encoding="utf-8")
    return file


def test_a_file_is_learned_and_asked(learn, towns, capfd):
    command = [towns, "--several", *QUICK]
    memory, lines, said = learn(*command)
    assert recalled_facts(memory).all()
    assert lines[0] == "recall 100 % of 4 facts, all of them in 2 of 2 runs, width 8, 32 neurons"
    assert "towns: 4 facts about 2 subjects; width 8, 32 neurons, 2 runs, 150 steps" in said
    assert (
        "1 of 2 relations has up to 2 answers; it is asked as 'borders', 'borders (2)'." in said
    )  # what --several made of the file
    assert "step 150/150: loss 0.0" in said
    for question, answer in ((["France", "capital"], "Paris"), (["Italy", "borders"], "Austria\tFrance")):
        assert main(["ask", lines[-1], *question]) == 0
        assert sorted(capfd.readouterr().out.split()) == answer.split()
    again, lines, said = learn(*command)
    assert again.path == memory.path
    assert f"already trained: {memory.path}" in said
    assert learn(*command, "--quiet")[1:] == ([str(memory.path)], "")


def test_options_reach_the_training_of_python(learn, tmp_path):
    """The same memory, to the bit, as `learn_facts` makes of the same settings, from options and a file."""
    settings = tmp_path / "settings.toml"
    settings.write_text(
        'facts = "random-permutations"\nentities = 6\nrelations = 2\nsteps = 30\nhops = 2\nseed_list = [7]\n'
        'width = 10\nfrozen = ["subjects"]\nwarmup-steps = 3\n'
    )
    memory, lines, _ = learn("--config", settings, "--width", "12", "--world-seed", "5")
    expected = learn_facts(
        random_permutations(6, 2, world_seed=5),
        model=Recall(width=12, mlp_width=48, hops=2, frozen=("subjects",)),
        training=RecallTraining(steps=30, warmup_steps=3),
        seeds=[7],
        directory=tmp_path / "python",
    )
    assert memory.path.name == expected.path.name
    weights = expected.weights()
    for name, array in memory.weights().items():
        np.testing.assert_array_equal(array, weights[name])
    assert lines[0].split(" %")[1].startswith(" of 24 chains of 2 relations, all of them in ")


def test_what_is_not_recalled_is_not_rounded_away(learn):
    memory, lines, said = learn("random-bijections", "--subjects", "12", *QUICK, "--steps", "6")
    share = recalled_facts(memory).mean()
    assert share < 1
    printed = float(lines[0].removeprefix("recall ").partition(" %")[0])
    assert 0 <= 100 * share - printed < 0.1
    assert "all of them in 0 of 2 runs" in describe_learned(memory)
    assert "2 of 2 runs did not learn every fact; try more --steps or a greater --width" in said


@pytest.mark.parametrize("mlp_width", [None, 0, 40])
def test_sizes_left_open_are_the_smallest_that_hold_the_facts(mlp_width):
    table = random_bijections(200, 6)
    model = choose_model(ModelOptions(mlp_width=mlp_width, attention="uniform"), table)
    assert model.attention == "uniform"
    assert model.mlp_width == (4 * model.width if mlp_width is None else mlp_width)
    neurons = 4 * (model.width - 1) if mlp_width is None else mlp_width
    narrower = Recall(width=model.width - 1, mlp_width=neurons, attention="uniform")
    bits = [entropy_bits(table) / count_trained(own, memory_size(table)) for own in (narrower, model)]
    assert bits[0] > COMFORTABLE_BITS >= bits[1]
    assert choose_model(ModelOptions(width=9), table) == Recall(width=9, mlp_width=36)


def test_a_model_with_nothing_to_train_has_no_width_of_its_own():
    settings = Recall(attention="none", frozen=("subjects", "relations", "objects"))
    with pytest.raises(InputError, match="frozen, so no width can be chosen"):
        default_recall_model(random_bijections(4, 1), settings=settings, mlp_width=0)


def test_no_table_has_an_option_that_another_group_has():
    for facts in FACT_WORLDS:
        names = option_names(*[kind for _, kind, _, _ in option_groups(facts)])
        assert {"--width", "--hops", "--steps", "--seeds", "--several"} <= names.keys()


def test_settings_of_a_file_give_way_to_the_command_line(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("facts = 'countries'\nsteps = 5\nseeds = 2\n")
    facts, options = read_arguments(["many-to-one", "--config", str(file), "--seeds", "4", "--objects", "3"])
    assert (facts, options.facts.objects) == ("many-to-one", 3)
    assert (options.training.steps, options.memory.seeds) == (5, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give facts first"),
        (["--steps", "5"], "Give facts first"),
        (["random-bijection", "--subjects", "4"], "did you mean random-bijections or"),
        (["countries", "--stepz", "4"], "did you mean --steps?"),
        (["countries", "--steps", "0"], "steps is 0"),
        (["countries", "--width", "0"], "width is 0"),
        (["countries", "--mlp-width", "-1"], "mlp_width is -1"),
        (["countries", "--hops", "2", "--attention", "none"], "only a head knows the order"),
        (["countries", "--tied"], "the objects of 'countries' are others"),
        (["countries", "--seeds", "0"], "seeds is 0"),
        (["countries", "--device", "gpu"], "device is 'gpu'"),
        (["countries", "--batch-subjects", "900"], "the table has 195 subjects"),
        (["countries", "--width", "4000000"], "TB of memory, "),
        (["random-bijections", "--subjects", "0"], "subjects is 0"),
        (["TOWNS"], "--several on the command line"),
        (["TOWNS", "--subjects", "3"], "--subjects"),
        (["--config", "SETTINGS"], "The key 'stepz'"),
        (["countries", "--config", "missing.toml"], "There is no file missing.toml; give one that exists"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    arguments: list[str], message, towns, tmp_path, capfd, monkeypatch
):
    settings = tmp_path / "settings.toml"
    settings.write_text("facts = 'countries'\nstepz = 3\n")
    monkeypatch.chdir(tmp_path)
    places = {"TOWNS": str(towns), "SETTINGS": str(settings)}
    before = sorted(tmp_path.rglob("*"))
    assert main(["learn", *[places.get(given, given) for given in arguments]]) == 2
    printed = capfd.readouterr()
    *_, sentence = printed.err.splitlines()
    assert sentence.startswith("geomem: ")
    assert message in sentence
    assert printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def announcement(*, first_step=0, finished=False) -> Announcement:
    training = RecallTraining(steps=80)
    model = Recall(width=8, mlp_width=32)
    job = fact_job(random_bijections(4, 2), model=model, training=training, seeds=2)
    job = dataclasses.replace(
        job, cost=dataclasses.replace(job.cost, memory_bytes=3_000_000), disk_bytes=5_000
    )
    return Announcement(job, Path("runs/memory"), 80 if finished else first_step)


def progress_at(step, *, loss=(1.0, 2.0), recall=(0.5, 1.0)) -> Progress:
    metrics = {"loss": np.array(loss), "recall": np.array(recall), "margin": np.array([-0.25, 3.0])}
    return Progress(step, 80, seconds=4.0, seconds_left=36.0, metrics=metrics)


def cells_of(table: RunTable) -> dict[str, str]:
    drawn = table.render()
    return {str(column.header): str(next(iter(column.cells))) for column in drawn.columns}


def test_the_live_table_shows_means_and_the_lowest_margin():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with RunTable(console=console) as table:
        assert cells_of(table) == {}
        table.show(announcement(first_step=16))
        assert cells_of(table)["step"] == "16/80"
        table.show(progress_at(40))
        cells = cells_of(table)
        del cells["time"]
        assert cells == {
            "step": "40/80",
            "loss": "1.500",
            "recall": "0.750",
            "margin": "-0.250",
            "left": "36 s",
        }
        table.show(progress_at(80))
        assert (cells_of(table)["time"], cells_of(table)["left"]) == ("4.0 s", "done")
    kept = RunTable(console=console)
    kept.show(announcement(finished=True))
    assert cells_of(kept) == {
        **dict.fromkeys(FACT_COLUMNS.numbers, ""),
        "step": "80/80",
        "time": "kept",
        "left": "",
    }


def test_without_a_terminal_the_first_and_the_last_row_are_lines():
    output = io.StringIO()
    with RunTable(console=Console(file=output, width=40)) as table:
        table.show(announcement(first_step=16))
        for step in (16, 40, 80):
            table.show(progress_at(step))
    numbers = "loss 1.500, recall 0.750, margin -0.250, 4.0 s"
    assert output.getvalue().splitlines()[1:] == [
        "0.01 bits of facts per weight, where about 1.4 is the most that fits; 3.0 MB memory, 5.0 kB disk",
        "going on from the checkpoint at step 16",
        f"step 16/80: {numbers}, 36 s left",
        f"step 80/80: {numbers}",
        "1 of 2 runs did not learn every fact; try more --steps or a greater --width",
    ]


def test_runs_that_diverged_are_said_to_have():
    output = io.StringIO()
    with RunTable(console=Console(file=output, width=200)) as table:
        table.show(announcement())
        table.show(progress_at(80, loss=(1.0, float("nan"))))
    assert (
        "1 of 2 runs diverged (loss is NaN or infinite); try a smaller --learning-rate" in output.getvalue()
    )
    assert "did not learn" not in output.getvalue()


def test_measure_takes_a_trained_memory(learn, capfd):
    memory, lines, _ = learn(
        "random-bijections", "--subjects", "6", "--relations", "2", *QUICK, "--seed-list", "3"
    )
    assert main(["measure", lines[-1], "--seed", "2", "--json"]) == 0
    (found,) = json.loads(capfd.readouterr().out)["runs"]
    expected = measure_memory(memory, seed=2).row(0, named=True)
    assert found == {name: value if value == value else None for name, value in expected.items()}
    assert (found["seed"], found["recall"]) == (3, recalled_facts(memory).mean())


def test_the_table_of_a_memory_has_the_range_over_its_runs(capsys):
    columns = {
        "run": [0, 1],
        "seed": [3, 4],
        "width": [8, 8],
        "recall": [0.5, 1.0],
        "steps": [2.0, float("nan")],
    }
    print_memory(pl.DataFrame(columns), "a title")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["a", "title"],
        ["measurement", "mean", "lowest", "highest"],
        ["width", "8", "8", "8"],
        ["recall", "0.750", "0.500", "1.000"],
        ["steps", "-", "-", "-"],
    ]


def test_measure_takes_a_memory_written_down(tmp_path, capfd):
    memory = construct_memory(random_bijections(12, 2), tmp_path / "memory")
    assert main(["measure", str(memory.path), "--seed", "1"]) == 0
    title, header, *rows = capfd.readouterr().out.splitlines()
    assert (title, header.split()) == ("memory", ["measurement", "value"])
    assert {"recall", "1.000"} in [set(row.split()) for row in rows]


def test_a_memory_that_is_damaged_or_unfinished_is_not_measured(tmp_path, capfd):
    path = construct_memory(random_bijections(4, 2), tmp_path / "memory").path
    weights = path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert main(["measure", str(path)]) == 2
    assert "weights.safetensors" in capfd.readouterr().err
    assert main(["measure", str(path), "--graph", "cycle"]) == 2
    assert "Give either a run directory" in capfd.readouterr().err
    (path / "DONE").unlink()
    assert main(["measure", str(path)]) == 2
    assert "unfinished" in capfd.readouterr().err
