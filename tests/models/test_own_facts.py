"""Facts learned by a module of a person's own: ours in their place, fleets, resumption, measurements."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import own_factories
import pytest
import torch
from own_factories import WIDTH
from torch import nn

import geomem
import geomem.training.loop as loop_module
from geomem.cli import main
from geomem.cli.own import execute
from geomem.errors import InputError
from geomem.geometry.superposition import fit_superposition
from geomem.measure.facts import describe_unmeasured, draw_portrait, measure_memory
from geomem.measure.recall_portrait import Unmeasured
from geomem.memories.answers import memory_answers, recalled_facts
from geomem.models.configuration import Recall
from geomem.models.model import trainable_names
from geomem.models.networks import own as network
from geomem.models.own import OwnModule
from geomem.report.card import show_run
from geomem.report.memories import write_memory_report
from geomem.runs.checks import check_memory
from geomem.runs.facts import fact_job, learn_facts, question_answers
from geomem.runs.run import memory_size, read_run
from geomem.training.configuration import RecallRun, RecallTraining, RunSettings
from geomem.training.facts import train_recall
from geomem.training.loop import FleetState, state_from_arrays, state_to_arrays
from geomem.worlds.facts.families import random_bijections, random_permutations
from geomem.worlds.facts.table import answers, object_tokens, token_labels

TABLE = random_bijections(12, 3)
FAMILY = random_permutations(6, 2)
SHORT = RecallTraining(steps=40, learning_rate=0.02, warmup_steps=4, metric_every=10)
RUNS = [RunSettings(seed=4, learning_rate=0.01), RunSettings(seed=1, learning_rate=0.02, weight_decay=0.1)]
LSTM = f"{own_factories.__file__}:lstm"


class Block(nn.Module):
    """The recall model of one hop, as a person would write it."""

    def __init__(self, vocabulary, *, whole):
        super().__init__()
        self.embed, self.head = nn.Embedding(vocabulary, WIDTH), nn.Linear(WIDTH, vocabulary, bias=False)
        self.whole = whole
        if whole:
            self.query, self.key, self.value, self.output = (
                nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)
            )
            self.expand, self.contract = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)

    def forward(self, tokens):
        states = self.embed(tokens)
        if not self.whole:
            return self.head(states.sum(dim=1))
        asked = states[:, -1]
        scores = (self.key(states) @ self.query(asked)[:, :, None]) / WIDTH**0.5
        mixed = asked + (scores.softmax(dim=1) * self.output(self.value(states))).sum(dim=1)
        return self.head(mixed + self.contract(self.expand(mixed).relu()))


def recall_block(sizes):
    return Block(sizes.vocabulary_size, whole=True)


def linear_memory(sizes):
    return Block(sizes.vocabulary_size, whole=False)


def runs_of(factory, settings=RUNS, *, table=TABLE, hops=1):
    model = fact_job(table, model=factory, hops=hops).model
    asked = question_answers(table, hops)
    return [RecallRun(model, memory_size(table), asked, one, object_tokens(table)) for one in settings]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    training = replace(SHORT, steps=120, learning_rate=0.05)
    return learn_facts(
        random_permutations(16, 2),
        model=own_factories.lstm,
        training=training,
        seeds=2,
        directory=tmp_path_factory.mktemp("learned"),
    )


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("table", [TABLE, FAMILY], ids=["objects apart", "objects are subjects"])
def test_a_module_that_is_the_recall_model_learns_as_it_does(whole, table):
    """From the same weights: rows of the token tables that ours does not have are never moved."""
    model = Recall(width=WIDTH, mlp_width=16 if whole else 0, attention="content" if whole else "none")
    own = [RecallRun(model, memory_size(table), answers(table), settings) for settings in RUNS]
    ours, states = train_recall(own, SHORT), []
    still = [replace(run, settings=RunSettings(run.settings.seed, 0.0)) for run in own]
    first = train_recall(still, replace(SHORT, steps=1, warmup_steps=0)).parameters
    factory = recall_block if whole else linear_memory
    runs, job = runs_of(factory, table=table), fact_job(table, model=factory)
    labels = token_labels(table)
    entities = torch.arange(table.subject_count + table.relation_count)
    drawn = {
        "token_embedding": torch.zeros(2, len(labels), WIDTH),
        "head.weight": torch.zeros(2, len(labels), WIDTH),
    }
    drawn["token_embedding"][:, entities] = torch.cat(
        [first["subject_embedding"], first["relation_embedding"]], dim=1
    )
    drawn["head.weight"][:, object_tokens(table)] = first["output_embedding"]
    for name in ("query", "key", "value", "output") if whole else ():
        drawn[f"{name}.weight"] = first[f"block_0.attention.{name}.weight"]
    for name in ("expand", "contract") if whole else ():
        drawn |= {f"{name}.{part}": first[f"block_0.mlp.{name}.{part}"] for part in ("weight", "bias")}
    flat = torch.cat([drawn[name].flatten(1) for name in trainable_names(job.model)], dim=1).numpy()
    moments = {name: np.zeros_like(flat) for name in ("first_moment", "second_moment")}
    none = np.zeros((0, 2, table.subject_count, WIDTH), np.float32)
    state = FleetState(0, flat, moments, {}, np.zeros(0, np.int64), none, np.zeros(0, np.int64))
    theirs = train_recall(runs, SHORT, state=state, on_checkpoint=states.append)
    for name, curve in ours.metrics.items():
        np.testing.assert_allclose(theirs.metrics[name], curve, rtol=1e-3, atol=1e-4)
    vectors = theirs.parameters["token_embedding"][:, : table.subject_count]
    torch.testing.assert_close(vectors, ours.parameters["subject_embedding"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("factory", [own_factories.lstm, own_factories.last])
@pytest.mark.parametrize("batch", [0, 4])
def test_a_run_in_a_fleet_equals_the_run_alone_and_resumes_in_the_same_bits(factory, batch, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    training, states = replace(SHORT, batch_subjects=batch), []
    fleet = train_recall(
        runs_of(factory), training, on_checkpoint=lambda state: states.append(state_to_arrays(state))
    )
    alone = train_recall(runs_of(factory, RUNS[1:]), training)
    for name, curve in fleet.metrics.items():
        np.testing.assert_allclose(curve[:, 1], alone.metrics[name][:, 0], rtol=1e-3, atol=1e-4)
    assert (fleet.metrics["loss"][-1] < fleet.metrics["loss"][0]).all()
    again = train_recall(runs_of(factory), training, state=state_from_arrays(states[16]))
    assert all(torch.equal(fleet.parameters[name], again.parameters[name]) for name in fleet.parameters)
    assert all(np.array_equal(fleet.metrics[name], again.metrics[name]) for name in fleet.metrics)


def test_what_it_is_asked_are_subject_and_relations(tmp_path):
    """Two hops: the module's own logits at the last token, of the objects alone."""
    memory = learn_facts(
        FAMILY, model=own_factories.lstm, hops=2, training=SHORT, seeds=2, directory=tmp_path
    )
    assert (memory.model.hops, memory.model.sizes) == (2, (8, 3, 6))
    assert token_labels(FAMILY) == [*FAMILY.subjects, *FAMILY.relations]
    module = network.try_module(memory.model.given).module
    weights = {name: torch.tensor(array[1]) for name, array in memory.weights().items()}
    weights["embed.weight"] = weights.pop("token_embedding")
    tokens = torch.tensor([[subject, 6 + r, 6 + s] for subject in range(6) for r in (0, 1) for s in (0, 1)])
    logits = torch.func.functional_call(module, weights, (tokens,))[:, -1, object_tokens(FAMILY)]
    np.testing.assert_array_equal(memory_answers(memory).objects[1], logits.argmax(-1).view(6, 4))
    right = (logits.argmax(-1).view(6, 4).numpy() == question_answers(FAMILY, 2)).mean()
    assert memory.final()["recall"][1] == pytest.approx(right)


