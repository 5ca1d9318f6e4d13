"""Weights out of a run and into one: nothing is lost, everything fits or is refused in one sentence."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import geomem
from geomem.checkpoints.architectures import GPT2, MAMBA, their_shapes, to_ours, to_theirs
from geomem.checkpoints.export import export_run
from geomem.checkpoints.folder import shapes_of
from geomem.checkpoints.import_ import import_checkpoint, plan_import
from geomem.cli import main
from geomem.errors import InputError
from geomem.measure.edges import measure_fleet, portrait_table
from geomem.models.configuration import MODELS, Bilinear, Gru, Mamba, Node2Vec, Recall, Transformer
from geomem.runs.directory import read_arrays
from geomem.runs.edges import memorize
from geomem.runs.facts import learn_facts
from geomem.runs.paths import find_paths
from geomem.training.configuration import PathTraining, RecallTraining, Training
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization
from shifted_runs import shifted_run

PUBLISHED = {"residual": True, "norm": "root-mean-square", "final_norm": True}
LABELS = ("New York", "b/c", "d", "é")
RING = Graph(name="ring", labels=LABELS, edges=np.array([[0, 1], [1, 2], [2, 3], [0, 3]]))


def refused(*arguments, **options):
    with pytest.raises(InputError) as caught:
        export_run(*arguments, **options)
    return str(caught.value)


@settings(max_examples=40)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_writing_and_reading_is_the_identity(layers, heads, each, words, length, tied, seed):
    """And every number is written once: what is written has as many as what was there."""
    models = (
        (GPT2, Transformer(layers=layers, width=heads * each, heads=heads, tied=tied)),
        (
            MAMBA,
            Mamba(layers=layers, width=each, state_size=heads, convolution=length, tied=tied, **PUBLISHED),
        ),
    )
    for found, model in models:
        random = np.random.default_rng(seed)
        shapes = shapes_of(model, words, length)
        ours = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        theirs = to_theirs(found, layers, ours, shapes)
        assert {name: array.shape for name, array in theirs.items()} == their_shapes(found, layers, shapes)
        assert sum(array.size for array in theirs.values()) == sum(array.size for array in ours.values())
        back = to_ours(found, layers, theirs, shapes)
        assert back.keys() == ours.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(back[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("model", "format"),
    [
        (Transformer(layers=2, width=8, heads=2), "hf"),
        (Transformer(width=8, positions="sinusoidal", tied=False), "hf"),
        (Transformer(width=8, residual=False, layer_norm=False), "safetensors"),
        (Mamba(width=8, **PUBLISHED), "hf"),
        (Mamba(width=8), "safetensors"),
        (Bilinear(width=8), "safetensors"),
        (Gru(width=8, tied=False), "safetensors"),
        (Node2Vec(width=8, tied=False), "safetensors"),
    ],
    ids=repr,
)
def test_what_comes_back_measures_the_same(tmp_path, model, format):
    run = shifted_run(model, RING, tmp_path, seeds=2)
    back = import_checkpoint(
        export_run(run, tmp_path / "out", format=format, seed=1).path, RING, directory=tmp_path
    )
    np.testing.assert_array_equal(back.embeddings()[0], run.embeddings()[1])
    for name, values in run.final().items():
        np.testing.assert_allclose(back.curves()[name], values[1], atol=1e-6, err_msg=name)
    one = memorize(
        RING, training=Training(steps=1, learning_rate=0.0), start=run, seeds=[1], directory=tmp_path
    )
    mine, theirs = (portrait_table(measure_fleet(own))["mean"].to_numpy() for own in (one, back))
    np.testing.assert_allclose(theirs, mine, atol=1e-5)
    assert (back.seeds, type(back.model)) == ((0,), type(model))
    again = import_checkpoint(tmp_path / "out", RING, directory=tmp_path)
    assert again.path == back.path


def test_rows_follow_the_labels_of_the_graph(tmp_path):
    """A graph with the same labels in another order, and one with fewer of them."""
    run = shifted_run(Transformer(width=8, tied=False), RING, tmp_path)
    folder = export_run(run, tmp_path / "out").path
    other = Graph(name="other", labels=("é", "d", "New York"), edges=np.array([[0, 1], [1, 2]]))
    planned = plan_import(folder, other)
    assert planned.notes == ("1 of its words is no token of the graph and is left out (b/c)",)
    back = import_checkpoint(folder, other, directory=tmp_path)
    np.testing.assert_array_equal(back.embeddings()[0], run.embeddings()[0][[3, 2, 0]])
    rows = [3, 2, 0, *range(4, 13)]
    np.testing.assert_array_equal(
        back.weights()["output_embedding"][0], run.weights()["output_embedding"][0][rows]
    )
    with pytest.raises(InputError, match="no word for 6 of 6 nodes, '0' for one"):
        plan_import(folder, cycle(6))


def test_an_imported_run_is_trained_on_reported_and_planned_with(tmp_path):
    star = path_star(arms=4, length=3)
    short = PathTraining(epochs=2, warmup_steps=1, batches=1)
    run = find_paths(star, model=Transformer(width=8, layers=2), training=short, seeds=1, directory=tmp_path)
    folder = export_run(run, tmp_path / "out").path
    paths = import_checkpoint(folder, star, task=PathFinding(), directory=tmp_path)
    for name, values in run.final().items():
        np.testing.assert_allclose(paths.final()[name], values, atol=1e-5, err_msg=name)
    edges = import_checkpoint(folder, star, directory=tmp_path)
    assert edges.weights()["position_embedding"].shape[1] == 2
    on = memorize(star, start=edges, training=Training(steps=20), directory=tmp_path)
    assert on.final()["loss"] < edges.final()["loss"]
    longer = find_paths(star, start=edges, training=short, directory=tmp_path)
    assert longer.model == edges.model
    assert geomem.write_report([edges, on, paths], tmp_path / "report.html").exists()


def small_module(sizes):
    return nn.Sequential(nn.Embedding(sizes.vocabulary_size, 4), nn.Linear(4, sizes.vocabulary_size))


def test_a_module_of_ones_own_goes_out_plain(tmp_path):
    run = memorize(RING, model=small_module, training=Training(steps=3), seeds=1, directory=tmp_path)
    assert "nothing that computes a module of your own" in refused(run, tmp_path / "hf")
    folder = export_run(run, tmp_path / "out", format="safetensors").path
    assert read_arrays(folder / "model.safetensors").keys() == run.weights().keys()
    with pytest.raises(InputError, match="load them into that module"):
        import_checkpoint(folder, RING, directory=tmp_path)


@pytest.mark.parametrize("kind", MODELS)
def test_every_model_has_plain_weights(tmp_path, kind):
    run = memorize(RING, model=MODELS[kind](width=8), training=Training(steps=3), seeds=1, directory=tmp_path)
    folder = export_run(run, tmp_path / "out", format="safetensors").path
    arrays = read_arrays(folder / "model.safetensors")
    assert arrays.keys() == run.weights().keys()
    for name, array in run.weights().items():
        np.testing.assert_array_equal(arrays[name], array[0])
    rows = json.loads((folder / "rows.json").read_text())
    assert rows["token_embedding"][:4] == list(RING.labels)
    assert all(len(words) == len(arrays[name]) for name, words in rows.items())
    told = json.loads((folder / "config.json").read_text())["geomem"]
    assert (told["model"], told["seed"]) == (run.configuration["model"], 0)


def test_memories_of_facts_have_plain_weights(tmp_path):
    table = random_bijections(6, 2)
    learned = learn_facts(table, training=RecallTraining(steps=21), seeds=[3], directory=tmp_path)
    several = [("Italy", "borders", "France"), ("Italy", "borders", "Austria"), ("Italy", "capital", "Rome")]
    written = geomem.construct_memory(several, tmp_path / "memory", several=True)
    for number, memory in enumerate((learned, written)):
        folder = export_run(memory, tmp_path / str(number), format="safetensors").path
        arrays = read_arrays(folder / "model.safetensors")
        for name, array in memory.weights().items():
            np.testing.assert_array_equal(arrays[name], array[0])
        rows = json.loads((folder / "rows.json").read_text())
        assert tuple(rows["relation_embedding"]) == memory.table.relations
        assert {name for name in arrays if name.startswith("cells.")} == {
            f"cells.{name}" for name in memory.cell_weights()
        }
        said = refused(memory, tmp_path / "hf")
        assert "A GPT2LMHeadModel always computes layer_norm" in said
        assert "train with --layer-norm, or export with --format safetensors" in said
        with pytest.raises(InputError, match="holds a memory of facts"):
            import_checkpoint(folder, RING)


def test_a_memory_whose_words_have_two_meanings_is_refused(tmp_path):
    facts = geomem.facts_from([("a", "b", "c"), ("b", "b", "d")])
    model = Recall(width=4, mlp_width=0, layer_norm=True)
    memory = learn_facts(facts, model=model, training=RecallTraining(steps=21), seeds=1, directory=tmp_path)
    assert "'b' is the name of two things" in refused(memory, tmp_path / "hf")
    chains = replace(model, hops=2)
    long = learn_facts(
        geomem.facts_from([("a", "r", "b"), ("b", "r", "a")]),
        model=chains,
        training=RecallTraining(steps=21),
        seeds=1,
        directory=tmp_path,
    )
    assert "always computes hops 1, and this model does not" in refused(long, tmp_path / "hf")


def test_what_does_not_map_is_one_sentence(tmp_path):
    def run(model):
        return memorize(RING, model=model, training=Training(steps=1), seeds=2, directory=tmp_path)

    out = tmp_path / "out"
    said = refused(run(Transformer(width=8, residual=False, layer_norm=False)), out)
    assert "train with --residual --layer-norm, or export with --format safetensors" in said
    said = refused(run(Mamba(width=8)), out)
    assert "train with --residual --norm root-mean-square --final-norm" in said
    assert "gated recurrent units" in refused(run(Gru(width=8)), out)
    assert "products of vectors" in refused(run(Node2Vec(width=8)), out)
    fine = run(Transformer(width=8))
    assert "has no run of seed 5; its seeds are 0, 1" in refused(fine, out, seed=5)
    assert not out.exists()
    out.mkdir()
    (out / "mine").write_text("kept")
    assert "is there already" in refused(fine, out)
    assert [path.name for path in out.iterdir()] == ["mine"]
    special = replace(RING, labels=("[PAD]", "b", "c", "d"))
    node = memorize(special, model=Transformer(width=8), training=Training(steps=1), directory=tmp_path)
    assert "A node is called '[PAD]', as a special token is" in refused(node, tmp_path / "special")
    diverged = shifted_run(Transformer(width=8), RING, tmp_path)
    object.__setattr__(diverged, "weights", lambda: {"token_embedding": np.full((1, 13, 8), np.nan)})
    assert "export a run that did not diverge" in refused(diverged, tmp_path / "nan")


def test_the_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["memorize", "cycle", "--width", "8", "--steps", "3", "--seeds", "2", "--quiet"]) == 0
    run = capsys.readouterr().out.strip()
    assert main(["export", run, "-o", "out", "--seed", "1"]) == 0
    said = capsys.readouterr()
    assert said.out == "out\n"
    assert "this is the run of seed 1, of the seeds 0, 1" in said.err
    assert "unknown words become [PAD]" in said.err
    assert main(["import", "out", "--graph", "cycle", "--quiet"]) == 0
    imported = geomem.read_run(capsys.readouterr().out.strip())
    np.testing.assert_array_equal(imported.embeddings()[0], geomem.read_run(run).embeddings()[1])
    assert main(["import", "out", "--graph", "cycle", "--no-task-token", "--quiet"]) == 0
    other = geomem.read_run(capsys.readouterr().out.strip())
    assert other.task == EdgeMemorization(task_token=False)
    for arguments, complaint in (
        (["import", "out"], "Give a checkpoint and its graph"),
        (["import", "out", "--graph", "cyle"], "did you mean cycle?"),
        (["import", "out", "--graph", "cycle", "--columns", "1"], "--columns is about files, and 'cycle'"),
        (["import", "out", "--graph", "cycle", "--heads", "2"], "leave out --heads"),
        (["import", "out", "--graph", "cycle", "--task", "paths"], "ill-posed"),
        (["import", "nowhere", "--graph", "cycle"], "There is no nowhere"),
        (["export", "nowhere", "-o", "b"], "nowhere does not exist; give a run directory"),
        (["export", run], "--out"),
    ):
        assert main(arguments) == 2
        assert complaint in " ".join(capsys.readouterr().err.split()), arguments
