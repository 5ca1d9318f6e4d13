from dataclasses import replace

import numpy as np
import pytest
import torch

from block_superposition import (
    binary_codes,
    block_superposition,
    plain_answers,
    plain_jacobians,
    plain_states,
    random_answers,
)
from geomem.geometry.selector import (
    constancy,
    gate_variance_explained,
    mean_between_relations,
    read_out_cosines,
    summarize_jacobians,
)
from geomem.measure import probes as recall_probes
from geomem.measure.probes import (
    judge_vectors,
    load_network,
    measure_gate_rates,
    network_answers,
    network_states,
    open_network,
    states_of,
    summarize_network_jacobians,
)
from geomem.models.configuration import Recall
from geomem.models.networks.recall import initialize_recall
from geomem.models.randomness import generator_for
from geomem.models.recall import RecallSize


def random_network(model, *, subjects=12, relations=3, objects=9):
    """A network with biases and norms away from their start, and its subject vectors."""
    size = RecallSize(subjects, relations, objects)
    parameters = initialize_recall([model], [size], seeds=[3], dtype=torch.float64)
    for name, values in parameters.items():
        if values.ndim == 2:
            values += 0.3 * torch.randn(values.shape, generator=generator_for(0, name), dtype=torch.float64)
    return open_network(model, parameters), parameters["subject_embedding"][0].numpy()


def arrays_of(network):
    return {name: values[0].numpy() for name, values in network.parameters.items()}


@pytest.mark.parametrize("relations", [1, 3])
def test_block_superposition_in_the_model_class_is_the_same_memory(relations):
    answers = random_answers(64, relations)
    weights = block_superposition(answers, binary_codes(64), flag=3)
    width, neurons = weights["subject_embedding"].shape[1], len(weights["block_0.mlp.expand.bias"])
    model = Recall(width=width, mlp_width=neurons, attention="uniform")
    network = load_network(model, weights)
    S = weights["subject_embedding"]
    assert np.array_equal(network_answers(network, S), answers)
    for r in range(relations):
        assert np.allclose(network_states(network, S)[:, r], plain_states(weights, S, r)[0])
    known = np.ones(answers.shape, bool)
    summary = summarize_network_jacobians(network, 0.9 * S, known)
    assert constancy(summary) == pytest.approx([1.0] * relations)
    rates = measure_gate_rates(network, S, known)
    if relations > 1:
        assert gate_variance_explained(rates) == pytest.approx(1.0)
        assert mean_between_relations(read_out_cosines(summary.means, network.unembedding)) == pytest.approx(
            0, abs=1e-12
        )


@pytest.mark.parametrize("attention", ["content", "uniform", "none"])
@pytest.mark.parametrize("neurons", [0, 11])
def test_closed_form_equals_differentiation_of_the_same_network(attention, neurons):
    network, S = random_network(Recall(width=7, mlp_width=neurons, attention=attention))
    known = np.random.default_rng(0).random((12, 3)) < 0.7
    known[:, 2] = False
    closed = summarize_network_jacobians(network, S, known)
    general = recall_probes._by_differentiation(network, S, known)
    assert np.allclose(closed.means, general.means)
    assert np.allclose(closed.squares, general.squares)
    assert closed.squares[2] == 0


