"""Studies: files of blocks, their grids and fleets, what is kept, and what is refused."""

import shutil
from itertools import product
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

from geomem.errors import InputError
from geomem.models.configuration import Bilinear
from geomem.runs.facts import learn_facts
from geomem.runs.paths import find_paths
from geomem.sweep import grid as grids
from geomem.sweep import plan_blocks, preview, read_blocks, read_study, running, sweep, train_blocks
from geomem.sweep.grid import FactFleet, make_job, plan_fleets
from geomem.sweep.measured import train_and_measure
from geomem.training.configuration import PathTraining, RecallTraining, Training
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.graphs.families import path_star

KEPT = Path(__file__).parent / "kept_runs" / "sweeps"

MIXED = """
seeds = 2

[[block]]
world = "cycle"
model = ["bilinear", "transformer"]
width = 4
learning-rate = { from = 0.003, to = 0.03, count = 2, scale = "log" }
steps = 20

[[block]]
task = "paths"
world = "path-star"
arms = 8
length = 3
layers = 1
width = 8
heads = 1
epochs = 4
batches = 1
warmup-steps = 2
learning-rate = [0.001, 0.01]

[[block]]
world = "in-context"
length = 3
node-tokens = 8
layers = 1
width = 8
heads = 1
epochs = 4
batches = 1
prompts = 8
warmup-steps = 2

[[block]]
world = "random-bijections"
subjects = 8
relations = [1, 2]
steps = 60
width = [4, 6]
weight-decay = [0.0, 0.1]
"""


@pytest.fixture
def mixed(tmp_path):
    """A study of every task."""
    path = tmp_path / "mixed.toml"
    path.write_text(MIXED)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """That study, trained in one process."""
    path = tmp_path_factory.mktemp("mixed")
    (path / "mixed.toml").write_text(MIXED)
    return train_blocks(read_study(path / "mixed.toml"), directory=path / "one", processes=1)


RATES = st.lists(st.sampled_from([0.001, 0.01, 0.1]), min_size=1, max_size=3, unique=True)
WIDTHS = st.lists(st.sampled_from([2, 4, 8]), min_size=1, max_size=3, unique=True)
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {
            "world": st.lists(
                st.sampled_from(["cycle", "grid", "path"]), min_size=1, max_size=2, unique=True
            ),
            "model": st.sampled_from(["bilinear", "node2vec"]),
            "width": WIDTHS,
            "learning_rate": RATES,
            "scale": st.lists(st.sampled_from([0.5, 1.0]), min_size=1, max_size=2, unique=True),
            "seeds": st.integers(1, 2),
        }
    ),
    min_size=1,
    max_size=3,
)


def asked(tables):
    """What some blocks ask for, run by run."""
    return {
        (world.split("-")[0], table["model"], *values)
        for table in tables
        for world, *values in product(
            table["world"], table["width"], table["learning_rate"], table["scale"], range(table["seeds"])
        )
    }


def planned(tables):
    """What the fleets of some blocks train, run by run."""
    return [
        (
            fleet.world.name.split("-")[0],
            fleet.model.name,
            fleet.model.width,
            run.learning_rate,
            run.scale,
            run.seed,
        )
        for fleet in plan_fleets(read_blocks(tables))
        for run in fleet.runs
    ]


@settings(max_examples=12)
@given(BLOCKS, st.randoms())
def test_a_plan_is_the_product_of_its_lists_once_and_grouped_by_shape(tables, random):
    runs = planned(tables)
    assert sorted(runs) == sorted(asked(tables))
    fleets = plan_fleets(read_blocks(tables))
    shapes = [(fleet.world.digest, fleet.model) for fleet in fleets]
    assert len(set(shapes)) == len(shapes)
    other = [
        table | {name: random.sample(own, len(own)) for name, own in table.items() if isinstance(own, list)}
        for table in random.sample(tables, len(tables))
    ]
    assert sorted(planned(other)) == sorted(runs)


def trains_nothing(fleet, **hooks):
    """In place of what trains a fleet."""
    raise AssertionError("nothing is left to train")


def test_a_kept_sweep_of_an_earlier_version_is_found_again(tmp_path, monkeypatch):
    """It was written by the commit b2902f0; neither its fleets nor their rows may change."""
    kept = tmp_path / "sweeps"
    shutil.copytree(KEPT, kept)
    monkeypatch.setattr(running, "train_and_measure", trains_nothing)
    found = sweep(
        ["cycle", "grid"],
        Bilinear(),
        axes={"learning_rate": [0.003, 0.03], "width": [4, 6]},  # the other order than it was written in
        training=Training(steps=12, metric_every=4),
        seeds=2,
        directory=kept,
        processes=1,
    )
    assert len(found.table) == 16
    block = {"world": ["cycle", "grid"], "model": "bilinear", "width": [4, 6], "learning-rate": [0.003, 0.03]}
    again = train_blocks(
        read_blocks([block | {"steps": 12, "metric-every": 4, "seeds": 2}]), directory=kept, processes=1
    )
    assert again.path == found.path
    assert again.table.equals(found.table)
    (kept_path,) = KEPT.iterdir()
    assert again.table.equals(pl.concat(map(pl.read_parquet, sorted(kept_path.glob("fleet-*")))))


