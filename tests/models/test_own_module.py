"""A module of a person's own: runs equal runs alone, resume to the bit, and what is wrong is said."""

import json
import linecache
import logging
import pickle
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import own_factories
import pytest
import torch
from own_factories import Lstm
from torch import nn

import geomem
import geomem.training.loop as loop_module
from geomem.errors import InputError
from geomem.models.architecture import Sizes, check_model
from geomem.models.decoding import decode_greedily
from geomem.models.model import compute_logits, initialize_parameters
from geomem.models.networks import own as network
from geomem.models.own import _LOADED, load_module, own_module
from geomem.models.own_source import find_source
from geomem.models.sequences import advance_sequence, begin_sequence, read_states
from geomem.models.written_out import write_out
from geomem.runs.configuration import read_model
from geomem.runs.edges import edge_job
from geomem.runs.run import read_run
from geomem.training.configuration import PathTraining, RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.training.loop import state_from_arrays, state_to_arrays
from geomem.worlds.graphs.families import cycle, path_star
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

FILE = Path(own_factories.__file__)
GRAPH = path_star(arms=3, length=3)
EXAMPLES = edge_examples(GRAPH, EdgeMemorization())
PAIRS = directed_facts(GRAPH, EdgeMemorization())
SIZES = Sizes(29, 7, 16)
SHORT = Training(steps=12, metric_every=5, snapshots=4)
RUNS = [RunSettings(seed=4, learning_rate=0.01), RunSettings(seed=1, learning_rate=0.02, weight_decay=0.1)]
FACTORIES = [own_factories.lstm, own_factories.attending, own_factories.last]
MODULES = sorted((Path(__file__).parents[2] / "examples" / "modules").glob("*.py"))


def fit(factory, sizes=SIZES):
    return own_module(factory).fit(sizes)


def draw(model, runs=2):
    sizes = dict(zip(("vocabulary_size", "context_length", "node_count"), model.sizes, strict=True))
    return initialize_parameters(model, **sizes, seeds=range(runs))


def train(factory, runs=RUNS, **options):
    model = fit(factory, Sizes(EXAMPLES.vocabulary_size, 2, GRAPH.node_count))
    return train_fleet(model, EXAMPLES, PAIRS, GRAPH.node_count, runs, SHORT, **options)


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(3, 4, 2, batch_first=True),
        nn.LSTM(3, 4, bidirectional=True, proj_size=2),
        nn.LSTM(3, 4, bias=False),
        nn.GRU(3, 4, 2, bidirectional=True),
        nn.GRU(3, 4, bias=False, batch_first=True),
        nn.RNN(3, 4, nonlinearity="relu"),
        nn.RNN(3, 4, 2, batch_first=True),
        nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False)),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("begun", [False, True])