def test_closed_form_equals_finite_differences_of_a_plain_forward_pass():
    network, S = random_network(Recall(width=6, mlp_width=10))
    weights = arrays_of(network)
    assert np.array_equal(network_answers(network, S), plain_answers(weights, S))
    expected = summarize_jacobians(plain_jacobians(weights, S))
    found = summarize_network_jacobians(network, S, np.ones((12, 3), bool))
    assert np.allclose(found.means, expected.means, atol=1e-7)
    assert np.allclose(found.squares, expected.squares, rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        Recall(width=5, mlp_width=8, layers=2),
        Recall(width=5, mlp_width=8, layer_norm=True),
        Recall(width=5, mlp_width=8, hops=2),
        Recall(width=5, mlp_width=8, layers=2, attention="uniform", layer_norm=True),
    ],
    ids=["two layers", "LayerNorm", "two hops", "all"],
)
def test_other_networks_are_differentiated(model):
    network, S = random_network(model)
    known = np.random.default_rng(1).random((12, 3**model.hops)) < 0.8
    found = summarize_network_jacobians(network, S, known)
    step = 1e-6 * np.eye(5)
    columns = [
        (network_states(network, S + nudge) - network_states(network, S - nudge)) / 2e-6 for nudge in step
    ]
    J = np.stack(columns, axis=-1)
    for path in range(known.shape[1]):
        own = J[known[:, path], path]
        assert np.allclose(found.means[path], own.mean(axis=0), atol=1e-6)
        assert found.squares[path] == pytest.approx((own**2).sum(axis=(1, 2)).mean(), rel=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        Recall(width=5, mlp_width=8),
        Recall(width=5, mlp_width=8, attention="none"),
        Recall(width=5, mlp_width=8, layers=2, layer_norm=True),
        Recall(width=5, mlp_width=8, hops=2),
    ],
    ids=["plain", "no head", "two layers", "two hops"],
)
def test_an_open_gate_is_one_whose_bias_moves_the_output(model):
    network, S = random_network(model)
    known = np.random.default_rng(2).random((12, 3**model.hops)) < 0.8
    name = f"block_{model.layers - 1}.mlp.expand.bias"
    counts = np.zeros((known.shape[1], 8))
    mix = torch.randn(5, dtype=torch.float64, generator=generator_for(1, "mix"))
    for x, path in np.argwhere(known):
        bias = network.parameters[name].clone().requires_grad_()
        moved = replace(network, parameters=network.parameters | {name: bias})
        (states_of(moved, torch.tensor(S[x : x + 1]))[0, path] @ mix).backward()
        assert bias.grad is not None
        counts[path] += (bias.grad[0] != 0).numpy()
    assert np.allclose(measure_gate_rates(network, S, known), counts / known.sum(axis=0)[:, None])


def test_without_neurons_there_is_no_gate():
    network, S = random_network(Recall(width=5, mlp_width=0))
    assert measure_gate_rates(network, S, np.ones((12, 3), bool)).shape == (3, 0)


def test_judgement_of_vectors_by_hand():
    network, S = random_network(Recall(width=5, mlp_width=8))
    answers = np.random.default_rng(5).integers(-1, 9, size=(12, 3))
    states = torch.tensor(network_states(network, S))
    logits, known = states @ network.table.T, torch.tensor(answers >= 0)
    targets = torch.tensor(answers)
    expected = torch.nn.functional.cross_entropy(logits[known], targets[known]).item()
    recall, loss = judge_vectors(network, S, answers)
    assert loss == pytest.approx(expected)
    assert recall == (logits.argmax(dim=-1) == targets)[known].double().mean().item()
    assert judge_vectors(network, S, network_answers(network, S))[0] == 1.0
    blank = replace(network, table=torch.ones_like(network.table))
    assert judge_vectors(blank, S, answers) == pytest.approx((0.0, np.log(9)))


def test_chunks_change_nothing(monkeypatch):
    network, S = random_network(Recall(width=5, mlp_width=8))
    known = np.random.default_rng(3).random((12, 3)) < 0.5
    whole = summarize_network_jacobians(network, S, known)
    rates, answers = measure_gate_rates(network, S, known), network_answers(network, S)
    judged = judge_vectors(network, S, answers)
    monkeypatch.setattr("geomem.measure.probes.CHUNK_NUMBERS", 3 * 8 * 5)
    parts = summarize_network_jacobians(network, S, known)
    assert np.allclose(parts.means, whole.means)
    assert np.allclose(parts.squares, whole.squares)
    assert np.allclose(measure_gate_rates(network, S, known), rates)
    assert np.array_equal(network_answers(network, S), answers)
    assert judge_vectors(network, S, answers) == pytest.approx(judged)


def test_tied_networks_read_out_with_the_trained_table_whatever_vectors_are_asked():
    model = Recall(width=5, mlp_width=8, tied=True)
    network, S = random_network(model, subjects=9)
    before = network.unembedding.copy()
    assert np.array_equal(before, S)
    network_answers(network, 5 * S)
    assert np.array_equal(network.unembedding, before)


def test_a_run_of_a_fleet_is_the_run_alone():
    model, size = Recall(width=5, mlp_width=8), RecallSize(6, 2, 6)
    fleet = initialize_recall([model] * 3, [size] * 3, seeds=[0, 1, 2])
    alone = open_network(model, initialize_recall([model], [size], seeds=[1]))
    vectors = np.random.default_rng(4).normal(size=(4, 5))
    assert np.allclose(
        network_states(open_network(model, fleet, run=1), vectors), network_states(alone, vectors)
    )
