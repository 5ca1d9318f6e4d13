"""A fleet on a CUDA device against the same fleet on the CPU."""

import numpy as np
import pytest
from tests.devices import ON_CUDA

from geomem.models.configuration import MODELS, Bilinear, Transformer
from geomem.runs.paths import path_job
from geomem.training.configuration import PathTraining, RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.worlds.graphs.families import irregular, path_star
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

pytestmark = ON_CUDA

EVERY = [*(kind() for kind in MODELS.values()), Transformer(layers=2, heads=2), Bilinear(dropout=0.3)]


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_cuda_trains_as_the_cpu_does(model):
    graph = irregular()
    examples, pairs = (make(graph, EdgeMemorization()) for make in (edge_examples, directed_facts))
    runs = [RunSettings(seed=seed, learning_rate=0.01) for seed in range(3)]
    fleets = [
        train_fleet(model, examples, pairs, 16, runs, Training(steps=10), device=device)
        for device in ("cpu", "cuda")
    ]
    assert all(tensor.device.type == "cpu" for tensor in fleets[1].parameters.values())
    np.testing.assert_allclose(fleets[1].snapshots[:3], fleets[0].snapshots[:3], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fleets[1].metrics["loss"], fleets[0].metrics["loss"], rtol=1e-3)


@pytest.mark.parametrize("interventions", [(), ("strong-dirichlet",), ("noise", "slow-network"), ("muon",)])
def test_cuda_finds_paths_as_the_cpu_does(interventions):
    job = path_job(
        path_star(20, 4),
        model=Transformer(layers=2, width=16, heads=2),
        training=PathTraining(epochs=3, batches=4, warmup_steps=2, learning_rate=1e-3),
        interventions=interventions,
    )
    fleets = [job.train(device=device) for device in ("cpu", "cuda")]
    np.testing.assert_allclose(fleets[1].metrics["loss"], fleets[0].metrics["loss"], rtol=1e-3)
    table = "token_embedding"
    np.testing.assert_allclose(fleets[1].parameters[table], fleets[0].parameters[table], rtol=1e-2, atol=2e-3)