def test_layers_written_out_are_those_of_torch(layer, begun):
    inputs = torch.randn(5, 2, 3)
    recurrent = not isinstance(layer, nn.Sequential)
    with torch.no_grad():
        given = (inputs, layer(inputs)[1]) if begun and recurrent else (inputs,)
    alone = inputs[0] if getattr(layer, "batch_first", True) else inputs[:, 0]

    def compute():
        found = layer(*given)
        outputs, last = found if recurrent else (found, found)
        gradients = torch.autograd.grad(outputs.square().sum(), list(layer.parameters()))
        return [outputs, *(last if isinstance(last, tuple) else [last]), layer(alone)[0], *gradients]

    wanted = compute()
    write_out(layer)
    for one, other in zip(compute(), wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    if recurrent:
        with pytest.raises(TypeError, match="was given PackedSequence"):
            layer(nn.utils.rnn.pack_sequence([inputs[0]]))


@pytest.mark.parametrize("factory", FACTORIES)
def test_logits_of_a_fleet_are_those_of_each_module_alone(factory):
    model = fit(factory)
    parameters = draw(model)
    tokens = torch.randint(29, (4, 7), generator=torch.Generator().manual_seed(1))
    logits = compute_logits(model, parameters, tokens)
    for seed in range(2):
        module = network._make(model, SIZES, seed)
        alone = module(tokens)
        torch.testing.assert_close(logits[seed], alone if alone.ndim == 2 else alone[:, -1])


@pytest.mark.parametrize("factory", [*FACTORIES, own_factories.looking_ahead])
def test_every_position_is_read_from_the_tokens_up_to_it(factory):
    model = fit(factory)
    parameters = draw(model)
    tokens = torch.randint(29, (2, 3, 7), generator=torch.Generator().manual_seed(3))
    whole = read_states(model, parameters, tokens, first_read=1, shared=0)
    assert whole.shape == (2, 3, 6, 29)
    for end in (2, 5, 7):
        prefixes = tokens[:, :, :end]
        state, cache = begin_sequence(model, parameters, prefixes, shared=0)
        torch.testing.assert_close(whole[:, :, end - 2], state)
        assert cache.length == end
    state, cache = begin_sequence(model, parameters, tokens[:, :, :2])
    states, _ = advance_sequence(model, parameters, tokens[:, :, 2:4], cache)
    torch.testing.assert_close(states, whole[:, :, 1:3])
    shared = tokens[:1, :, :3]
    steps, given = [], shared.expand(2, -1, -1)
    for _ in range(3):
        best = begin_sequence(model, parameters, given, shared=0)[0].argmax(dim=-1)
        given = torch.cat([given, best[:, :, None]], dim=2)
        steps.append(best)
    assert torch.equal(decode_greedily(model, parameters, shared, 3), torch.stack(steps, dim=2))


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_run_in_a_fleet_equals_the_run_alone(factory):
    fleet = train(factory)
    alone = train(factory, RUNS[1:])
    np.testing.assert_allclose(fleet.metrics["loss"][:, 1], alone.metrics["loss"][:, 0], rtol=1e-4)
    np.testing.assert_allclose(fleet.snapshots[:, 1], alone.snapshots[:, 0], rtol=1e-3, atol=1e-4)
    assert (fleet.metrics["loss"][-1] < fleet.metrics["loss"][0]).all()


@pytest.mark.parametrize("factory", FACTORIES)
def test_killed_and_resumed_it_ends_in_the_same_bits(factory, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    whole, states = train(factory), []
    train(factory, on_checkpoint=lambda state: states.append(state_to_arrays(state)))
    again = train(factory, state=state_from_arrays(states[6]))
    assert all(torch.equal(whole.parameters[name], again.parameters[name]) for name in whole.parameters)
    assert all(np.array_equal(whole.metrics[name], again.metrics[name]) for name in whole.metrics)
    assert np.array_equal(whole.snapshots, again.snapshots)


def test_a_fleet_follows_the_loop_that_people_write():
    """AdamW over an `nn.Module` of its own, from the same weights."""
    fleet = train(own_factories.lstm, [RunSettings(seed=3, learning_rate=0.01)])
    module = network._make(own_module(own_factories.lstm), Sizes(EXAMPLES.vocabulary_size, 2, 7), 3)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.0)
    cosine = [0.1 + 0.45 * (1 + np.cos(np.pi * step / (SHORT.steps - 1))) for step in range(SHORT.steps)]
    sources = torch.tensor(EXAMPLES.prefixes[EXAMPLES.fact_examples])
    targets, weights = torch.tensor(EXAMPLES.fact_targets), torch.tensor(EXAMPLES.fact_weights)
    for share in cosine:
        optimizer.param_groups[0]["lr"] = 0.01 * share
        optimizer.zero_grad()
        losses = nn.functional.cross_entropy(module(sources)[:, -1], targets, reduction="none")
        (losses * weights).sum().backward()
        optimizer.step()
    table = fleet.parameters["token_embedding"][0]
    torch.testing.assert_close(table, module.embed.weight.detach(), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_examples_train_all_runs_at_once(path, tmp_path, caplog):
    assert len(path.read_text().splitlines()) <= 60
    model = load_module(f"{path}:factory")
    fleet = geomem.memorize(GRAPH, model=model, training=SHORT, seeds=2, directory=tmp_path)
    assert (fleet.final()["loss"] < fleet.curves()["loss"][0]).all()
    assert network.try_module(fleet.model.given).together is not None
    assert fleet.model.width == 32
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_which_modules_are_computed_at_once():
    assert [network.try_module(fit(factory).given).together is not None for factory in FACTORIES] == [
        *(True, True, False)
    ]


def test_tensors_are_kept_by_their_names_and_the_embedding_by_ours():
    model = fit(own_factories.attending)
    assert model.embedding == "table.weight"
    assert model.width == own_factories.WIDTH
    parameters = draw(model)
    assert list(parameters) == ["places", "token_embedding", "mixing.weight", "mixing.bias", "mask"]
    described = model.tensors(SIZES)
    assert not described["mask"].trained
    assert {name: (2, *each.shape) for name, each in described.items()} == {
        name: tuple(tensor.shape) for name, tensor in parameters.items()
    }


def test_an_embedding_is_named_where_it_is_not_the_only_one():
    def two(sizes):
        first, second = (nn.Embedding(sizes.vocabulary_size, sizes.vocabulary_size) for _ in range(2))
        module = own_factories.Wrapped(sizes, lambda own, tokens: first(tokens) + second(tokens))
        module.embed, module.first, module.second = None, first, second
        return module

    assert own_module(two).fit(SIZES).embedding == ""
    assert own_module(two, embedding="second").fit(SIZES).embedding == "second.weight"
    with pytest.raises(InputError, match=r"no parameter 'third'; name one of first.weight, second.weight\.$"):
        own_module(two, embedding="third").fit(SIZES)


def test_a_module_is_measured_without_an_embedding(tmp_path, caplog):
    fleet = geomem.memorize(cycle(6), model=own_factories.last, training=SHORT, seeds=2, directory=tmp_path)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([text for text in said if "are computed one after another" in text]) == 1
    assert len([text for text in said if "no geometry is measured" in text]) == 1
    assert set(fleet.final()) == {"loss", "associative_accuracy", "top1_accuracy"}
    portrait = geomem.measure_fleet(read_run(fleet.path))
    assert "loss" in portrait
    assert portrait.reading == ""
    assert "--embedding" in portrait.notes[0]
    with pytest.raises(InputError, match="embedding is not known, so there is nothing to draw"):
        geomem.write_report([fleet], tmp_path / "report.html")


def test_a_kept_run_needs_no_code_to_be_measured_and_reported(tmp_path, monkeypatch):
    fleet = geomem.memorize(GRAPH, model=own_factories.lstm, training=SHORT, seeds=2, directory=tmp_path)
    monkeypatch.setattr("geomem.models.own._LOADED", {})
    network.try_module.cache_clear()
    kept = read_run(fleet.path)
    assert geomem.measure_fleet(kept).measurements
    assert geomem.write_report([kept], tmp_path / "report.html").stat().st_size > 10_000
    text = (tmp_path / "report.html").read_text()
    assert "own_factories.py:lstm" in text
    with pytest.raises(InputError, match=r"not loaded, and no run brings code of its own; give --module "):
        kept.model.fit(SIZES)


def test_the_same_again_is_a_cache_hit_whoever_names_the_file(tmp_path):
    fleet = geomem.memorize(GRAPH, model=own_factories.lstm, training=SHORT, seeds=2, directory=tmp_path)
    loaded = load_module(f"{FILE}:lstm")
    assert edge_job(GRAPH, model=loaded, training=SHORT, seeds=2).path(tmp_path) == fleet.path


def test_paths_are_found_and_go_on_from_edges(tmp_path):
    star = path_star(arms=6, length=3)
    short = PathTraining(epochs=3, batches=2, metric_every=1, warmup_steps=1, stop_at=0.0)
    fleet = geomem.find_paths(star, model=own_factories.lstm, training=short, seeds=2, directory=tmp_path)
    assert (fleet.curves()["loss"][-1] < fleet.curves()["loss"][0]).all()
    again = geomem.find_paths(star, training=short, directory=tmp_path, start=fleet)
    assert again.model == fleet.model
    with pytest.raises(InputError, match="precision is 'bfloat16' and the model a module of your own"):
        geomem.find_paths(star, model=own_factories.lstm, training=PathTraining(precision="bfloat16"))


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (
            own_factories.too_narrow,
            r"gives \(3, 2, 5\) for .* \(3, 2\); expected .* \(3, 2, 29\), or \(3, 29\) of",
        ),
        (own_factories.counting, r"keeps state between calls: calls changed; use layers"),
        (own_factories.normalizing, r"keeps state between calls: norm.running_mean changed; use layers"),
        (
            own_factories.dropping,
            r"other logits for the same tokens when it is called again: it keeps state or",
        ),
        (own_factories.mixing_examples, r"other logits for an example alone than beside .* batch_first=True"),
        (own_factories.in_a_tuple, r"returns a tuple; let it return the logits alone"),
        (own_factories.raising, r"raised RuntimeError \(.*\) for tokens of shape \(3, 2\); it has to take"),
        (own_factories.in_double, r"weight of .* holds float64; make it float32"),
        (own_factories.without_parameters, r"has no parameter to train; make its weights nn\.Parameter"),
        (own_factories.no_module, r"returned a dict; let it return a torch\.nn\.Module"),
        (own_factories.failing, r"raised AttributeError \(.*\); it is called with sizes, which has voc"),
        (
            own_factories.drawing_elsewhere,
            r"makes other weights the second time, from the same seed of torch",
        ),
    ],
)
def test_what_is_wrong_with_a_module_is_one_sentence(factory, said):
    with pytest.raises(InputError, match=rf"^The (module|factory|parameter).*{said}[^.]*.*\.$"):
        fit(factory)


