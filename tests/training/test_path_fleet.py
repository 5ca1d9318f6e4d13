"""Path fleets: the naive loss's gradient, brute-force metrics, runs alone, resumption, what is learnt."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.devices import DEVICES

from geomem.errors import InputError
from geomem.models.configuration import Bilinear, Mamba, Transformer
from geomem.models.model import compute_logits, initialize_parameters, trainable_names
from geomem.training import loop as loop_module
from geomem.training.configuration import PathTraining, RunSettings
from geomem.training.loop import join_parameters, state_from_arrays, state_to_arrays
from geomem.training.path_batches import context_length, count_vocabulary, make_batches, path_examples
from geomem.training.paths import lose, make_path_problem, train_paths
from geomem.training.start import start_from
from geomem.worlds.graphs.families import path_star, tree_star
from geomem.worlds.in_context import InContextPathFinding, in_context_rows
from geomem.worlds.path_finding import PathFinding

STAR = path_star(arms=12, length=4)
EXAMPLES = path_examples(STAR, PathFinding(pauses=2))
PROMPTS = InContextPathFinding(arms=2, length=3, node_tokens=7)
SMALL = Transformer(layers=2, width=8, heads=2, position_scale=0.02)
MAMBA = Mamba(layers=2, width=8, residual=True, final_norm=True)
SHORT = PathTraining(epochs=3, batches=3, metric_every=2, warmup_steps=2, snapshots=3, prompts=5)
RUNS = [
    RunSettings(seed=4, learning_rate=0.01),
    RunSettings(seed=1, learning_rate=0.02, weight_decay=0.1),
    RunSettings(seed=2, learning_rate=0.01),
]
TASKS = [
    PathFinding(),
    PathFinding(target="first-hop", pauses=0, self_edges=True),
    PathFinding(target="reverse", pauses=1, directions="forward", edge_weight=0.5),
    PathFinding(target="teacherless", directions="reverse", path_weight=3.0),
    PathFinding(path_weight=0.0),
    PathFinding(edge_weight=0.0),
]


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch):
    """A thousand test prompts take longer than all else here."""
    monkeypatch.setattr("geomem.training.path_metrics.PROMPTS", 20)


def draw(model, examples, seeds, dtype=torch.float64):
    vocabulary_size, node_count = count_vocabulary(examples)
    return initialize_parameters(
        model,
        vocabulary_size=vocabulary_size,
        context_length=context_length(examples),
        node_count=node_count,
        seeds=seeds,
        # Large enough that every answer differs from chance.
        scales=[10.0] * len(seeds),
        dtype=dtype,
    )


def make_problem(model, examples, training, seeds, dtype=torch.float64):
    names = trainable_names(model)
    flat, parameters = join_parameters(draw(model, examples, seeds, dtype), names)
    node_count = count_vocabulary(examples)[1]
    problem, _ = make_path_problem(
        model, examples, flat, parameters, training, seeds=seeds, node_count=node_count
    )
    return problem, parameters


def naive_gradient(model, parameters, sums):
    """Of Σ w · cross-entropy / Σ w over (inputs, position, targets, w), with logits at every position."""
    names = trainable_names(model)
    leaves = {name: parameters[name].detach().clone().requires_grad_() for name in names}
    loss, total = torch.zeros((), dtype=torch.float64), 0.0
    for inputs, position, targets, weight in sums:
        logits = compute_logits(model, {**parameters, **leaves}, inputs[:, : position + 1])
        expected = targets.expand(len(logits), -1)
        loss = loss + weight * F.cross_entropy(logits.flatten(0, 1), expected.flatten(), reduction="sum")
        total += weight * len(targets)
    gradients = torch.autograd.grad(loss / total, list(leaves.values()))
    return torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)


@pytest.mark.parametrize("task", TASKS, ids=range(len(TASKS)))
@pytest.mark.parametrize(
    "model", [SMALL, dataclasses.replace(SMALL, tied=False), MAMBA], ids=["tied", "untied", "mamba"]
)
def test_the_gradient_is_that_of_the_naive_loss(model, task):
    examples = path_examples(STAR, task)
    slots = torch.tensor(examples.edges.weights) > 0
    prefixes = torch.tensor(examples.edges.prefixes)[slots.nonzero()[:, 0]]
    sums = [(prefixes, 1, torch.tensor(examples.edges.targets)[slots], task.edge_weight)]
    inputs, targets = torch.tensor(examples.train.inputs), torch.tensor(examples.train.targets)
    for place in range(targets.shape[1]):
        position = examples.train.first_read + place
        sums.append((inputs, position, targets[:, place], task.path_weight))
    for micro_batches in (1, 3):
        training = PathTraining(epochs=30, batches=1, micro_batches=micro_batches)
        problem, parameters = make_problem(model, examples, training, seeds=[0, 5])
        problem.differentiate(2)
        expected = naive_gradient(model, parameters, [part for part in sums if part[3]])
        torch.testing.assert_close(problem.gradient, expected, rtol=1e-7, atol=1e-10)


def test_prompts_have_the_naive_gradient_too():
    training = PathTraining(epochs=30, batches=2, micro_batches=2, prompts=5)
    problem, parameters = make_problem(SMALL, PROMPTS, training, seeds=[3])
    problem.differentiate(6)
    rows = in_context_rows(PROMPTS, 5, seed=3, step=7)
    inputs, targets = torch.tensor(rows.inputs), torch.tensor(rows.targets)
    sums = [(inputs, rows.first_read + place, targets[:, place], 1.0) for place in range(targets.shape[1])]
    torch.testing.assert_close(problem.gradient, naive_gradient(SMALL, parameters, sums))


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_an_epoch_has_every_row_once_in_batches_of_the_same_sizes(micro_batches):
    training = PathTraining(epochs=5, batches=4, micro_batches=micro_batches)
    batches = make_batches(EXAMPLES, training, [0, 1], device="cpu", dtype=torch.float64)
    seen, sizes = [], []
    for step in range(4, 8):
        parts = batches(step)
        assert len(parts) == micro_batches
        seen += [[part.tokens for part in micro_batch] for micro_batch in parts]
        total = sum(part.weights.sum(dim=(1, 2)) for micro_batch in parts for part in micro_batch)
        np.testing.assert_allclose(total, 1.0)
        sizes.append(sum(micro_batch[1].tokens.shape[1] for micro_batch in parts))
    assert max(sizes) - min(sizes) <= 1
    for kind, rows in enumerate((EXAMPLES.edges.prefixes, EXAMPLES.train.inputs)):
        tokens = torch.cat([micro_batch[kind] for micro_batch in seen], dim=1).numpy()
        for run in range(2):
            assert sorted(map(tuple, tokens[run])) == sorted(map(tuple, rows))
        assert (tokens[0] != tokens[1]).any()
    # Any step may come first, as after an interruption.
    late = make_batches(EXAMPLES, training, [0, 1], device="cpu", dtype=torch.float64)(6)
    torch.testing.assert_close(late[0][0].tokens, batches(6)[0][0].tokens, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("model", "examples"), [(SMALL, EXAMPLES), (MAMBA, PROMPTS)], ids=["graph", "prompts"]
)
@pytest.mark.parametrize("place", [0, 2])
def test_a_run_in_a_fleet_equals_the_run_alone(model, examples, place):
    fleet = train_paths(model, examples, RUNS, SHORT)
    alone = train_paths(model, examples, [RUNS[place]], SHORT)
    np.testing.assert_allclose(fleet.snapshots[:, place], alone.snapshots[:, 0], rtol=1e-3, atol=1e-4)
    assert fleet.metrics.keys() == alone.metrics.keys()
    for name in ("loss", "held_out.path_loss"):
        np.testing.assert_allclose(fleet.metrics[name][:, place], alone.metrics[name][:, 0], rtol=1e-4)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("model", "examples"), [(SMALL, EXAMPLES), (MAMBA, PROMPTS)], ids=["graph", "prompts"]
)
def test_killed_anywhere_and_resumed_ends_in_the_same_bits(model, examples, device, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    training = dataclasses.replace(SHORT, averaging=0.9)
    whole = train_paths(model, examples, RUNS[:2], training, device=device)
    for last in (1, 4):
        saved = {}

        def checkpoint(state, saved=saved, last=last):
            saved.update(state_to_arrays(state))
            if state.step == last:
                raise Killed

        with pytest.raises(Killed):
            train_paths(model, examples, RUNS[:2], training, on_checkpoint=checkpoint, device=device)
        resumed = train_paths(
            model, examples, RUNS[:2], training, state=state_from_arrays(saved), device=device
        )
        for name, tensor in whole.parameters.items():
            assert torch.equal(tensor, resumed.parameters[name])
        assert list(whole.metrics) == list(resumed.metrics)
        for name, rows in whole.metrics.items():
            np.testing.assert_array_equal(rows, resumed.metrics[name])
        np.testing.assert_array_equal(whole.snapshots, resumed.snapshots)
        assert whole.snapshot_steps.tolist() == resumed.snapshot_steps.tolist()


def brute_force_answers(model, parameters, run, rows, arms, target):
    """Free, forced and among-arms answers of one run, path by path and token by token, and the mean loss."""
    alone = {name: tensor[run : run + 1] for name, tensor in parameters.items()}

    def logits_after(tokens):
        return compute_logits(model, alone, torch.tensor([tokens]))[0, 0].numpy()

    free, forced, among, losses = [], [], [], []
    for prefix, inputs, targets, own_arms in zip(rows.prefixes, rows.inputs, rows.targets, arms, strict=True):
        hop = {"first-hop": 0, "reverse": len(targets) - 2}.get(target, 1)
        answer, given_right = list(prefix), []
        for place, expected in enumerate(targets):
            logits = logits_after(list(inputs[: rows.first_read + place + 1]))
            given_right.append(int(logits.argmax()))
            losses.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[expected])
            if place == hop:
                among.append(own_arms[int(logits[own_arms].argmax())])
            if target != "teacherless":
                answer.append(int(logits_after(answer).argmax()))
        forced.append(given_right)
        free.append(given_right if target == "teacherless" else answer[len(prefix) :])
    return np.array(free), np.array(forced), np.array(among), np.mean(losses), hop


ANSWERED = [(SMALL, path_examples(STAR, task)) for task in TASKS[:4]]
ANSWERED += [(MAMBA, EXAMPLES), (SMALL, PROMPTS), (MAMBA, PROMPTS)]


@pytest.mark.parametrize(("model", "examples"), ANSWERED, ids=range(len(ANSWERED)))
def test_answers_are_measured_as_brute_force_finds_them(model, examples, monkeypatch):
    monkeypatch.setattr("geomem.training.path_metrics.PIECE_NUMBERS", 2000)  # so that there are many pieces
    # Trained a little, so that some answers are right and others not.
    rate = 0.02 if model == SMALL else 0.01
    runs = [RunSettings(seed=seed, learning_rate=rate) for seed in (0, 1)]
    training = PathTraining(epochs=10, batches=3, metric_every=10, prompts=64, stop_at=0.0)
    trained = train_paths(model, examples, runs, training)
    if isinstance(examples, InContextPathFinding):
        rows = in_context_rows(examples, 20, seed=0, step=0)
        target, triples = examples.target, rows.prefixes[:, :-3].reshape(20, -1, 3)
        arms = [
            [v for u, v, _ in row if u == root]
            for row, root in zip(triples, rows.prefixes[:, -3], strict=True)
        ]
    else:
        rows, target = examples.held_out, examples.task.target
        neighbours = [b if a == STAR.root else a for a, b in STAR.edges if STAR.root in (a, b)]
        arms = [sorted(neighbours)] * len(rows.inputs)
    for run in range(2):
        found = {name: rows[-1, run] for name, rows in trained.metrics.items()}
        free, forced, among, loss, hop = brute_force_answers(
            model, trained.parameters, run, rows, arms, target
        )
        right = free == rows.targets
        assert found["held_out.exact_match"] == pytest.approx(right.all(axis=1).mean())
        assert found["held_out.first_hop"] == pytest.approx(right[:, hop].mean())
        assert found["held_out.first_hop_among_arms"] == pytest.approx((among == rows.targets[:, hop]).mean())
        assert found["held_out.path_loss"] == pytest.approx(loss, rel=1e-4)
        for place in range(rows.targets.shape[1]):
            assert found[f"held_out.token_{place + 1}"] == pytest.approx(right[:, place].mean())
            forced_right = (forced[:, place] == rows.targets[:, place]).mean()
            assert found[f"held_out.forced_token_{place + 1}"] == pytest.approx(forced_right)
    shares = np.concatenate([rows[-1] for name, rows in trained.metrics.items() if "token" in name])
    assert ((shares > 0) & (shares < 1)).any()


@pytest.mark.parametrize("world", [STAR, tree_star(arms=3, length=4)], ids=["path-star", "tree-star"])
def test_edges_and_geometry_are_measured_as_brute_force_finds_them(world):
    # 33 edges at the root would be a row of their own; 12 slots are enough, and 3 of them a sample.
    examples = path_examples(world, PathFinding(self_edges=True))
    problem, parameters = make_problem(SMALL, examples, PathTraining(), seeds=[0, 1], dtype=torch.float32)
    with torch.no_grad():
        found = problem.measure(0, None)
    facts = {}
    for prefix, targets, weights in zip(
        examples.edges.prefixes, examples.edges.targets, examples.edges.weights, strict=True
    ):
        facts.setdefault(int(prefix[1]), []).extend(targets[weights > 0].tolist())
    for run in range(2):
        alone = {name: tensor[run : run + 1] for name, tensor in parameters.items()}
        losses, recalls = [], []
        for source, targets in facts.items():
            prefix = torch.tensor([[examples.edges.prefixes[0, 0], source]])
            logits = compute_logits(SMALL, alone, prefix)[0, 0].double().numpy()
            best = np.argsort(-logits)[: len(targets)]
            recalls.append(np.isin(targets, best).mean())
            losses += [np.log(np.exp(logits).sum()) - logits[target] for target in targets]
        assert found["edge_loss"][run] == pytest.approx(np.mean(losses), rel=1e-5)
        assert found["edge_recall"][run] == pytest.approx(np.mean(recalls))
        units = alone["token_embedding"][0].double().numpy()
        units = units / np.linalg.norm(units, axis=1, keepdims=True)
        paths = examples.held_out_paths
        numbers = range(len(paths))
        cross = {(i, j): 1 - units[paths[i, -1]] @ units[paths[j, 1]] for i in numbers for j in numbers}
        nearest = [paths[min(numbers, key=lambda j: (cross[i, j], paths[j, 1])), 1] for i in numbers]
        inside = [
            np.mean([1 - units[a] @ units[b] for k, a in enumerate(path[1:]) for b in path[k + 2 :]])
            for path in paths
        ]
        across = [
            np.mean([1 - units[a] @ units[b] for a in paths[i, 1:] for b in paths[j, 1:]])
            for i in numbers
            for j in numbers
            if i != j
        ]
        assert found["retrieval"][run] == pytest.approx(np.mean(nearest == paths[:, 1]))
        assert found["leaf_first_own"][run] == pytest.approx(
            np.mean([cross[i, i] for i in numbers]), rel=1e-5
        )
        others = [distance for (i, j), distance in cross.items() if i != j]
        assert found["leaf_first_other"][run] == pytest.approx(np.mean(others), rel=1e-5)
        assert found["path_own"][run] == pytest.approx(np.mean(inside), rel=1e-5)
        assert found["path_other"][run] == pytest.approx(np.mean(across), rel=1e-5)


def test_a_sample_of_edges_stands_for_all(monkeypatch):
    """Sources with many edges are all asked, and the others are weighted by what they stand for."""
    wide = path_star(arms=40, length=3)
    examples = path_examples(wide, PathFinding())
    exact, _ = make_problem(SMALL, examples, PathTraining(), seeds=[0, 1, 2])
    sampled = []
    for count in (20, 40, 80):
        monkeypatch.setattr("geomem.training.path_metrics.EDGE_SAMPLE", count)
        problem, _ = make_problem(SMALL, examples, PathTraining(), seeds=[0, 1, 2])
        sampled.append(problem.measure(0, None)["edge_loss"])
    expected = exact.measure(0, None)["edge_loss"]
    np.testing.assert_allclose(sampled[2], expected)
    errors = np.abs(np.array(sampled) - expected).max(axis=1)
    assert errors[2] < 1e-9 < errors[0] < 0.5


def test_a_tiny_world_is_learnt_and_its_training_stops_there():
    world = path_star(arms=12, length=3)
    model = Transformer(width=32, heads=2, layers=2, position_scale=0.02)
    runs = [RunSettings(seed=seed, learning_rate=0.01) for seed in (0, 1)]
    training = PathTraining(epochs=100, batches=2, metric_every=10, warmup_steps=10, stop_at=0.0)
    fleet = train_paths(model, path_examples(world, PathFinding()), runs, training)
    assert (fleet.metrics["edge_recall"][-1] == 1).all()
    assert (fleet.metrics["train.exact_match"][-1] == 1).all()
    assert (fleet.metrics["loss"][-1] < 0.5 * fleet.metrics["loss"][0]).all()
    edges = path_examples(world, PathFinding(path_weight=0.0))
    stopped = train_paths(model, edges, runs[:1], dataclasses.replace(training, stop_at=1.0))
    recall = stopped.metrics["edge_recall"][:, 0]
    assert recall[-1] == 1
    assert (recall[:-1] < 1).all()
    assert stopped.metric_steps[-1] == stopped.snapshot_steps[-1] < 200
    final = stopped.parameters["token_embedding"][:, : world.node_count].numpy()
    np.testing.assert_array_equal(stopped.snapshots[-1], final)


def test_what_is_kept_is_the_running_mean_of_the_weights():
    examples = path_examples(STAR, PathFinding())
    runs = [RunSettings(seed, 1e-2) for seed in (0, 4)]
    plain = PathTraining(epochs=5, batches=1, warmup_steps=0, schedule="constant", stop_at=0.0)
    mean = initialize_parameters(
        SMALL,
        vocabulary_size=count_vocabulary(examples)[0],
        context_length=context_length(examples),
        node_count=STAR.node_count,
        seeds=[0, 4],
    )
    for epochs in range(1, 6):
        last = train_paths(SMALL, examples, runs, dataclasses.replace(plain, epochs=epochs)).parameters
        mean = {name: 0.7 * mean[name] + 0.3 * last[name] for name in mean}
    kept = train_paths(SMALL, examples, runs, dataclasses.replace(plain, averaging=0.7))
    for name, expected in mean.items():
        torch.testing.assert_close(kept.parameters[name], expected, rtol=1e-4, atol=1e-6)
    table = kept.parameters["token_embedding"][:, : STAR.node_count]
    np.testing.assert_array_equal(kept.snapshots[-1], table.numpy())


def test_frozen_embeddings_stay_as_drawn():
    frozen = dataclasses.replace(SMALL, frozen_embeddings=True)
    fleet = train_paths(frozen, EXAMPLES, RUNS, dataclasses.replace(SHORT, epochs=10))
    assert (fleet.snapshots == fleet.snapshots[:1]).all()
    assert (fleet.metrics["loss"][-1] < fleet.metrics["loss"][0]).all()


def test_a_diverging_run_answers_nothing_and_harms_no_other():
    wild = RunSettings(seed=0, learning_rate=1e30)
    fleet = train_paths(SMALL, EXAMPLES, [RUNS[0], wild], SHORT)
    calm = train_paths(SMALL, EXAMPLES, RUNS[:1], SHORT)
    np.testing.assert_allclose(fleet.metrics["loss"][:, 0], calm.metrics["loss"][:, 0], rtol=1e-5)
    if not np.isfinite(fleet.metrics["held_out.path_loss"][-1, 1]):
        assert fleet.metrics["held_out.token_1"][-1, 1] == 0


def test_training_starts_from_given_weights():
    first = train_paths(SMALL, path_examples(STAR, PathFinding(path_weight=0.0, pauses=2)), RUNS, SHORT)
    start = {name: tensor.numpy() for name, tensor in first.parameters.items()}
    second = train_paths(SMALL, EXAMPLES, RUNS, SHORT, start=start)
    for name in ("edge_loss", "held_out.path_loss"):
        np.testing.assert_allclose(second.metrics[name][0], first.metrics[name][-1], rtol=1e-5)
    longer = path_examples(STAR, PathFinding(pauses=4))
    fresh = draw(SMALL, longer, [0, 1, 2], torch.float32)
    joined = start_from(fresh, start)["position_embedding"]
    shared = start["position_embedding"].shape[1]
    np.testing.assert_array_equal(joined[:, :shared], start["position_embedding"])
    torch.testing.assert_close(joined[:, shared:], fresh["position_embedding"][:, shared:], rtol=0, atol=0)
    with pytest.raises(InputError, match="same world, model and number of seeds"):
        train_paths(SMALL, EXAMPLES, RUNS[:2], SHORT, start=start)
    with pytest.raises(InputError, match="one of the same architecture"):
        train_paths(MAMBA, EXAMPLES, RUNS, SHORT, start=start)


@pytest.mark.parametrize("model", [SMALL, MAMBA], ids=["transformer", "mamba"])
def test_bfloat16_gives_nearly_the_gradient_of_float32(model):
    gradients = []
    for precision in ("float32", "bfloat16"):
        training = PathTraining(batches=1, precision=precision)
        problem, _ = make_problem(model, EXAMPLES, training, seeds=[0, 1], dtype=torch.float32)
        problem.differentiate(0)
        gradients.append(problem.gradient)
    assert gradients[1].dtype == torch.float32
    # Eight bits of mantissa in every product.
    alignment = F.cosine_similarity(gradients[0], gradients[1], dim=1)
    assert (alignment > 0.99).all()
    assert (gradients[0] != gradients[1]).any()


def test_tf32_is_for_the_gradient_alone(monkeypatch):
    inside = []
    monkeypatch.setattr(
        "geomem.training.paths.lose",
        lambda *given: inside.append(torch.get_float32_matmul_precision()) or lose(*given),
    )
    for precision in ("float32", "tf32", "bfloat16"):
        training = PathTraining(batches=1, precision=precision)
        make_problem(SMALL, EXAMPLES, training, seeds=[0], dtype=torch.float32)[0].differentiate(0)
    assert inside == ["highest", "high", "highest"]
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(InputError, match="no run"):
        train_paths(SMALL, EXAMPLES, [], SHORT)
    with pytest.raises(InputError, match=r"Bilinear reads one token at a time and cannot find paths; give"):
        train_paths(Bilinear(), EXAMPLES, RUNS, SHORT)
    with pytest.raises(InputError, match=r"stop_at is 2\.0"):
        train_paths(SMALL, EXAMPLES, RUNS, PathTraining(stop_at=2.0))
    with pytest.raises(InputError, match=r"batches is 10 and micro_batches 1, but there are 9 rows of paths"):
        train_paths(SMALL, EXAMPLES, RUNS, PathTraining(batches=10))
    with pytest.raises(InputError, match=r"micro_batches is 300 but a batch has 256 prompts"):
        train_paths(SMALL, PROMPTS, RUNS, PathTraining(micro_batches=300))
