"""The recall model against a plain NumPy program, one question at a time; padding; gradients; loading."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.constructions.answering import recall_logits
from geomem.constructions.one_hop import block_superposition
from geomem.errors import InputError
from geomem.models.configuration import Recall, check_recall
from geomem.models.loss import Questions, differentiate_recall, measure_recall
from geomem.models.networks.recall import (
    all_paths,
    compute_recall_logits,
    compute_recall_states,
    initialize_recall,
    load_recall,
    recall_output_table,
)
from geomem.models.recall import RecallSize, count_trained, describe_recall_parameters, estimate_recall_cost
from geomem.worlds.facts.families import partial_facts, random_bijections

SIZE = RecallSize(subjects=7, relations=3, objects=5)
BASE = Recall(width=6, mlp_width=10)
VARIANTS = [
    {},
    {"attention": "uniform"},
    {"attention": "none"},
    {"mlp_width": 0},
    {"layers": 3},
    {"layers": 2, "attention": "none"},
    {"layer_norm": True, "layers": 2},
    {"layer_norm": True, "mlp_width": 0},
    {"hops": 2},
    {"hops": 3, "attention": "uniform"},
    {"hops": 2, "layers": 2, "layer_norm": True},
    {"tied": True},
]


def variant(changes):
    return dataclasses.replace(BASE, **changes)


def fresh(models, sizes=None, seeds=None, dtype=torch.float64):
    sizes = sizes or [SIZE] * len(models)
    parameters = initialize_recall(models, sizes, seeds=seeds or range(len(models)), dtype=dtype)
    # Biases start at zero, where an error in them would hide.
    for name, tensor in parameters.items():
        if name.endswith("bias"):
            own = torch.arange(tensor.shape[1]) < torch.tensor(
                [
                    [describe_recall_parameters(m, s)[name].shape[0]]
                    for m, s in zip(models, sizes, strict=True)
                ]
            )
            tensor += own * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))
    return parameters


def reference_logits(model, weights, subject, path):
    """All tokens of one question through all blocks: nothing shared, nothing left out."""

    def norm(name, x):
        if not model.layer_norm:
            return x
        normed = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        return normed * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    tokens = [weights["subject_embedding"][subject], *weights["relation_embedding"][list(path)]]
    if model.attention == "none":
        tokens[-1] = tokens[0] + tokens[-1]
    for block in range(model.layers):
        name = f"block_{block}"
        normed = [norm(f"{name}.attention_norm", token) for token in tokens]
        mixed = []
        for place, token in enumerate(tokens):
            if model.attention == "none":
                mixed.append(token)
                continue
            W = {
                part: weights[f"{name}.attention.{part}.weight"]
                for part in ("query", "key", "value", "output")
            }
            scores = np.array(
                [(W["query"] @ normed[place]) @ (W["key"] @ seen) for seen in normed[: place + 1]]
            ) / np.sqrt(model.width)
            chances = np.exp(scores - scores.max())
            chances /= chances.sum()
            for chance, seen in zip(chances, normed, strict=False):
                token = token + W["output"] @ (chance * (W["value"] @ seen))
            if model.hops > 1:
                for hop in range(1, place + 1):
                    token = token + weights[f"{name}.attention.position_{hop}.weight"] @ normed[hop]
            mixed.append(token)
        tokens = mixed
        if model.mlp_width:
            mlp = f"{name}.mlp"
            for place, token in enumerate(tokens):
                hidden = weights[f"{mlp}.expand.weight"] @ norm(f"{mlp}_norm", token)
                hidden = np.maximum(hidden + weights[f"{mlp}.expand.bias"], 0)
                tokens[place] = (
                    token + weights[f"{mlp}.contract.weight"] @ hidden + weights[f"{mlp}.contract.bias"]
                )
    table = weights["subject_embedding" if model.tied else "output_embedding"]
    return table @ norm("final_norm", tokens[-1])


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_question_as_the_plain_program_answers_it(changes):
    model = variant(changes)
    parameters = fresh([model, model])
    paths = all_paths(SIZE.relations, model.hops)
    logits = compute_recall_logits(model, parameters, paths)
    for run in range(2):
        weights = {name: tensor[run].numpy() for name, tensor in parameters.items()}
        for subject in (0, 6):
            for number, path in enumerate(paths.tolist()):
                expected = reference_logits(model, weights, subject, path)
                np.testing.assert_allclose(logits[run, subject, number], expected, atol=1e-12)


def test_the_order_of_relations_matters():
    model = variant({"hops": 2})
    logits = compute_recall_logits(model, fresh([model]), torch.tensor([[0, 1], [1, 0]]))
    assert (logits[:, :, 0] - logits[:, :, 1]).abs().min() > 1e-6


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_chosen_subjects_are_rows_of_the_whole(changes):
    model = variant(changes)
    parameters, paths = fresh([model, model]), all_paths(SIZE.relations, model.hops)
    chosen = torch.tensor([[5, 1, 1], [0, 2, 6]])
    some = compute_recall_logits(model, parameters, paths, subjects=chosen)
    whole = compute_recall_logits(model, parameters, paths)
    torch.testing.assert_close(some, torch.stack([whole[0, chosen[0]], whole[1, chosen[1]]]))


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_a_padded_run_answers_as_alone(changes):
    models = [variant(changes | {"width": 4, "mlp_width": 6 if BASE.mlp_width else 0}), variant(changes)]
    models[0] = dataclasses.replace(models[0], mlp_width=min(6, models[1].mlp_width))
    sizes = [RecallSize(5, 2, 4), SIZE]
    together = fresh(models, sizes, seeds=[3, 4])
    widths = torch.tensor([4.0, 6.0], dtype=torch.float64)
    whole = compute_recall_logits(
        models[1], together, all_paths(SIZE.relations, models[1].hops), widths=widths
    )
    alone = fresh([models[0]], sizes[:1], seeds=[3])
    # Biases of `fresh` are drawn in the padded shape: take the fleet's.
    for name, tensor in alone.items():
        tensor[0] = together[name][0][tuple(map(slice, tensor.shape[1:]))]
    expected = compute_recall_logits(models[0], alone, all_paths(2, models[0].hops))
    kept = (all_paths(SIZE.relations, models[0].hops) < 2).all(dim=1)
    objects = expected.shape[3]
    torch.testing.assert_close(whole[0, :5, kept, :objects], expected[0])


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_gradients_are_finite_differences(changes):
    """The hand-made gradient of the loss, carried on by autograd, against (L(w + e) - L(w - e)) / 2e."""
    model = variant(changes)
    size = dataclasses.replace(SIZE, objects=SIZE.subjects) if model.tied else SIZE
    parameters = {name: tensor.requires_grad_() for name, tensor in fresh([model], [size]).items()}
    paths = all_paths(size.relations, model.hops)
    generator = torch.Generator().manual_seed(2)
    questions = Questions(
        targets=torch.randint(4, (1, 7 * len(paths)), generator=generator),
        weights=torch.rand(1, 7 * len(paths), generator=generator, dtype=torch.float64),
        penalties=torch.tensor([[0.0] * 4 + [-torch.inf] * (size.objects - 4)], dtype=torch.float64),
    )

    def loss():
        states = compute_recall_states(model, parameters, paths)
        return states, measure_recall(states.flatten(1, 2), recall_output_table(model, parameters), questions)

    states, _ = loss()
    table = recall_output_table(model, parameters)
    upstream = differentiate_recall(states.flatten(1, 2), table, questions)
    outputs = [states, table]
    gradients = torch.autograd.grad(
        outputs, list(parameters.values()), [upstream[0].view_as(states), upstream[1]], allow_unused=True
    )
    for (name, tensor), gradient in zip(parameters.items(), gradients, strict=True):
        if gradient is None:
            assert "query" in name or "key" in name
            continue
        flat, at = tensor.detach().view(-1), int(torch.argmax(gradient.abs()))
        values = []
        for sign in (1, -1):
            flat[at] += sign * 1e-6
            values.append(loss()[1]["loss"].item())
            flat[at] -= sign * 1e-6
        assert gradient.view(-1)[at].item() == pytest.approx(
            (values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-7
        )


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1, 7, 40, 1 << 20]))
def test_pieces_give_what_the_whole_gives(seed, piece):
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(3, 4, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    table = torch.randn(3, 5, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(5, (3, 4), generator=generator)
    weights = torch.rand(3, 4, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 1, 0, 1])
    logits = states @ table.transpose(1, 2)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    expected = (losses.view(3, 4) * weights).sum(dim=1)
    gradients = torch.autograd.grad(expected.sum(), [states, table])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geomem.models.loss.GRID_NUMBERS", piece)
        questions = Questions(targets, weights)
        found = measure_recall(states.detach(), table.detach(), questions)
        torch.testing.assert_close(differentiate_recall(states, table, questions), gradients)
    torch.testing.assert_close(found["loss"], expected.detach())
    counted = weights > 0
    right = (logits.argmax(dim=-1) == targets) & counted
    assert found["recalled"].tolist() == right.sum(dim=1).tolist()


def test_a_tie_is_wrong_and_nan_is_no_recall():
    questions = Questions(torch.tensor([[0, 1]]), torch.full((1, 2), 0.5))
    tie = measure_recall(torch.ones(1, 2, 1), torch.ones(1, 2, 1), questions)
    assert tie["recalled"].item() == 0
    assert tie["margin"].item() == 0
    broken = measure_recall(torch.full((1, 2, 1), torch.nan), torch.ones(1, 2, 1), questions)
    assert broken["recalled"].item() == 0
    assert torch.isnan(broken["margin"]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_without_a_run_axis_load_and_answer(dtype):
    """A block superposition by hand: two relations, payloads one-hot, the relation opens its half."""
    N, R = 4, 2
    answers = np.array([[1, 2], [0, 3], [3, 0], [2, 1]])
    d = R * N + R + N
    payload, flag, answer = np.arange(R * N), R * N + np.arange(R), R * N + R + np.arange(N)
    model = Recall(width=d, mlp_width=R * N, attention="uniform")
    subjects = np.zeros((N, d))
    for r in range(R):
        subjects[np.arange(N), r * N + answers[:, r]] = 1
    relations = np.zeros((R, d))
    relations[np.arange(R), flag] = 1
    move = np.zeros((d, d))
    move[payload, payload] = 2
    expand = np.zeros((R * N, d))
    expand[payload, payload] = 1
    expand[payload, flag.repeat(N)] = 1
    contract = np.zeros((d, R * N))
    contract[np.tile(answer, R), payload] = 1
    name = "block_0"
    weights = {
        "subject_embedding": subjects,
        "relation_embedding": relations,
        **{f"{name}.attention.{part}.weight": np.zeros((d, d)) for part in ("query", "key")},
        f"{name}.attention.value.weight": move,
        f"{name}.attention.output.weight": np.eye(d),
        f"{name}.mlp.expand.weight": expand,
        f"{name}.mlp.expand.bias": -np.ones(R * N),
        f"{name}.mlp.contract.weight": contract,
        f"{name}.mlp.contract.bias": np.zeros(d),
        "output_embedding": np.eye(d)[answer],
    }
    parameters = load_recall(model, weights, dtype=dtype)
    logits = compute_recall_logits(model, parameters, all_paths(R, 1))
    np.testing.assert_array_equal(logits[0].numpy(), np.eye(N)[answers])
    with pytest.raises(InputError, match="belong together"):
        load_recall(dataclasses.replace(model, mlp_width=3), weights)
    with pytest.raises(InputError, match="no tensor"):
        load_recall(dataclasses.replace(model, mlp_width=0), weights)
    with pytest.raises(InputError, match="no table relation_embedding"):
        load_recall(model, {"subject_embedding": subjects})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constructed_weights_give_their_own_answers_here(dtype):
    table = partial_facts(random_bijections(24, 3, world_seed=5), 0.8)
    memory = block_superposition(table)
    expand = memory.weights["block_0.mlp.expand.weight"]
    model = Recall(width=expand.shape[1], mlp_width=expand.shape[0], attention="uniform")
    logits = compute_recall_logits(model, load_recall(model, memory.weights, dtype=dtype), all_paths(3, 1))
    subject, relation, target = table.facts.T
    found = logits[0].numpy()[subject, relation]
    assert found.argmax(axis=-1).tolist() == target.tolist()
    top = np.sort(found, axis=-1)
    assert (top[:, -1] - top[:, -2]).min() >= memory.margin * (1 - 1e-6)
    expected = recall_logits(memory.weights, subject, relation)
    np.testing.assert_allclose(found, expected, atol=1e-6 if dtype == torch.float32 else 1e-12)


def test_sizes_and_starts():
    model = variant({"layers": 2, "layer_norm": True, "frozen": ("subjects",), "subject_scale": 0.1})
    size = RecallSize(2000, 3, 5)
    parameters = initialize_recall([model], [size], seeds=[0])
    assert parameters["subject_embedding"].std().item() == pytest.approx(0.1 * 6**-0.5, rel=0.05)
    trained = sum(tensor.numel() for name, tensor in parameters.items() if name != "subject_embedding")
    assert count_trained(model, size) == trained
    uniform = variant({"attention": "uniform"})
    assert count_trained(uniform, size) == count_trained(BASE, size) - 2 * 36
    cost = estimate_recall_cost([BASE, variant({"width": 12})], [SIZE, size])
    assert cost.trained_parameters == count_trained(variant({"width": 12}), size)
    with pytest.raises(ValueError, match="differ in more"):
        initialize_recall([BASE, variant({"layers": 2})], [SIZE] * 2, seeds=[0, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "at least 1"),
        ({"mlp_width": -1}, "at least 0"),
        ({"attention": "hard"}, "one of 'content', 'uniform', 'none'"),
        ({"frozen": ("facts",)}, "'subjects', 'relations', 'objects'"),
        ({"tied": True, "frozen": ("objects",)}, "no table of objects"),
        ({"hops": 2, "attention": "none"}, "order of relations"),
        ({"subject_scale": float("nan")}, "subject_scale"),
    ],
)
def test_impossible_models_are_refused(changes, message):
    # Literal fields take any word unless types are checked where the dataclass is made, so go round that.
    model = variant({})
    for name, value in changes.items():
        object.__setattr__(model, name, value)
    with pytest.raises(InputError, match=message):
        check_recall(model)