def test_a_memory_of_a_module_is_asked_and_kept(learned, tmp_path, monkeypatch):
    memory = read_run(learned.path, holding="facts")
    assert memory.model.name == "module"
    assert isinstance(memory.model, OwnModule)
    assert recalled_facts(memory).all()
    assert (memory.final()["recall"] == 1).all()
    table = memory.table
    subject, relation, target = (int(number) for number in table.facts[5])
    asked = geomem.ask(memory, table.subjects[subject], table.relations[relation])
    assert asked.answers == (table.objects[target],)
    told = []
    again = learn_facts(
        table,
        model=own_factories.lstm,
        training=replace(SHORT, steps=120, learning_rate=0.05),
        seeds=2,
        directory=learned.path.parent,
        on_progress=told.append,
    )
    assert (again.path, told[0].finished) == (learned.path, True)
    exported = geomem.export_run(memory, tmp_path / "plain", format="safetensors")
    assert json.loads((exported.path / "rows.json").read_text())["token_embedding"] == token_labels(table)
    with pytest.raises(InputError, match=r"^transformers has nothing that computes"):
        geomem.export_run(memory, tmp_path / "hf")
    monkeypatch.setattr("geomem.models.own._LOADED", {})
    with pytest.raises(InputError, match=r"not loaded, and no run brings code of its own; give --module "):
        geomem.ask(memory, table.subjects[subject], table.relations[relation])


