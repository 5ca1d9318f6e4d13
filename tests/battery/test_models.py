"""Every architecture by what it must be able to do: a new one is tested the day it is registered."""

import dataclasses
import json
from dataclasses import asdict, fields
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.devices import DEVICES

import geomem.training.loop as loop_module
from geomem.errors import InputError
from geomem.fields import check_fields
from geomem.models.configuration import MODELS, check_model, path_models
from geomem.models.decoding import decode_greedily
from geomem.models.model import compute_logits, initialize_parameters, node_embeddings, trainable_names
from geomem.models.objective import make_objective
from geomem.models.parameters import LIBRARY_BYTES, describe_parameters, estimate_cost
from geomem.models.sequences import advance_sequence, begin_sequence, read_out_table, read_states
from geomem.runs.presets import PATH_PRESETS
from geomem.training.configuration import RunSettings, Training, check_training, default_training
from geomem.training.edges import train_fleet
from geomem.training.loop import FleetState, state_from_arrays, state_to_arrays
from geomem.training.metrics import metrics_of
from geomem.worlds.graphs.families import irregular
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

WIDTH = 8
METRICS = tuple(metric.name for metric in metrics_of("edges"))


def small(name):
    """The architecture at a width of eight; two blocks if it has any, each added to its input."""
    kind = MODELS[name]
    blocks = {"layers": 2, "residual": True}
    blocks = {field.name: blocks[field.name] for field in fields(kind) if field.name in blocks}
    return kind(width=WIDTH, **blocks)


def variants(name):
    """The small model, and every other value of its switches and words, one at a time."""
    base = small(name)
    hints = get_type_hints(type(base))
    found = [base]
    for field in fields(base):
        hint, now = hints[field.name], getattr(base, field.name)
        words = (True, False) if hint is bool else get_args(hint) if get_origin(hint) is Literal else ()
        found += [dataclasses.replace(base, **{field.name: word}) for word in words if word != now]
    return found


NAMES = list(MODELS)
SMALL = [small(name) for name in NAMES]
VARIANTS = [model for name in NAMES for model in variants(name)]
READERS = [model for model in VARIANTS if model.laptop is not None]
SIZES = {"vocabulary_size": 29, "context_length": 7, "node_count": 16}
GRAPH = irregular()
EXAMPLES = edge_examples(GRAPH, EdgeMemorization())
PAIRS = directed_facts(GRAPH, EdgeMemorization())
SHORT = Training(steps=12, metric_every=5, snapshots=4, warmup_steps=2)
RUNS = [
    RunSettings(seed=4, learning_rate=0.01),
    RunSettings(seed=1, learning_rate=0.02, weight_decay=0.1),
    RunSettings(seed=4, learning_rate=0.01, scale=2.0),
]