def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import torch\nfactory = undefined\n")
    for named, said in (
        ("mine.py", r"^The module is 'mine\.py'; give file and function, as in mine\.py:factory\.$"),
        (f"{tmp_path}/none.py:factory", r"There is no file .*none\.py; give one that exists\.$"),
        (f"{broken}:factory", r"^broken\.py could not be executed \(NameError: .*\); mend it"),
        (f"{FILE}:lstn", r"defines no 'lstn'; did you mean lstm"),
        (f"{FILE}:NOT_CALLABLE", r"^NOT_CALLABLE in .* is a int; name a function"),
    ):
        with pytest.raises(InputError, match=said):
            load_module(named)
    with pytest.raises(InputError, match=r"The model is a int; give an architecture, its name, or a"):
        find_source(3)


def test_what_a_factory_takes_from_around_it_tells_runs_apart(monkeypatch):
    def make(layers):
        return lambda sizes: Lstm(sizes.vocabulary_size, layers=layers)

    def with_default(layers):
        return lambda sizes, layers=layers: Lstm(sizes.vocabulary_size, layers=layers)

    for one in (make, with_default):
        assert own_module(one(1)) == own_module(one(1)) != own_module(one(2))
    plain = own_module(own_factories.attending)
    assert own_module(partial(own_factories.attending, mask=True)).digest != plain.digest
    monkeypatch.setattr(own_factories, "WIDTH", 9)  # a global that the class of the factory's module uses
    assert own_module(own_factories.attending).digest != plain.digest
    strange = object()
    with pytest.raises(InputError, match=r"uses 'strange', an object of type object, and runs are"):
        own_module(lambda sizes: strange)


