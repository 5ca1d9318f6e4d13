"""Steps of fixed shapes against steps as they are drawn; on a CUDA device recorded ones against both."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from tests.devices import DEVICES
from torch.utils._python_dispatch import TorchDispatchMode

from geomem.models.configuration import MODELS, Bilinear, Gru, Mamba, Recall, Transformer
from geomem.models.recall import RecallSize
from geomem.training import capture, loop
from geomem.training.capture import StaticStep, uncaptured
from geomem.training.configuration import PathTraining, RecallRun, RecallTraining, RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.training.facts import train_recall
from geomem.training.path_batches import make_batches, pad_part, path_examples
from geomem.training.paths import train_paths
from geomem.worlds.graphs.families import irregular, path_star
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

RUNS = [RunSettings(seed=seed, learning_rate=0.01) for seed in range(2)]
STAR = path_examples(path_star(arms=9, length=3), PathFinding(pauses=1))
PROMPTS = InContextPathFinding(arms=2, length=3, node_tokens=20)
SEQUENCES = [Transformer(layers=2, width=8, heads=2), Mamba(layers=1, width=8, state_size=2), Gru(width=8)]


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch):
    monkeypatch.setattr("geomem.training.path_metrics.PROMPTS", 20)


def train_on_paths(model, examples, device, **settings):
    training = PathTraining(
        epochs=2,
        learning_rate=0.01,
        warmup_steps=0,
        metric_every=1,
        snapshots=2,
        **({"batches": 4} | settings),
    )
    return train_paths(model, examples, RUNS, training, device=device)


def train_on_edges(model, device):
    graph = irregular()
    examples, pairs = (make(graph, EdgeMemorization()) for make in (edge_examples, directed_facts))
    return train_fleet(model, examples, pairs, 16, RUNS, Training(steps=8), device=device)


def train_on_facts(batch_subjects, device):
    answers = np.random.default_rng(0).integers(0, 5, (2, 6, 2))
    model = Recall(width=4, mlp_width=8)
    runs = [
        RecallRun(model, RecallSize(6, 2, 5), answers[seed], settings) for seed, settings in enumerate(RUNS)
    ]
    training = RecallTraining(steps=8, warmup_steps=0, batch_subjects=batch_subjects, metric_every=2)
    return train_recall(runs, training, device=device)


def assert_alike(static, drawn, tolerance):
    for name, tensor in static.parameters.items():
        torch.testing.assert_close(tensor, drawn.parameters[name], rtol=tolerance, atol=tolerance)
    for name, values in static.metrics.items():
        np.testing.assert_allclose(values, drawn.metrics[name], rtol=10 * tolerance, atol=10 * tolerance)


def compare(train, device, monkeypatch):
    """The same training with inputs of fixed shapes, recorded where there is a GPU, and without."""
    with uncaptured():
        drawn = train(device)
    called = []
    call = StaticStep.__call__
    monkeypatch.setattr(capture, "replays", lambda device: True)
    for user in ("edges", "paths", "facts"):
        monkeypatch.setattr(f"geomem.training.{user}.replays", lambda device: True)
    monkeypatch.setattr(StaticStep, "__call__", lambda self, *given: called.append(1) or call(self, *given))
    static = train(device)
    assert_alike(static, drawn, 1e-5 if device == "cpu" else 1e-3)
    return len(called)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("settings", [{}, {"micro_batches": 2, "batches": 3}], ids=["whole", "micro"])
@pytest.mark.parametrize("model", SEQUENCES, ids=lambda model: type(model).__name__)
def test_padded_batches_of_paths_train_as_those_drawn(model, settings, device, monkeypatch):
    steps = compare(lambda on: train_on_paths(model, STAR, on, **settings), device, monkeypatch)
    assert steps == 2 * settings.get("batches", 4)


@pytest.mark.parametrize("device", DEVICES)
def test_prompts_train_as_those_drawn(device, monkeypatch):
    assert compare(
        lambda on: train_on_paths(SEQUENCES[0], PROMPTS, on, prompts=5, micro_batches=2, batches=2),
        device,
        monkeypatch,
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "model", [kind() for kind in MODELS.values()], ids=lambda model: type(model).__name__
)
def test_edges_train_as_without(model, device, monkeypatch):
    assert compare(lambda on: train_on_edges(model, on), device, monkeypatch) == 8


def test_dropout_is_drawn_at_every_step(monkeypatch):
    assert compare(lambda on: train_on_edges(Bilinear(dropout=0.3), on), "cpu", monkeypatch) == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch_subjects", [0, 2])
def test_facts_train_as_without(batch_subjects, device, monkeypatch):
    assert compare(lambda on: train_on_facts(batch_subjects, on), device, monkeypatch) == 8


def test_a_padded_part_asks_no_more():
    training = PathTraining(epochs=2, batches=4)
    batches = [make_batches(STAR, training, [0, 1], device="cpu", dtype=torch.float32)(n) for n in range(4)]
    for parts in zip(*[batch[0] for batch in batches], strict=True):
        padded = [pad_part(part) for part in parts]
        assert len({(one.tokens.shape, one.targets.shape, one.weights.shape) for one in padded}) == 1
        for part, one in zip(parts, padded, strict=True):
            assert one.weights.sum() == pytest.approx(part.weights.sum())
            assert (one.tokens[:, :, : part.shared] == part.tokens[:1, :1, : part.shared]).all()


class RefuseToWait(TorchDispatchMode):
    """Raises at what a recording would: a number fetched from the device, a tensor brought from outside."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in {"_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "_unique2", "equal"}:
            raise RuntimeError(f"{name} waits")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "train",
    [
        *(partial(train_on_paths, model, STAR, batches=3, micro_batches=2) for model in SEQUENCES),
        *(partial(train_on_paths, model, STAR, precision="bfloat16") for model in SEQUENCES),
        partial(train_on_paths, SEQUENCES[0], PROMPTS, prompts=5),
        *(partial(train_on_edges, kind()) for kind in MODELS.values()),
        *(partial(train_on_facts, batch_subjects) for batch_subjects in (0, 2)),
    ],
)
def test_no_step_waits_for_the_device(train, monkeypatch):
    waited = []

    def call(self, compute, inputs=()):
        with RefuseToWait():
            waited.append(0)
            return compute(*inputs)

    monkeypatch.setattr(StaticStep, "__call__", call)
    for user in ("edges", "paths", "facts"):
        monkeypatch.setattr(f"geomem.training.{user}.replays", lambda device: True)
    update = loop.adamw_update

    def watch(*given, **settings):
        with RefuseToWait():
            update(*given, **settings)

    monkeypatch.setattr(loop, "adamw_update", watch)
    train(device="cpu")
    assert len(waited) >= 6