def test_a_study_of_every_task_is_one_table(trained):
    table = trained.table
    assert len(table) == 30
    assert table.group_by("task").len().sort("task").rows() == [
        ("edge-memorization", 8),
        ("fact-recall", 16),
        ("in-context-path-finding", 2),
        ("path-finding", 4),
    ]
    edges, facts = table.filter(task="edge-memorization"), table.filter(task="fact-recall")
    assert edges["recall"].is_null().all()
    assert not edges["associative_accuracy"].is_null().any()
    assert facts.select("world", "width", "mlp_width", "weight_decay").n_unique() == 8
    assert facts["weights"].n_unique() == 4


def test_a_cell_is_the_run_that_the_verbs_train(trained, tmp_path):
    rows = trained.table.filter(world="random-bijections-8-2-seed0", width=6, weight_decay=0.1)
    job = make_job(random_bijections(8, 2), facts_model(), grids.TASKS["fact-recall"](), facts_training(), 2)
    alone = learn_facts(job.world, model=job.model, training=job.training, seeds=2, directory=tmp_path)
    for name in ("loss", "recall", "margin"):
        assert rows.sort("seed")[name].to_list() == pytest.approx(alone.final()[name].tolist(), abs=2e-4)
    rows = trained.table.filter(task="path-finding", learning_rate=0.01)
    alone = find_paths(
        path_star(8, 3), model=path_model(), training=path_training(), seeds=2, directory=tmp_path
    )
    for name in ("loss", "edge_recall", "held_out_first_hop"):
        found = alone.final()[name.replace("held_out_", "held_out.")]
        assert rows.sort("seed")[name].to_list() == pytest.approx(found.tolist(), abs=2e-4)
    assert rows["trained_epochs"].to_list() == [4, 4]


def facts_model():
    """The model of the study's facts of width 6."""
    (block,) = read_blocks([{"world": "random-bijections", "subjects": 8, "relations": 2, "width": 6}])
    return block.model


def facts_training():
    """Their training."""
    return RecallTraining(steps=60, weight_decay=0.1)


def path_model():
    """The model of the study's paths."""
    (block,) = read_blocks([{"task": "paths", "world": "path-star", "layers": 1, "width": 8, "heads": 1}])
    return block.model


def path_training():
    """Their training."""
    return PathTraining(epochs=4, batches=1, warmup_steps=2, learning_rate=0.01, snapshots=2)


def test_tables_of_other_widths_and_sizes_share_a_fleet(mixed):
    fleets = plan_fleets(read_study(mixed))
    (facts,) = [fleet for fleet in fleets if isinstance(fleet, FactFleet)]
    assert {(run.table.relation_count, run.model.width) for run in facts.runs} == set(product((1, 2), (4, 6)))


def test_only_seeds_share_a_fleet_that_ends_early(mixed):
    paths = [fleet for fleet in plan_fleets(read_study(mixed)) if type(fleet.training) is PathTraining]
    assert all(len({run.learning_rate for run in fleet.runs}) == 1 for fleet in paths)
    assert len(paths) == 3
    mixed.write_text(
        MIXED.replace("learning-rate = [0.001, 0.01]", "learning-rate = [0.001, 0.01]\nstop-at = 0")
    )
    paths = [fleet for fleet in plan_fleets(read_study(mixed)) if type(fleet.training) is PathTraining]
    assert [len(fleet.runs) for fleet in paths] == [4, 2]


