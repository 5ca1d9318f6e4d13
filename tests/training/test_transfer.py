import numpy as np
import pytest
import torch

from block_superposition import binary_codes, block_superposition, random_answers
from geomem.errors import InputError
from geomem.geometry.reinitialization import RULES, choose_rule, measure_transfer
from geomem.geometry.superposition import fit_superposition
from geomem.measure.probes import (
    judge_vectors,
    network_answers,
    open_network,
    states_of,
    summarize_network_jacobians,
)
from geomem.measure.transfer import SubjectTraining, draw_network, train_subjects
from geomem.models.configuration import Recall
from geomem.models.networks.recall import initialize_recall, load_recall
from geomem.models.randomness import generator_for
from geomem.models.recall import RecallSize
from geomem.training.configuration import RecallRun, RecallTraining, RunSettings
from geomem.training.facts import train_recall


@pytest.fixture(scope="module")
def network():
    model = Recall(width=12, mlp_width=24)
    return draw_network(model, RecallSize(20, 2, 15), seed=1)


def plain_training(network, answers, start, steps, learning_rate=0.05, epsilon=1e-8):
    """The same with torch's cross-entropy and Adam as its paper has it: recall on the way, final vectors."""
    vectors = start.double().requires_grad_()
    first, second = torch.zeros_like(vectors), torch.zeros_like(vectors)
    targets = torch.tensor(answers)
    known, recall = targets >= 0, []
    for step in range(1, steps + 2):
        logits = states_of(network, vectors) @ network.table.T
        recall.append((logits.argmax(dim=-1) == targets)[known].double().mean().item())
        loss = torch.nn.functional.cross_entropy(logits[known], targets[known])
        (gradient,) = torch.autograd.grad(loss, vectors)
        first, second = 0.9 * first + 0.1 * gradient, 0.98 * second + 0.02 * gradient**2
        move = (first / (1 - 0.9**step)) / ((second / (1 - 0.98**step)).sqrt() + epsilon)
        vectors = (vectors - learning_rate * move).detach().requires_grad_()
    return np.array(recall), vectors.detach()


def test_equals_adam_and_cross_entropy_by_hand(network):
    answers = random_answers(15, 2)
    answers[3, 1] = answers[7, 0] = -1
    found = train_subjects(network, answers, steps=12, seed=5).recall
    start = torch.randn(15, 12, generator=generator_for(5, "fresh subjects")) * 12**-0.5
    expected, _ = plain_training(network, answers, start, 12)
    # Float32 against float64: one of the 28 facts may turn a step later.
    assert found == pytest.approx(expected[: len(found)], abs=1 / 28 + 1e-9)
    assert np.abs(found - expected[: len(found)]).mean() < 0.01


def test_subjects_learn_alone_as_they_do_among_others(network):
    """The reason why a sample suffices: no vector's way depends on which others are trained."""
    answers, start = random_answers(15, 2), 0.1 * torch.ones(15, 12)
    _, among_all = plain_training(network, answers, start, 10, epsilon=1e-14)
    _, alone = plain_training(network, answers[:4], start[:4], 10, epsilon=1e-14)
    assert torch.allclose(among_all[:4], alone, atol=1e-7)


def test_block_superposition_learns_new_facts_through_its_gates():
    answers = random_answers(64, 2)
    weights = block_superposition(answers, binary_codes(64), flag=3)
    model = Recall(
        width=weights["subject_embedding"].shape[1],
        mlp_width=len(weights["block_0.mlp.expand.bias"]),
        attention="uniform",
    )
    trained = train_subjects(open_network(model, load_recall(model, weights)), random_answers(64, 2, seed=1))
    assert trained.best == 1.0
    assert trained.steps_to(0.99) < 250
    assert np.isfinite(trained.steps_to(0.5))


def test_the_network_stays_and_the_seed_decides(network):
    before = {name: values.clone() for name, values in network.parameters.items()}
    answers = random_answers(15, 2)
    first, again, other = (train_subjects(network, answers, steps=9, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.recall, again.recall)
    assert not np.array_equal(first.recall, other.recall)
    assert all(torch.equal(values, before[name]) for name, values in network.parameters.items())
    assert len(train_subjects(network, answers, steps=9, subjects=4).recall) <= 10


def test_a_drawn_network_is_none_that_a_run_starts_from():
    model, size = Recall(width=4, mlp_width=8), RecallSize(5, 2, 5)
    start = initialize_recall([model], [size], seeds=[0])
    drawn = draw_network(model, size, seed=0)
    assert not torch.allclose(drawn.parameters["output_embedding"].float(), start["output_embedding"])


def test_steps_to_a_recall():
    learned = SubjectTraining(np.array([0.1, 0.5, 0.4, 1.0]))
    assert (learned.best, learned.steps_to(0.5), learned.steps_to()) == (1.0, 1.0, 3.0)
    assert np.isnan(SubjectTraining(np.array([0.1, 0.5])).steps_to())


def test_a_tied_model_is_refused():
    tied = draw_network(Recall(width=4, mlp_width=8, tied=True), RecallSize(5, 2, 5))
    with pytest.raises(InputError, match="subject table is its read-out"):
        train_subjects(tied, random_answers(5, 2))


@pytest.fixture(scope="module", params=[8, 32])
def trained(request):
    """A memory that holds all its facts: one with few dimensions and one with dimensions to spare."""
    answers, width = random_answers(64, 2), request.param
    model, size = Recall(width=width, mlp_width=4 * width, subject_scale=0.05), RecallSize(64, 2, 64)
    training = RecallTraining(steps=200, learning_rate=0.02)
    found = train_recall([RecallRun(model, size, answers, RunSettings(0, 0.02, 0.0))], training)
    network, S = open_network(model, found.parameters), found.parameters["subject_embedding"][0].double()
    fit = fit_superposition(S.numpy(), network.unembedding, answers)
    jacobians = summarize_network_jacobians(network, S.numpy(), answers >= 0).means
    return network, answers, S.numpy(), fit, jacobians


@pytest.mark.parametrize("name", RULES)
def test_the_choice_has_no_end_and_no_single_fact_flips_it(trained, name):
    """Left out one of the facts that choose, the transfer that is read stays where it was."""
    network, answers, S, fit, jacobians = trained

    def transfer_without(fact):
        def judge(vectors, asked):
            asked = asked.copy()
            # The search starts with the first subjects alone.
            if fact < asked.size:
                asked.flat[fact] = -1
            return judge_vectors(network, vectors, asked)

        rule = choose_rule(name, fit, jacobians, S, answers, judge)
        assert not rule.at_limit
        return measure_transfer(
            rule, answers, lambda vectors: network_answers(network, vectors)
        ).recall.mean()

    found = np.array([transfer_without(fact) for fact in range(0, 120, 30)])
    assert np.ptp(found) < 0.06
