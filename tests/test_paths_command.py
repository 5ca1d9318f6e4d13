"""`geomem paths`: options, presets, staged starts, the table; what is refused before anything is written."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from geomem.cli import main
from geomem.cli.paths import IN_CONTEXT, read_arguments
from geomem.cli.progress import PATH_COLUMNS, RunTable
from geomem.errors import InputError
from geomem.models.configuration import Bilinear, Mamba, Transformer, path_models
from geomem.models.parameters import CHUNK_NUMBERS
from geomem.runs.path_cost import cost_with_chunks, estimate_path_cost
from geomem.runs.paths import find_paths, path_job, path_sizes
from geomem.runs.presets import PATH_PRESETS, find_preset
from geomem.runs.run import read_run
from geomem.runs.train import Announcement, check_memory
from geomem.training.configuration import PathTraining, Training, check_training
from geomem.training.loop import Progress
from geomem.worlds.catalogue import WORLDS
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding, edge_rows, path_rows, split_paths

WORLD = ["path-star", "--arms", "12", "--length", "3"]
QUICK = [
    "--layers",
    "1",
    "--width",
    "8",
    "--heads",
    "2",
    "--epochs",
    "2",
    "--batches",
    "2",
    "--warmup-steps",
    "1",
]
QUICK += ["--seeds", "2"]


@pytest.fixture
def paths(tmp_path, capfd):
    """Run `geomem paths` in an empty directory; give the fleet and what was said."""

    def run(*arguments):
        command = ["paths", *map(str, arguments), "--directory", str(tmp_path / "runs")]
        assert main(command) == 0
        printed = capfd.readouterr()
        return read_run(printed.out.splitlines()[-1]), printed.err

    return run


@pytest.fixture
def refused(tmp_path, capfd):
    """Run `geomem paths` on what must be refused in one sentence, with nothing written; give the sentence."""

    def run(*arguments):
        before = sorted(tmp_path.rglob("*"))
        assert main(["paths", *map(str, arguments), "--directory", str(tmp_path / "runs")]) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("geomem: ")
        assert printed.err.count("\n") == 1
        assert printed.err.rstrip().endswith((".", "?"))
        assert sorted(tmp_path.rglob("*")) == before
        return printed.err.removeprefix("geomem: ").rstrip()

    return run


def test_options_of_every_group_reach_the_run_directory(paths):
    options = ["--target", "reverse", "--pauses", "1", "--edge-weight", "2", "--held-out", "0.5"]
    fleet, said = paths(*WORLD, "--world-seed", "4", *options, *QUICK, "--learning-rate", "0.002")
    assert fleet.graph.digest == path_star(12, 3, world_seed=4).digest
    assert fleet.seeds == (0, 1)
    configuration = fleet.manifest["configuration"]
    task = PathFinding(target="reverse", pauses=1, edge_weight=2.0, held_out=0.5)
    for name, value in vars(task).items():
        assert configuration["task"][name] == value
    model = Transformer(layers=1, width=8, heads=2, position_scale=0.02)
    assert configuration["model"] == {"kind": "transformer", **vars(model)}
    headline = PATH_PRESETS["headline"].training
    training = replace(headline, epochs=2, batches=2, warmup_steps=1, learning_rate=0.002)
    assert configuration["training"] == vars(training)
    assert "12" in said
    lines = said.splitlines()
    assert lines[0] == "path-star-12-3-seed4: 25 nodes, 48 edges and 6 paths an epoch; transformer, 2 runs"
    assert lines[1].startswith("about ")
    assert " for 2 epochs at most, " in lines[1]
    assert lines[1].endswith(" disk")
    assert lines[-1].startswith("epoch 2/2: loss ")
    assert "first hop" in lines[-1]


def test_the_same_command_again_trains_nothing(paths):
    first, _ = paths(*WORLD, *QUICK)
    again, said = paths(*WORLD, *QUICK)
    assert again.path == first.path
    assert said == f"already trained: {first.path}\n"
    _, nothing = paths(*WORLD, *QUICK, "--quiet")
    assert nothing == ""


def test_it_stops_at_the_accuracy_asked_for(paths):
    fleet, said = paths(*WORLD, *QUICK, "--path-weight", "0", "--stop-at", "1e-9", "--epochs", "60")
    assert fleet.steps[-1] < 120
    assert "epoch 60/60" not in said


@pytest.mark.parametrize("model", ["transformer", "mamba"])
def test_staged_training_goes_on_from_a_stored_run(paths, model):
    """The same world, model and seeds without being told; other batches, other target, no edges."""
    width = ["--layers", "1", "--width", "8", "--warmup-steps", "1"]
    edges, _ = paths(
        *WORLD, "--model", model, *width, "--path-weight", "0", "--epochs", "2", "--seed-list", "5", "3"
    )
    rest = ["--target", "first-hop", "--edge-weight", "0", "--epochs", "1", "--learning-rate", "0"]
    staged, _ = paths("--start", edges.path, *rest, "--batches", "2", "--warmup-steps", "1")
    assert staged.graph.digest == edges.graph.digest
    assert staged.seeds == (5, 3)
    assert staged.manifest["configuration"]["model"] == edges.manifest["configuration"]["model"]
    assert staged.manifest["configuration"]["start"] == edges.manifest["hash"]
    # Without a learning rate nothing but the weight decay, which it multiplies, would change a weight.
    np.testing.assert_array_equal(staged.weights()["token_embedding"], edges.weights()["token_embedding"])


def test_in_context(paths):
    fleet, said = paths(
        IN_CONTEXT, "--arms", "2", "--length", "3", "--node-tokens", "9", "--prompts", "8", *QUICK
    )
    assert fleet.graph.name == "in-context-2-3"
    assert fleet.graph.node_count == 9
    assert fleet.manifest["configuration"]["task"]["kind"] == "in-context-path-finding"
    assert "16 prompts an epoch" in said


def test_a_file_of_options_and_the_command_line_before_it(paths, tmp_path):
    file = tmp_path / "paths.toml"
    lines = [
        'world = "tree-star"',
        "arms = 4",
        "length = 3",
        'split = "first-hop"',
        "self-edges = true",
        "pauses = 2",
    ]
    lines += [
        "layers = 1",
        "width = 8",
        "heads = 1",
        "epochs = 2",
        "batches = 2",
        "warmup_steps = 1",
        "seeds = 1",
    ]
    file.write_text("\n".join(lines))
    fleet, _ = paths("--config", file, "--pauses", "0")
    task = fleet.manifest["configuration"]["task"]
    assert fleet.graph.name == "tree-star-4-3-seed0"
    assert (task["split"], task["self_edges"], task["pauses"]) == ("first-hop", True, 0)


def test_without_a_preset_the_options_are_those_of_the_headline():
    preset = PATH_PRESETS["headline"]
    for command in (["path-star"], ["--preset", "headline"]):
        job = read_arguments(command)
        assert isinstance(job.world, Graph)
        assert job.world.digest == path_star(preset.arms, preset.length).digest
        assert (job.task, job.training, job.model) == (
            preset.task,
            preset.training,
            preset.models["transformer"],
        )
    # The command of the README.
    same = read_arguments(["path-star", "--arms", "1000", "--length", "4", "--layers", "2", "--width", "128"])
    assert isinstance(same.world, Graph)
    assert same.world.digest == path_star(1000, 4).digest
    assert (same.model, same.training) == (replace(preset.models["transformer"], width=128), preset.training)


@pytest.mark.parametrize("name", PATH_PRESETS)
def test_presets_are_runs_that_can_be_planned(name):
    preset = find_preset(name)
    check_training(preset.training)
    world = path_star(preset.arms, preset.length)
    for kind, model in preset.models.items():
        settings = {"model": model, "task": preset.task, "training": preset.training}
        plan = path_job(world, **settings, interventions=preset.interventions, seeds=1)
        assert plan.kind == kind
        assert ("treatment" in plan.configuration) == bool(preset.interventions)
        sizes = path_sizes(world, preset.task)
        assert sizes.held_out_rows == preset.arms // 4
        assert sizes.context_length == 2 + preset.task.pauses + preset.length - 1


def test_a_preset_brings_its_interventions_and_the_command_line_takes_them_away():
    preset = PATH_PRESETS["paper-5000x5-fast"]
    assert preset.interventions == ("strong-dirichlet",)
    for given, chosen in (
        ((), preset.interventions),
        (("--intervene",), ()),
        (("--intervene", "noise", "muon"), ("noise", "muon")),
    ):
        assert read_arguments(["--preset", "paper-5000x5-fast", *given]).options.intervene == chosen
    assert read_arguments(["--preset", "headline"]).options.intervene == ()


def test_an_unknown_intervention_is_refused_before_anything_is_written(tmp_path, capsys):
    assert (
        main(["paths", "path-star", *QUICK, "--intervene", "nois", "--directory", str(tmp_path / "runs")])
        == 2
    )
    assert "'nois' is not an intervention; did you mean noise?" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "width", "parameters", "vocabulary"),
    [
        ("paper-5000x5", 384, 29.0e6, 20_010),
        ("paper-10000x6", 384, 40.5e6, 50_010),
        ("paper-10000x10", 784, 159e6, 90_010),
    ],
)
def test_presets_of_the_paper_have_its_sizes(name, width, parameters, vocabulary):
    """Table 1 (B.0.5) and the counts of B.0.3."""
    preset = find_preset(name)
    assert set(preset.models) == {"transformer", "mamba"}
    transformer, mamba = preset.models["transformer"], preset.models["mamba"]
    assert isinstance(transformer, Transformer)
    assert isinstance(mamba, Mamba)
    assert (transformer.layers, transformer.width, transformer.heads) == (12, width, 8)
    assert transformer.positions == "sinusoidal"
    assert (mamba.layers, mamba.width, mamba.state_size, mamba.convolution, mamba.expansion) == (
        12,
        width,
        16,
        4,
        2,
    )
    assert preset.training.learning_rate == 5e-5
    assert preset.training.weight_decay == 0.01
    plan = path_job(
        path_star(preset.arms, preset.length),
        model=transformer,
        task=preset.task,
        training=preset.training,
        seeds=1,
    )
    sizes = path_sizes(plan.world, preset.task)
    assert sizes.vocabulary_size == vocabulary
    assert plan.cost.trained_parameters == pytest.approx(parameters, rel=0.01)
    # Facts and training paths of an epoch, in batches of 1,024.
    examples = 2 * plan.world.edge_count + sizes.train_rows
    assert preset.training.batches == -(-examples // 1024)


def test_the_middle_preset_of_the_paper_fits_a_laptop():
    preset = find_preset("paper-10000x6")
    for model in preset.models.values():
        plan = path_job(
            path_star(10_000, 6), model=model, task=preset.task, training=preset.training, seeds=1
        )
        assert plan.cost.memory_bytes < 8 * 2**30


def test_sizes_are_those_of_the_rows():
    world = path_star(40, 4)
    for task in (
        PathFinding(),
        PathFinding(target="first-hop", pauses=0),
        PathFinding(directions="forward", self_edges=True),
    ):
        sizes = path_sizes(world, task)
        train, held_out = split_paths(world, task)
        rows = path_rows(world, task, train)
        assert (sizes.train_rows, sizes.held_out_rows) == (len(train), len(held_out))
        assert (sizes.context_length, sizes.read) == (rows.inputs.shape[1], rows.targets.shape[1])
        assert sizes.edge_rows == len(edge_rows(world, task).prefixes)
    assert path_sizes(world, PathFinding(edge_weight=0.0)).edge_rows == 0
    assert path_sizes(world, PathFinding(path_weight=0.0)).train_rows == 0


def test_the_estimate_grows_with_what_it_is_made_of():
    sizes = path_sizes(path_star(100, 4), PathFinding())
    model, training = path_models()["transformer"], PathTraining()
    cost = estimate_path_cost(model, sizes, training, run_count=1)
    double = estimate_path_cost(model, sizes, training, run_count=2)
    assert double.flops_per_step == pytest.approx(2 * cost.flops_per_step, rel=1e-6)
    assert cost.memory_bytes < double.memory_bytes < 2 * cost.memory_bytes
    small = estimate_path_cost(model, sizes, replace(training, micro_batches=4), run_count=1)
    assert small.memory_bytes < cost.memory_bytes
    assert small.flops_per_step == pytest.approx(cost.flops_per_step, rel=1e-6)


def test_memory_does_not_grow_with_batch_times_vocabulary():
    """A batch of twice the rows takes its own activations, and none of the logits these would have."""
    model = path_models()["transformer"]
    sizes = replace(path_sizes(path_star(1000, 4), PathFinding()), vocabulary_size=50_000, node_count=49_991)
    half, whole = (
        estimate_path_cost(model, sizes, PathTraining(batches=batches), run_count=1).memory_bytes
        for batches in (2, 1)
    )
    more_rows = (sizes.train_rows * sizes.read + sizes.edge_rows) / 2
    assert 0 < whole - half < 0.2 * 4 * more_rows * sizes.vocabulary_size


def test_a_card_that_holds_more_logits_at_a_time_is_said_to_need_more_memory():
    sizes = path_sizes(path_star(1000, 4), PathFinding())
    cost = estimate_path_cost(path_models()["transformer"], sizes, PathTraining(), run_count=100)
    (_, asked), (_, decoded) = cost.logit_copies
    assert decoded == 100 * sizes.held_out_rows * sizes.vocabulary_size
    whole = cost_with_chunks(cost, 1 << 40)
    assert whole.memory_bytes - cost.memory_bytes == 4 * (max(3 * asked, 8 * decoded) - 8 * CHUNK_NUMBERS)
    assert cost_with_chunks(cost, CHUNK_NUMBERS) == cost


@pytest.mark.parametrize("world", ["grid", "cycle", "irregular", "karate-club", "path"])
def test_worlds_on_which_path_finding_is_ill_posed(refused, world):
    assert refused(world, *QUICK).startswith("Path finding is ill-posed on '")
    reason = (
        "it has no root that every path starts from"
        if world == "path"
        else "it has a cycle, so that more than one path"
    )
    assert reason in refused(world, *QUICK)


@pytest.mark.parametrize("share", ["0", "1", "-0.5", "nan"])
def test_a_share_that_leaves_nothing_to_train_or_to_test(refused, share):
    assert f"held_out is {float(share)}; give a share above 0 and below 1" in refused(
        *WORLD, "--held-out", share
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Give a world first, as in `geomem paths path-star`, or --preset"),
        (["path-str"], "did you mean path-star"),
        (["--preset", "headlin"], "'headlin' is not a preset; did you mean headline?"),
        (["--preset", "paper-10000x7"], "is not a preset; did you mean paper-10000x"),
        (["--preset", "nothing"], "is not a preset; give one of headline, length-6"),
        (
            ["tree-star", "--preset", "headline"],
            "The preset 'headline' is one of path-star and not of tree-star",
        ),
        (["--preset", "headline", "--model", "mamba"], "has no setting for mamba; give --model transformer"),
        ([*WORLD, "--model", "node2vec"], "'node2vec' cannot find paths; give transformer or mamba"),
        ([*WORLD, "--target", "leaf"], "invalid choice 'leaf'"),
        ([*WORLD, "--edge-weight", "0", "--path-weight", "0"], "edge_weight and path_weight are both 0"),
        ([*WORLD, "--pauses", "-1"], "pauses is -1"),
        ([*WORLD, "--epochs", "0"], "epochs is 0"),
        ([*WORLD, "--stop-at", "1.5"], "stop_at is 1.5; give a share from 0"),
        (
            [*WORLD, "--warmup-steps", "5000"],
            "warmup_steps is 5000 and 200 epochs of 16 batches are 3200 steps",
        ),
        (
            [*WORLD, "--batches", "10"],
            "but there are only 9 training paths; give fewer of either, or more arms",
        ),
        (
            [*WORLD, "--micro-batches", "5"],
            "batches is 16 and micro_batches 5, but there are only 9 training paths",
        ),
        (
            ["path-star", "--arms", "2", "--length", "3"],
            "micro_batches 1, but there is only 1 training path; give fewer",
        ),
        (["path-star", "--arms", "1"], "has only one leaf, and some have to be held out; give more arms"),
        ([*WORLD, "--heads", "3"], "heads must divide width"),
        ([*WORLD, "--stepz", "3"], "unrecognized"),
        ([IN_CONTEXT, "--arms", "20"], "has 81 nodes but node_tokens is 50; give node_tokens of at least 81"),
        ([IN_CONTEXT, "--pauses", "3"], "unrecognized"),
        (
            [*WORLD, "--batches", "3", "--precision", "bfloat16"],
            "precision is 'bfloat16' and device 'cpu', where it is slower",
        ),
        (
            [*WORLD, "--batches", "3", "--precision", "tf32"],
            "precision is 'tf32' and device 'cpu', which has no such numbers; give --precision float32",
        ),
        (
            [IN_CONTEXT, "--prompts", "2", "--micro-batches", "3"],
            "a batch has 2 prompts; give fewer micro-batches",
        ),
        ([*WORLD, "--start", "nowhere"], "nowhere does not exist; give a run directory"),
        ([*WORLD, "--config", "nowhere.toml"], "There is no file nowhere.toml; give one that exists"),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_sentence(refused, arguments, complaint):
    assert complaint in refused(*arguments)


@pytest.mark.parametrize("model", ["transformer", "mamba"])
def test_more_arms_than_memory_allows_are_refused_with_the_estimate(refused, model):
    """Some ten terabytes of embeddings; no row of tokens and no tensor is made before."""
    sizes = ["--arms", "5000", "--length", "4", "--width", "65536", "--layers", "1", "--seeds", "400"]
    sentence = refused("path-star", *sizes, "--model", model)
    assert re.match(
        r"Training on 'path-star-5000-4-seed0' with 400 runs needs about [\d.]+ TB of memory, "
        r".* are free; use fewer arms, fewer seeds, a smaller width or more micro-batches\.",
        sentence,
    )


def test_memory_is_checked_against_the_estimate():
    plan = path_job(path_star(12, 3), seeds=1)
    check_memory(plan, plan.cost.memory_bytes)
    with pytest.raises(InputError, match=r"with 1 run needs about .* of memory, .* are free"):
        check_memory(plan, plan.cost.memory_bytes - 1)


def test_a_run_to_start_from_that_does_not_fit(refused, paths):
    stored, _ = paths(*WORLD, *QUICK, "--epochs", "1", "--batches", "3", "--quiet")
    start = ["--start", stored.path, "--batches", "3"]
    other_world = refused("path-star", "--arms", "12", "--length", "4", *start)
    assert f"The run {stored.path} has another vocabulary, that of 'path-star-12-3-seed0'" in other_world
    assert "has another vocabulary" in refused(*WORLD, "--world-seed", "1", *start)
    assert "has the seeds 0, 1 and not 2; start runs of seeds that it has" in refused(
        *WORLD, *start, "--seeds", "3"
    )
    wider = refused(*WORLD, *start, "--width", "16")
    assert "has model width 8 and this one 16; leave the model's options out" in wider
    assert "is of a transformer and not of a mamba; leave --model out" in refused(*start, "--model", "mamba")
    # A world named beside the run has its own defaults, not the headline's.
    for world, name in ((IN_CONTEXT, "in-context-2-5"), ("tree-star", "tree-star-3-4-seed0")):
        assert f"than '{name}'; start from a run on the same world" in refused(world, *start)
    memory = stored.path.parent / "memory"
    memory.mkdir()
    (memory / "facts.json").write_text("{}")
    assert "holds facts and no graph; start from a run of paths or edges" in refused("--start", memory)


def test_a_start_is_refused_in_python_too(tmp_path):
    from geomem.runs.edges import memorize

    stored = memorize(
        path_star(12, 3), model=Bilinear(width=6), training=Training(steps=2), seeds=1, directory=tmp_path
    )
    with pytest.raises(InputError, match="is of a bilinear, which cannot find paths"):
        path_job(path_star(12, 3), start=stored)
    with pytest.raises(InputError, match=r"'bilinear' cannot find paths; give one of transformer, mamba"):
        path_job(path_star(12, 3), model="bilinear")
    with pytest.raises(InputError, match="The task is given twice"):
        path_job(InContextPathFinding(), task=PathFinding())
    with pytest.raises(InputError, match="ill-posed on 'cycle-15'"):
        find_paths(cycle(), directory=tmp_path)


def test_frozen_embeddings_may_start_from_trained_ones(paths):
    stored, _ = paths(*WORLD, *QUICK)
    frozen, _ = paths("--start", stored.path, "--frozen-embeddings", *QUICK[6:])
    assert frozen.manifest["configuration"]["model"]["frozen_embeddings"] is True
    np.testing.assert_array_equal(frozen.weights()["token_embedding"], stored.weights()["token_embedding"])


def test_the_help_of_a_world_shows_what_applies(capsys):
    shown = {}
    for world in ("path-star", IN_CONTEXT, ""):
        with pytest.raises(SystemExit) as caught:
            main(["paths", *[world] * bool(world), "--help"])
        assert caught.value.code == 0
        shown[world] = capsys.readouterr().out
    assert "--arms" in shown["path-star"]
    assert "--edge-weight" in shown["path-star"]
    assert "--node-tokens" in shown[IN_CONTEXT]
    assert "--edge-weight" not in shown[IN_CONTEXT]
    assert all(f"{name}: " in shown[""] for name in PATH_PRESETS)


@pytest.mark.parametrize("world", [*WORLDS, IN_CONTEXT])
def test_no_two_groups_have_an_option_of_one_name(world, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["paths", world, "--help"])
    assert caught.value.code == 0
    assert "--stop-at" in capsys.readouterr().out


def announcement(tmp_path, **changes):
    training = PathTraining(epochs=10, batches=8)
    job = path_job(path_star(12, 3), model="mamba", training=training, seeds=2)
    job = replace(job, cost=replace(job.cost, memory_bytes=3_000_000), disk_bytes=2_000_000)
    return Announcement(
        **({"job": job, "path": tmp_path / "run", "first_step": 0, "seconds": 75.0} | changes)
    )


def progress_at(step, *, loss=(1.0, 2.0)):
    metrics = {name: np.array([0.25, 0.75]) for name in PATH_COLUMNS.numbers.values()} | {
        "loss": np.array(loss)
    }
    return Progress(step=step, steps=80, seconds=4.0, seconds_left=36.0, metrics=metrics)


def cells_of(table):
    columns = table.render().columns
    return {str(column.header): str(next(iter(column.cells))) for column in columns}


def test_on_a_terminal_one_row_is_redrawn(tmp_path):
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with RunTable(console=console) as table:
        table.show(announcement(tmp_path))
        table.show(progress_at(40))
        cells = cells_of(table)
        del cells["time"]
        expected = dict.fromkeys(PATH_COLUMNS.numbers, "0.500") | {
            "epoch": "5/10",
            "loss": "1.500",
            "left": "36 s",
        }
        assert cells == expected
    ended = cells_of(table)
    assert (ended["epoch"], ended["time"], ended["left"]) == ("5/10", "4.0 s", "done")
    assert "among arms" in output.getvalue()
    assert "1:15 for 10 epochs at most, 3.0 MB memory" in output.getvalue()


def test_without_a_terminal_the_first_and_the_last_row_are_lines(tmp_path):
    output = io.StringIO()
    with RunTable(console=Console(file=output, width=40)) as table:
        table.show(announcement(tmp_path, first_step=16))
        for step in (16, 24, 32):
            table.show(progress_at(step))
    lines = output.getvalue().splitlines()
    numbers = "loss 1.500, first hop 0.500, among arms 0.500, full path 0.500, retrieval 0.500, 4.0 s"
    assert lines[2:] == [
        "going on from the checkpoint at epoch 2",
        f"epoch 2/10: {numbers}, 36 s left",
        f"epoch 4/10: {numbers}",
    ]


def test_nothing_is_said_to_be_left_where_it_is_not_known_or_nothing(tmp_path):
    output = io.StringIO()
    with RunTable(console=Console(file=output, width=200)) as table:
        table.show(announcement(tmp_path))
        table.show(replace(progress_at(0), seconds_left=np.inf))
        table.rows[-1].line_written = -np.inf
        table.show(replace(progress_at(80), seconds_left=0.0))
    first, last = output.getvalue().splitlines()[2:]
    assert first.startswith("epoch 0/10: ")
    assert last.startswith("epoch 10/10: ")
    assert "left" not in first + last


def test_the_first_hop_alone_is_no_full_path(tmp_path):
    output = io.StringIO()
    asked = progress_at(40)
    with RunTable(console=Console(file=output, width=200)) as table:
        table.show(announcement(tmp_path))
        table.show(replace(asked, metrics=asked.metrics | {"held_out.token_1": np.zeros(2)}))
    line = output.getvalue().splitlines()[-1]
    assert "first hop 0.500" in line
    assert "full path" not in line


def test_runs_that_diverged_are_said_to_have(tmp_path):
    output = io.StringIO()
    with RunTable(console=Console(file=output, width=200)) as table:
        table.show(announcement(tmp_path))
        table.show(progress_at(80, loss=(1.0, float("nan"))))
    assert (
        "1 of 2 runs diverged (loss is NaN or infinite); try a smaller --learning-rate" in output.getvalue()
    )


def test_presets_of_another_model_class_share_the_laptop_defaults():
    assert isinstance(read_arguments(["path-star", "--model", "mamba"]).model, Mamba)
    assert read_arguments(["path-star", "--model", "mamba"]).model == path_models()["mamba"]
