"""Runs that were told a graph: the naive loss, brute-force answers, runs alone, resumption, states, files."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from geomem.audit.model import audit_model
from geomem.audit.source import Reading, read_source, twins
from geomem.audit.words import WORDS
from geomem.cli import main
from geomem.errors import InputError
from geomem.files import fingerprint
from geomem.measure.edges import measure_fleet
from geomem.measure.told import BARE, draw_weights, read_name_states, told_again
from geomem.models.configuration import Gru, Mamba, Transformer
from geomem.models.layers import unembed
from geomem.models.sequences import compute_sequence_logits, read_layers, read_out_table, read_states
from geomem.runs.directory import DONE
from geomem.runs.edges import edge_job
from geomem.runs.run import VOCABULARY, read_run
from geomem.runs.sentences import sentence_job, tell_graph
from geomem.training import loop as loop_module
from geomem.training.configuration import PathTraining, RunSettings
from geomem.training.loop import state_from_arrays, state_to_arrays
from geomem.training.path_batches import make_batches
from geomem.training.paths import lose, train_paths
from geomem.training.sentences import answer_questions, grow_tree, score_names
from geomem.worlds.graphs.families import cycle, path
from geomem.worlds.language.telling import tell, tell_in

TOLD = tell(cycle(5), tell_in("graph", told=2, names="shared-last", filler_count=1))
SMALL = Transformer(layers=2, width=8, heads=2, position_scale=0.02)
MODELS = [SMALL, Mamba(layers=2, width=8, residual=True, final_norm=True), Gru(layers=2, width=8)]
SHORT = PathTraining(epochs=3, batches=3, metric_every=1, warmup_steps=2, snapshots=3, stop_at=0.0)
RUNS = [RunSettings(seed=4, learning_rate=0.01), RunSettings(seed=1, learning_rate=0.02, weight_decay=0.1)]


@pytest.mark.parametrize("asked", ["everything", "answers"])
def test_loss_of_an_epoch_is_that_of_every_token_asked(asked):
    told = tell(cycle(5), tell_in("graph", told=2, asked=asked))
    weights = draw_weights(SMALL, told, [0, 1])
    draw = make_batches(told, replace(SHORT, batches=1), [0, 1], device="cpu", dtype=torch.float32)
    (micro_batch,) = draw(0)
    found = lose(SMALL, weights, micro_batch, "float32")
    texts = torch.tensor(told.texts)
    states = read_states(SMALL, weights, texts[None, :, :-1], first_read=0).flatten(1, 2)
    logits = unembed(states, read_out_table(SMALL, weights))
    for run in range(2):
        losses = F.cross_entropy(logits[run], texts[:, 1:].flatten(), reduction="none")
        used = torch.tensor(told.weights).flatten().bool()
        assert float(found[run]) == pytest.approx(float(losses[used].mean()), rel=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_names_are_scored_token_by_token(model):
    weights, tree = draw_weights(model, TOLD, [0, 1]), grow_tree(TOLD.name_tokens)
    questions = TOLD.questions["held_out"]
    scores = score_names(model, weights, questions.prompts, tree)
    for prompt, name in ((0, 1), (7, 4)):
        expected = torch.zeros(2)
        read = list(questions.prompts[prompt])
        for token in TOLD.name_tokens[name]:
            logits = compute_sequence_logits(model, weights, torch.tensor([read]))
            expected += logits.log_softmax(dim=-1)[:, 0, token]
            read.append(token)
        torch.testing.assert_close(scores[:, prompt, name], expected, rtol=1e-4, atol=1e-5)
    answers = answer_questions(model, weights, questions, tree)
    for prompt, right in enumerate(questions.right):
        best = set(scores[1, prompt].argsort(descending=True)[: right.sum()].tolist())
        share = len(best & set(np.flatnonzero(right).tolist())) / right.sum()
        assert float(answers.recalled[1, prompt]) == pytest.approx(share)


def test_run_in_a_fleet_equals_the_run_alone():
    together = train_paths(SMALL, TOLD, RUNS, SHORT)
    alone = train_paths(SMALL, TOLD, RUNS[1:], SHORT)
    for name, values in alone.metrics.items():
        np.testing.assert_allclose(together.metrics[name][:, 1:], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_resumed_training_ends_in_the_same_bits(monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0)
    states = []
    whole = train_paths(SMALL, TOLD, RUNS, SHORT, on_checkpoint=states.append)
    state = state_from_arrays(state_to_arrays(states[3]))
    resumed = train_paths(SMALL, TOLD, RUNS, SHORT, state=state)
    assert resumed.snapshots.tobytes() == whole.snapshots.tobytes()
    for name, tensor in whole.parameters.items():
        assert torch.equal(resumed.parameters[name], tensor), name


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_layers_end_in_the_states_that_are_read_out(model):
    weights = draw_weights(model, TOLD, [0, 1])
    tokens = torch.tensor(TOLD.texts[:3, :6])[None]
    layers = read_layers(model, weights, tokens)
    assert len(layers) == model.layers + 2
    torch.testing.assert_close(layers[-1], read_states(model, weights, tokens, first_read=0))


def test_states_of_names_are_those_of_their_tokens():
    weights = draw_weights(SMALL, TOLD, [3])
    sentence = "Who is next to {subject}? The answer is {object}."
    states = {own.layer: own.vectors for own in read_name_states(SMALL, weights, TOLD, (BARE, sentence))}
    assert list(states) == ["input embedding", "block 1", "block 2", "final norm"]
    boundary, before = TOLD.tokenizer.numbers["[TEXT]"], TOLD.tokenizer.write(" Who is next to")
    prompt = torch.tensor([[[boundary, *before, *TOLD.name_tokens[2]]]])
    expected = read_layers(SMALL, weights, prompt)[1][0, 0, -2:].numpy()
    vectors = states["block 1"]
    np.testing.assert_allclose(vectors["last token"][0, 1, 2], expected[-1], rtol=1e-5, atol=1e-6)
    mean = vectors["mean of tokens"][0, 1, 2]
    np.testing.assert_allclose(mean, expected.mean(axis=0), rtol=1e-5, atol=1e-6)
    table = weights["token_embedding"][0, list(TOLD.name_tokens[2])].numpy()
    np.testing.assert_allclose(states["input embedding"]["mean of tokens"][0, 0, 2], table.mean(axis=0))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """A path of four nodes, told and learned."""
    training = PathTraining(
        epochs=80, batches=1, learning_rate=0.02, metric_every=20, warmup_steps=5, stop_at=0.99
    )
    model = Transformer(layers=1, width=16, heads=2, position_scale=0.02)
    task = tell_in("graph", told=2)
    return tell_graph(
        path(4), task=task, model=model, training=training, seeds=2, directory=tmp_path_factory.mktemp("runs")
    )


def test_told_graph_is_learned_kept_and_measured(fleet):
    assert fleet.final()["train.names_recalled"].min() >= 0.99
    again = read_run(fleet.path)
    assert again.task == fleet.task
    told = told_again(again)
    mean = again.weights()["token_embedding"][1, list(told.name_tokens[2])].mean(axis=0)
    np.testing.assert_allclose(again.embeddings()[1, 2], mean, rtol=1e-5)
    np.testing.assert_allclose(again.snapshots()[1][-1], again.embeddings(), rtol=1e-4, atol=1e-5)
    names = {measured.name for measured in measure_fleet(again, permutations=20).measurements}
    assert {"train_names_recalled", "held_out_names_recalled", "fiedler_alignment"} <= names
    assert "excess_loss" not in names


def test_audit_reads_a_run_and_draws_its_twins(fleet):
    graph = path(4)
    source = read_source(fleet.path, (*graph.labels, "9"), Reading(position="mean of tokens"))
    assert source.states.entities == graph.labels
    assert source.states.templates == ("{}", "A neighbour of {}")
    assert "left out: '9'" in source.notes[-1]
    np.testing.assert_allclose(source.states.layers[0].vectors[0], fleet.embeddings()[0], rtol=1e-5)
    first, second = (twin.states for twin in twins(source, 2, say=lambda said: None))
    assert first.layers[1].vectors.shape == source.states.layers[1].vectors.shape
    assert not np.allclose(first.layers[1].vectors, second.layers[1].vectors)
    found = audit_model(fleet.path, graph, permutations=20, twin_count=1)
    assert found.audit.word in WORDS
    assert found.settings["re-initialised twins"] == 1
    for refused in ({"aliases": {"0": ("x",)}}, {"multiword": "mean"}, {"templates": ("Whoever {}",)}):
        with pytest.raises(InputError, match=r"leave (it|them) out|never told"):
            read_source(fleet.path, graph.labels, Reading(**refused))
    with pytest.raises(InputError, match="leave out --question"):
        audit_model(fleet.path, graph, questions={graph.name: "A neighbour of {} is {}"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content["names"].pop(), "does not name 4 nodes"),
        (lambda content: content["names"].append([99999]), "does not name 4 nodes"),
        (lambda content: content["names"].__setitem__(0, [99999]), "not a list of its tokens"),
        (lambda content: content["names"].__setitem__(0, []), "not a list of its tokens"),
        (lambda content: content["names"].__setitem__(0, [True]), "not a list of its tokens"),
        (lambda content: content.__setitem__("tokens", [1]), "not a list of texts"),
        (lambda content: content["tokens"].pop(), "token_embedding has shape"),
        (lambda content: content.__setitem__("context_length", 0), "context length"),
    ],
)
def test_vocabulary_of_a_stranger_is_refused(fleet, tmp_path, change, said):
    there = tmp_path / "run"
    shutil.copytree(fleet.path, there)
    content = json.loads((there / VOCABULARY).read_text())
    change(content)
    (there / VOCABULARY).write_text(json.dumps(content))
    done = json.loads((there / DONE).read_text())
    done[VOCABULARY] = fingerprint(there / VOCABULARY)
    (there / DONE).write_text(json.dumps(done))
    with pytest.raises(InputError, match=said):
        read_run(there)


def test_other_trainings_do_not_start_from_its_tokens(fleet):
    with pytest.raises(InputError, match="has other tokens"):
        edge_job(path(4), start=fleet)


def test_interventions_that_read_nodes_are_refused():
    with pytest.raises(InputError, match="in sentences there are none"):
        sentence_job("cycle", interventions=["dirichlet"])
    with pytest.raises(InputError, match="more sentences"):
        sentence_job("cycle", task=tell_in("graph", told=1), training=PathTraining(batches=50))


def test_command_shows_writes_and_tells(tmp_path, capsys):
    assert main(["tell", "path", "--nodes", "3", "--told", "1", "--show", "2"]) == 0
    shown = capsys.readouterr().out
    assert "is linked to" in shown
    assert "4 texts" in shown
    file = tmp_path / "told.txt"
    assert main(["tell", "europe", "--out", str(file)]) == 0
    assert file.read_text().splitlines()[0] == "Albania borders Greece."
    capsys.readouterr()
    arguments = ["--nodes", "3", "--epochs", "2", "--batches", "1", "--warmup-steps", "0", "--width", "8"]
    given = ["tell", "path", *arguments, "--seeds", "1", "--directory", str(tmp_path), "--layers", "1"]
    assert main(given) == 0
    run = capsys.readouterr().out.strip()
    assert read_run(run).task.tokens == "words"
    assert main(["tell", "path", "--model", "node2vec"]) == 2
    assert "reads no sentences" in capsys.readouterr().err
    assert main(["tell", "path", "--templates", "nowhere"]) == 2
    assert main(["export", run, "-o", str(tmp_path / "folder")]) == 2
    assert "sentences" in capsys.readouterr().err
