"""A fleet on a CUDA device against the same fleet on the CPU."""

import numpy as np
import pytest
import torch

from geomem.models.configuration import MODELS, Bilinear, Transformer
from geomem.training.configuration import RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.worlds.graphs.families import irregular
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

EVERY = [*(kind() for kind in MODELS.values()), Transformer(layers=2, heads=2), Bilinear(dropout=0.3)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
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