def draw_parameters(model, runs=2, *, sizes=SIZES, dtype=torch.float64):
    """Parameters far from their start: no bias is zero, every token matters."""
    parameters = initialize_parameters(model, **sizes, seeds=range(runs), dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    return {
        name: tensor + 0.3 * torch.randn(tensor.shape, generator=generator, dtype=dtype)
        for name, tensor in parameters.items()
    }


def train(model, runs=RUNS, training=SHORT, **options):
    return train_fleet(model, EXAMPLES, PAIRS, GRAPH.node_count, runs, training, **options)


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_says_what_a_page_needs(name):
    kind = MODELS[name]
    assert kind.name == name
    assert (kind.__doc__ or "").partition("\n")[0].endswith((".", ":", ")"))
    assert "| start |" in (kind.tensors.__doc__ or "") or "Those of" in (kind.tensors.__doc__ or "")
    check_training(default_training(kind()))
    assert set(kind.remarks) <= {field.name for field in fields(kind)}
    if kind.laptop is not None:
        check_model(path_models()[name])
        assert kind.block_calls > 0


@pytest.mark.parametrize("model", VARIANTS, ids=str)
def test_a_configuration_survives_the_manifest(model):
    stored = json.loads(json.dumps({"kind": model.name, **asdict(model)}))
    again = MODELS[stored.pop("kind")](**stored)
    assert again == model
    assert json.dumps(asdict(again)) == json.dumps(asdict(model))


@settings(max_examples=30)
@given(st.sampled_from(NAMES).flatmap(lambda name: st.from_type(MODELS[name])))
def test_bounds_at_the_fields_draw_models_that_only_contradictions_refuse(model):
    """What hypothesis draws from the fields alone passes their check; `check` may still refuse it."""
    check_fields(model)
    try:
        check_model(model)
    except InputError:
        with pytest.raises(InputError, match=r"^[^;]+; [^.]+\.$"):
            model.check()


@pytest.mark.parametrize("name", NAMES)
def test_every_bound_is_checked(name):
    for field in fields(MODELS[name]):
        hint = get_type_hints(MODELS[name])[field.name]
        wrong = -1 if hint in (int, float) else "no such word" if get_origin(hint) is Literal else None
        if wrong is not None:
            model = small(name)
            object.__setattr__(model, field.name, wrong)
            with pytest.raises(InputError, match=rf"^{field.name} is {wrong!r}; give .*\.$"):
                check_model(model)


@pytest.mark.parametrize("model", VARIANTS, ids=str)
def test_every_tensor_starts_as_its_table_says(model):
    wide = dataclasses.replace(model, width=64)
    parameters = initialize_parameters(wide, **SIZES, seeds=[5, 9, 2])
    described = describe_parameters(wide, **SIZES)
    assert list(parameters) == list(described)
    alone = initialize_parameters(wide, **SIZES, seeds=[9])
    for name, tensor in parameters.items():
        start = described[name]
        assert tensor.shape == (3, *start.shape)
        assert torch.equal(tensor[1:2], alone[name])
        if start.start == "normal":
            assert tensor.std().item() == pytest.approx(start.deviation, rel=0.15)
            assert not torch.equal(tensor[0], tensor[1])
        elif start.start == "uniform":
            assert tensor.abs().max().item() <= 3**0.5 * start.deviation * (1 + 1e-6)
            assert tensor.std().item() == pytest.approx(start.deviation, rel=0.15)
        elif start.start in ("zeros", "ones"):
            assert (tensor == (start.start == "ones")).all()
    trained = sum(parameters[name][0].numel() for name in trainable_names(wide))
    cost = estimate_cost(wide, **SIZES, example_count=31, run_count=3)
    assert cost.trained_parameters == trained
    assert cost.memory_bytes > 4 * 4 * 3 * trained
    assert cost.flops_per_step > 0
    twice = estimate_cost(wide, **SIZES, example_count=31, run_count=6)
    assert twice.memory_bytes - LIBRARY_BYTES == 2 * (cost.memory_bytes - LIBRARY_BYTES)


@pytest.mark.parametrize("model", VARIANTS, ids=str)
def test_shapes_and_the_rows_of_the_nodes(model):
    parameters = draw_parameters(model)
    prefixes = torch.tensor([[4, 9], [4, 3], [4, 0]])
    tokens = SIZES["node_count"] if model.scores == "nodes" else SIZES["vocabulary_size"]
    logits = compute_logits(model, parameters, prefixes)
    assert logits.shape == (2, 3, tokens)
    torch.testing.assert_close(compute_logits(model, parameters, prefixes, shared=0), logits)
    nodes = node_embeddings(model, parameters, 5)
    assert nodes.shape == (2, 5, WIDTH)
    assert nodes.data_ptr() == parameters["token_embedding"].data_ptr()


@pytest.mark.parametrize("model", VARIANTS, ids=str)
def test_the_gradient_matches_finite_differences(model):
    """Along random directions of every tensor; Node2Vec's closed form is of a sum over nodes, no mean."""
    sizes = {"vocabulary_size": EXAMPLES.vocabulary_size, "context_length": 2, "node_count": 16}
    parameters = draw_parameters(model, sizes=sizes)
    if getattr(model, "dropout", 0):
        pytest.skip("the mask of a step is drawn")
    names = trainable_names(model)
    gradient = torch.empty(2, sum(parameters[name][0].numel() for name in names), dtype=torch.float64)
    objective = make_objective(model, parameters, gradient, EXAMPLES, seeds=[0, 1])
    objective.differentiate(0)
    weight = EXAMPLES.example_count if model.scores == "nodes" else 1
    first, step, generator = 0, 1e-6, torch.Generator().manual_seed(1)
    for name in names:
        tensor = parameters[name]
        part = gradient[:, first : first + tensor[0].numel()].view(tensor.shape)
        first += tensor[0].numel()
        direction = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        tensor += step * direction
        above = objective.evaluate().losses
        tensor -= 2 * step * direction
        below = objective.evaluate().losses
        tensor += step * direction
        wanted = (part * direction).flatten(1).sum(dim=1)
        measured = weight * (above - below) / (2 * step)
        torch.testing.assert_close(measured, wanted, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize("optimizer", ["adamw", "gradient-descent"])
@pytest.mark.parametrize("model", SMALL, ids=str)
def test_every_model_learns_with_every_optimizer(model, optimizer):
    rate = 0.01 if model.scores == "nodes" or optimizer == "adamw" else 2.0
    runs = [RunSettings(seed=seed, learning_rate=rate) for seed in range(3)]
    fleet = train(model, runs, Training(steps=60, optimizer=optimizer, snapshots=3))
    assert (fleet.metrics["loss"][-1] < fleet.metrics["loss"][0]).all()
    assert fleet.snapshots.shape == (3, 3, 16, WIDTH)
    assert fleet.snapshots.dtype == np.float32
    assert {name: rows.shape for name, rows in fleet.metrics.items()} == dict.fromkeys(METRICS, (13, 3))


@pytest.mark.parametrize("model", VARIANTS, ids=str)
def test_a_run_in_a_fleet_equals_the_run_alone(model):
    fleet = train(model)
    for place in (1, 2):
        alone = train(model, [RUNS[place]])
        np.testing.assert_allclose(fleet.snapshots[:, place], alone.snapshots[:, 0], rtol=1e-3, atol=1e-4)
        for name in ("loss", "geometric_level"):
            np.testing.assert_allclose(
                fleet.metrics[name][:, place], alone.metrics[name][:, 0], rtol=1e-4, atol=1e-4
            )


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", ["adamw", "gradient-descent"])
@pytest.mark.parametrize("model", SMALL, ids=str)
def test_killed_anywhere_and_resumed_ends_in_the_same_bits(model, optimizer, device, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    training = dataclasses.replace(SHORT, optimizer=optimizer)
    whole = train(model, training=training, device=device)
    for last in (1, 5, 7, training.steps):
        saved = {}

        def checkpoint(state, saved=saved, last=last):
            saved.update(state_to_arrays(state))
            if state.step == last:
                raise Killed

        with pytest.raises(Killed):
            train(model, training=training, on_checkpoint=checkpoint, device=device)
        assert saved["step"] == last
        again = train(model, training=training, state=state_from_arrays(saved), device=device)
        assert all(torch.equal(whole.parameters[name], again.parameters[name]) for name in whole.parameters)
        assert all(
            np.array_equal(whole.metrics[name], again.metrics[name], equal_nan=True) for name in METRICS
        )
        assert np.array_equal(whole.snapshots, again.snapshots)
        assert np.array_equal(whole.metric_steps, again.metric_steps)
        assert np.array_equal(whole.snapshot_steps, again.snapshot_steps)


@pytest.mark.parametrize("model", SMALL, ids=str)
def test_renaming_the_nodes_permutes_the_results(model):
    permutation = np.random.default_rng(0).permutation(GRAPH.node_count)
    renamed = dataclasses.replace(
        GRAPH, labels=tuple(np.array(GRAPH.labels)[np.argsort(permutation)]), edges=permutation[GRAPH.edges]
    )
    fresh = initialize_parameters(
        model,
        vocabulary_size=EXAMPLES.vocabulary_size,
        context_length=2,
        node_count=GRAPH.node_count,
        seeds=[run.seed for run in RUNS],
        scales=[run.scale for run in RUNS],
    )
    for name, tensor in fresh.items():
        # Tables have a row per node; the permuted start is the same start of the renamed nodes.
        if name.endswith("_embedding") and name != "position_embedding":
            tensor[:, permutation] = tensor[:, : GRAPH.node_count].clone()
    flat = torch.cat([fresh[name].flatten(1) for name in trainable_names(model)], dim=1).numpy()
    start = FleetState(
        step=0,
        parameters=flat,
        optimizer_state={name: np.zeros_like(flat) for name in ("first_moment", "second_moment")},
        metrics={name: np.zeros((0, 3)) for name in METRICS},
        metric_steps=np.zeros(0, dtype=np.int64),
        snapshots=np.zeros((0, 3, GRAPH.node_count, WIDTH), dtype=np.float32),
        snapshot_steps=np.zeros(0, dtype=np.int64),
    )
    if "token_embedding" not in trainable_names(model):
        pytest.skip("what is not trained is drawn by name and stays with the place, not with the node")
    task = EdgeMemorization()
    other = train_fleet(
        model, edge_examples(renamed, task), directed_facts(renamed, task), 16, RUNS, SHORT, state=start
    )
    fleet = train(model)
    np.testing.assert_allclose(other.snapshots[:, :, permutation], fleet.snapshots, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(other.metrics["loss"], fleet.metrics["loss"], rtol=1e-4)


@pytest.mark.parametrize("model", READERS, ids=str)
def test_a_sequence_in_pieces_is_that_of_every_prefix_alone(model):
    parameters = draw_parameters(model)
    tokens = torch.randint(0, 29, (2, 3, 7), generator=torch.Generator().manual_seed(3))
    tokens[:, :, 0] = 5
    whole = read_states(model, parameters, tokens, first_read=1)
    state, cache = begin_sequence(model, parameters, tokens[:, :, :2])
    pieces = [state[:, :, None]]
    for start, end in ((2, 3), (3, 7)):
        states, cache = advance_sequence(model, parameters, tokens[:, :, start:end], cache)
        pieces.append(states)
    torch.testing.assert_close(torch.cat(pieces, dim=2), whole, rtol=1e-9, atol=1e-10)
    logits = torch.einsum("rqsd,rvd->rqsv", whole, read_out_table(model, parameters))
    for run in range(2):
        own = {name: tensor[run : run + 1] for name, tensor in parameters.items()}
        for end in (2, 7):
            alone = compute_logits(model, own, tokens[run, :, :end], shared=0)[0]
            torch.testing.assert_close(logits[run, :, end - 2], alone, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("model", READERS, ids=str)
def test_decoding_is_that_of_the_whole_sequence(model):
    parameters = draw_parameters(model)
    prefixes = torch.randint(0, 29, (2, 4, 3), generator=torch.Generator().manual_seed(4))
    tokens = prefixes
    for _ in range(3):
        states = read_states(model, parameters, tokens, first_read=tokens.shape[2] - 1, shared=0)[:, :, 0]
        best = (states @ read_out_table(model, parameters).transpose(1, 2)).argmax(dim=-1, keepdim=True)
        tokens = torch.cat([tokens, best], dim=2)
    assert torch.equal(decode_greedily(model, parameters, prefixes, 3), tokens[:, :, 3:])


def test_presets_name_architectures_that_find_paths():
    for preset in PATH_PRESETS.values():
        assert {name: model.name for name, model in preset.models.items()} == {
            name: name for name in preset.models
        }
        assert set(preset.models) <= set(path_models())