def test_superposition_is_measured_from_the_weights_alone(learned, tmp_path, monkeypatch):
    monkeypatch.setattr("geomem.models.own._LOADED", {})
    rows = measure_memory(learned)
    assert rows["recall"].to_list() == [1.0, 1.0]
    weights = learned.weights()
    fit = fit_superposition(
        weights["token_embedding"][1][:16].astype(np.float64),
        weights["head.weight"][1][object_tokens(learned.table)],
        answers(learned.table),
    )
    assert rows["superposition"][1] == pytest.approx(fit.score)
    assert rows["swap_best"].is_nan().all()
    with pytest.raises(Unmeasured, match="is not asked with other subject vectors"):
        _ = draw_portrait(learned).swaps
    assert "subjects' rows of embed.weight" in describe_unmeasured(learned)
    page = write_memory_report([learned], tmp_path / "page.html").read_text()
    assert "random-permutations-16-2-seed0, own_factories.py:lstm" in page
    assert "swaps, transfer) is not measured, for no run brings code" in page
    assert "own_factories.py:lstm" in show_run(learned)


def test_without_an_embedding_recall_is_measured_alone(tmp_path):
    memory = learn_facts(TABLE, model=own_factories.last, training=SHORT, seeds=1, directory=tmp_path)
    assert memory.embeddings().shape == (1, 12, 0)
    (row,) = measure_memory(memory).rows(named=True)
    assert row["recall"] == memory.final()["recall"][0]
    assert np.isnan(row["superposition"])
    said = r"^Of the module own_factories.py:last recall alone is measured: its embedding is not known .*\.$"
    assert re.match(said, describe_unmeasured(memory))
    page = write_memory_report([memory], tmp_path / "page.html").read_text()
    assert "recall alone is measured" in page
    assert "recall alone is measured" in show_run(memory)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": own_factories.too_narrow}, r"gives \(3, 2, 5\) for .* logits of shape \(3, 2, 27\), or "),
        ({"model": own_factories.counting}, r"keeps state between calls: calls changed; use layers"),
        ({"model": "mamba"}, r"The model is a mamba, which learns graphs; for facts give a Recall, or a"),
        ({"model": own_factories.lstm, "hops": 2}, r"has no chain of 2 hops to learn; .* or hops=1"),
        ({"model": own_factories.lstm, "hops": 0}, r"hops is 0; give a whole number from 1 to 100"),
        ({"model": Recall(), "hops": 2}, r"hops is 2 and the model's hops are 1; give one of them"),
    ],
)
def test_what_is_wrong_is_one_sentence(options, said):
    with pytest.raises(InputError, match=rf"^.*{said}[^.]*.*\.$"):
        fact_job(TABLE, **options)


def test_a_module_that_was_made_for_another_table_is_refused(learned):
    configuration = learned.configuration
    other = random_bijections(16, 2)
    with pytest.raises(InputError, match="its module was made for another table"):
        check_memory(learned.place, configuration, other, 0, 0)
    for sizes in ([18, 200, 16], [18, 1, 16], [18, 90, 16]):
        model = configuration["model"] | {"sizes": sizes}
        with pytest.raises(InputError, match=f"its module reads {sizes[1]} tokens"):
            check_memory(learned.place, {**configuration, "model": model}, learned.table, 0, 0)


def test_on_the_command_line(tmp_path, capsys):
    execute.cache_clear()
    folder = ["--directory", str(tmp_path)]
    words = ["random-permutations", "--entities", "7", "--relations", "2", "--seeds", "1", "--steps", "30"]
    assert main(["learn", *words, "--module", LSTM, "--hops", "2", *folder]) == 0
    shown = capsys.readouterr()
    assert f"Executing {Path(own_factories.__file__)}" in shown.err
    assert "module own_factories.py:lstm" in shown.err
    assert re.search(r"recall .* % of 28 chains of 2 relations, .*, module own_factories.py:lstm", shown.out)
    memory = shown.out.splitlines()[-1]
    subject, *relations = read_run(memory).table.subjects[:1] + read_run(memory).table.relations
    assert main(["ask", memory, subject, *relations, "--module", LSTM]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
    assert main(["measure", memory, "--json"]) == 0
    shown = capsys.readouterr()
    assert "subjects' rows of embed.weight" in shown.err
    assert json.loads(shown.out)["runs"][0]["map_cosine"] is None
    assert main(["learn", *words, "--module", LSTM, "--width", "3", *folder]) == 2
    assert "unrecognized options: --width" in capsys.readouterr().err