def test_in_a_notebook_the_text_of_what_is_used_stands_for_a_file():
    cells = {
        "1": "from torch import nn\nclass Net(nn.Embedding):\n    pass\n",
        "2": "def factory(sizes):\n    return Net(sizes.vocabulary_size, sizes.vocabulary_size)\n",
        "3": "class Net(nn.Embedding):\n    twice = True\n",
    }
    notebook, models = {"__name__": "__main__"}, []
    for number, text in cells.items():
        name = f"<cell {number}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), notebook)
        if "factory" in notebook:
            models.append(own_module(notebook["factory"]))
    assert models[0].source == "notebook:factory"
    assert models[0].digest != models[1].digest
    linecache.cache.pop("<cell 2>")
    with pytest.raises(InputError, match=r"source of factory cannot be read, and runs are told apart"):
        own_module(notebook["factory"])


def test_a_manifest_that_describes_no_tensors_is_refused():
    model = fit(own_factories.lstm)
    stored = json.loads(json.dumps({"kind": model.name, **asdict(model)}))
    assert read_model(Path("here"), stored) == model
    check_model(model)
    for changes in (
        {"described": ["embed.weight 29xx8"]},
        {"described": ["embed.weight 0x8"]},
        {"described": ["other 3"]},
        {"described": ["embed.weight 29x8", "token_embedding 29x8"]},
        {"width": 9},
        {"sizes": [29]},
    ):
        with pytest.raises(InputError):
            check_model(read_model(Path("here"), stored | changes))


def test_other_processes_learn_of_the_factory():
    model = load_module(f"{FILE}:lstm").fit(SIZES)
    sent = pickle.dumps(model)
    known = _LOADED.pop(model.key)
    assert pickle.loads(sent) == model
    assert _LOADED[model.key].path == known.path
    direct = pickle.dumps(own_module(own_factories.lstm))
    _LOADED.pop(model.key)
    assert pickle.loads(direct).factory() is own_factories.lstm


def test_renaming_the_nodes_permutes_the_results():
    """The start of a module is its own, so the start is permuted through a state."""
    permutation = np.random.default_rng(0).permutation(GRAPH.node_count)
    model = fit(own_factories.lstm, Sizes(EXAMPLES.vocabulary_size, 2, GRAPH.node_count))
    parameters = draw(model)
    renamed = {name: tensor.clone() for name, tensor in parameters.items()}
    nodes = torch.tensor(permutation)
    renamed["token_embedding"][:, nodes] = parameters["token_embedding"][:, : len(nodes)]
    for name in ("head.weight", "head.bias"):
        renamed[name][:, nodes] = parameters[name][:, : len(nodes)]
    prefixes = torch.tensor(EXAMPLES.prefixes)
    moved = prefixes.clone()
    moved[:, -1] = nodes[moved[:, -1]]
    logits = compute_logits(model, parameters, prefixes)
    torch.testing.assert_close(compute_logits(model, renamed, moved)[:, :, nodes], logits[:, :, : len(nodes)])