def make_step(monkeypatch, record):
    """A step that thinks it may record, whose gradient is the double of what it is given."""
    monkeypatch.setattr(capture, "record", record)
    step = StaticStep(torch.zeros(1, 2))
    step.computes = False
    return step, lambda given: step.gradient.copy_(2 * given)


def test_a_recorded_step_reads_what_is_new_and_computes_no_more(monkeypatch):
    def record(compute, inputs, device):
        return lambda: step.gradient.copy_(2 * inputs[0]), "outputs"

    step, double = make_step(monkeypatch, record)
    computed = []

    def compute(given):
        computed.append(1)
        return double(given)

    for number in (1.0, 5.0):
        assert step(compute, [torch.full((1, 2), number)]) == "outputs"
        assert step.gradient.tolist() == [[2 * number] * 2]
    assert len(computed) == 1, "once, to compare it with what was recorded"
    with pytest.raises(ValueError, match=r"The step has inputs of \(1, 2\), not of \(1, 3\)"):
        step(compute, [torch.ones(1, 3)])


def fail(compute, inputs, device):
    raise RuntimeError("operation not permitted when stream is capturing\nmore")


def do_nothing(compute, inputs, device):
    return lambda: None, None


@pytest.mark.parametrize("record", [fail, do_nothing])
def test_a_step_that_cannot_be_recorded_is_computed_and_says_so(record, monkeypatch, caplog):
    step, compute = make_step(monkeypatch, record)
    with caplog.at_level(logging.WARNING):
        for number in (1.0, 5.0):
            step(compute, [torch.full((1, 2), number)])
            assert step.gradient.tolist() == [[2 * number] * 2]
    (said,) = caplog.messages
    assert "every step is computed, which takes longer and changes nothing else" in said
    assert "\n" not in said