def test_a_fleet_takes_no_more_memory_than_a_worker_has(monkeypatch):
    blocks = read_blocks([{"world": "cycle", "model": "bilinear", "width": 4, "seeds": 10}])
    (fleet,) = plan_fleets(blocks)
    one = make_job(fleet.world, fleet.model, fleet.task, fleet.training, 1).cost.memory_bytes
    monkeypatch.setattr(grids, "FLEET_BYTES", one + (fleet.job.cost.memory_bytes - one) // 2)
    assert [len(part.runs) for part in plan_fleets(blocks)] == [5, 5]
    monkeypatch.setattr(grids, "FLEET_BYTES", 1)
    assert [len(part.runs) for part in plan_fleets(blocks)] == [1] * 10


def test_a_study_that_was_interrupted_ends_the_same_in_two_processes(trained, mixed, tmp_path, monkeypatch):
    begun = []

    def cut(fleet, **hooks):
        begun.append(fleet)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return train_and_measure(fleet, **hooks)

    with monkeypatch.context() as patch:
        patch.setattr(running, "train_and_measure", cut)
        with pytest.raises(KeyboardInterrupt, match="1 of 6 fleets are kept"):
            train_blocks(read_study(mixed), directory=tmp_path, processes=1)
    together = train_blocks(read_study(mixed), directory=tmp_path, processes=2)
    assert together.table.equals(trained.table)
    parts = [sorted(one.path.glob("fleet-*")) for one in (together, trained)]
    for one, other in zip(*parts, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_preview_says_what_a_study_takes_and_writes_nothing(mixed, tmp_path):
    plan = plan_blocks(read_study(mixed), directory=tmp_path / "sweeps", processes=2)
    said = preview(plan)
    assert (said.fleet_count, said.run_count, said.finished_fleets, said.processes) == (6, 30, 0, 2)
    assert 0 < said.seconds_left < 100
    assert said.memory_bytes > 0
    assert [path.name for path in tmp_path.iterdir()] == ["mixed.toml"]


def test_python_defines_blocks_and_worlds_of_its_own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "from geomem.worlds.graphs.families import cycle\n"
        "configs = [dict(world=cycle(n), model='bilinear', width=range(4, 7), scale=np.array([1.0, 2.0]))\n"
        "           for n in (5, 6)]\n"
    )
    blocks = read_study(path)
    assert [block.worlds[0].name for block in blocks] == ["cycle-5", "cycle-6"]
    assert blocks[0].axes == {"width": (4, 5, 6), "scale": (1.0, 2.0)}
    path.write_text("config = []")
    with pytest.raises(InputError, match="defines no list configs"):
        read_study(path)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ('world = "cycle"\nwidht = 8', "In block 2 of .*: 'widht' is no key here; did you mean width"),
        ('world = "cycle"\nwidth = "many"', "The axis width has the value 'many'; give whole numbers"),
        ('world = "cycle"\nwidth = []', "The axis width has no value"),
        ('world = "cycle"\nwidth = [8, 0]', "width is 0; give a whole number of at least 1"),
        ('world = "cycle"\nsteps = 0', "steps is 0; give a whole number of at least 1"),
        ("world = []", "The key world has no value"),
        ("width = 8", "There is no world"),
        ('world = "cylce"', "did you mean cycle"),
        ('world = "cycle"\nmodel = "lstm"', "'lstm' is not a model"),
        ('world = "path-star"\ntask = "paths"\nmodel = "node2vec"', "'node2vec' is no model of paths"),
        ('world = "cycle"\ntask = "edge"', "'edge' is no task; did you mean edges"),
        ('world = ["cycle", "grid"]\nnodes = 5', "'nodes' is no key here"),
        ('world = "cycle"\nnodes = 1', "nodes is 1; give a whole number of at least 3"),
        ('world = "cycle"\nseeds = [1, 1]', "seeds is"),
        ('world = "cycle"\nwidth = {from = 4, to = 8}', "The range of width goes from 4 to 8 in None steps"),
        ('world = "cycle"\nwidth = {from = 4, to = 8, cuont = 2}', "has the key 'cuont'; did you mean count"),
        ('world = "cycle"\nscale = {from = 0, to = 8, count = 2, scale = "log"}', "both above 0"),
        ('world = "cycle"\nwidth = {from = 4, to = 9, count = 3}', "has the value 6.5; give whole numbers"),
        ('world = "cycle"\nsteps = 1979-05-27', "The key steps is not a number"),
        ('world = "cycle"\nwidth = [[8]]', "The key width is not a number"),
    ],
)
def test_what_is_wrong_names_the_key_and_the_block(block, message, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(f'[[block]]\nworld = "cycle"\n[[block]]\n{block}\n')
    with pytest.raises(InputError, match=message) as caught:
        read_study(path)
    assert str(caught.value).startswith(f"In block 2 of {path}: ")
    assert "\n" not in str(caught.value)


def test_a_module_of_the_study_file_itself_is_trained(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\n"
        "def factory(sizes):\n"
        "    return torch.nn.Embedding(sizes.vocabulary_size, sizes.vocabulary_size)\n"
        "def last(sizes):\n"
        "    table = factory(sizes)\n"
        "    table.register_forward_hook(lambda module, given, out: out[:, -1])\n"
        "    return table\n"
        "configs = [dict(world='cycle', model=last, steps=4, learning_rate=[0.01, 0.1])]\n"
    )
    (block,) = read_study(path)
    assert block.model.source == "mine.py:last"
    table = train_blocks([block], directory=tmp_path / "own", processes=1).table
    assert table.columns[:3] == ["world", "learning_rate", "seed"]
    assert len(table) == 2
