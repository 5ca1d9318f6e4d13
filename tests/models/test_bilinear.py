"""The bilinear model and the associative control against NumPy."""

import numpy as np
import pytest
import torch

from geomem.models.configuration import Associative, Bilinear
from geomem.models.model import compute_logits, initialize_parameters, node_embeddings, trainable_names
from geomem.models.networks.bilinear import compute_logits as compute_bilinear_logits
from geomem.models.networks.bilinear import draw_dropout

SIZES = {"vocabulary_size": 11, "context_length": 2, "node_count": 5}


@pytest.mark.parametrize("model", [Bilinear(width=6), Associative(width=6)])
def test_logits_match_numpy_in_the_right_orientation(model):
    parameters = initialize_parameters(model, **SIZES, seeds=[0, 1], dtype=torch.float64)
    parameters["bias"] = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    nodes = [4, 0, 2]
    logits = compute_logits(model, parameters, torch.tensor([[9, node] for node in nodes])).numpy()
    for run in range(2):
        E, W, b = (parameters[name][run].numpy() for name in ("token_embedding", "weight", "bias"))
        for example, u in enumerate(nodes):
            expected = [E[v] @ (W @ E[u] + b) for v in range(11)]
            np.testing.assert_allclose(logits[run, example], expected, rtol=1e-12)


def test_only_the_control_keeps_its_embeddings():
    assert trainable_names(Bilinear()) == ("token_embedding", "weight", "bias")
    assert trainable_names(Associative()) == ("weight", "bias")


def test_dropout_multiplies_the_hidden_state_and_keeps_its_mean():
    model = Bilinear(width=6, dropout=0.4)
    options = {"device": "cpu", "dtype": torch.float64}
    mask = draw_dropout(model, (500, 6), [0, 1], 3, **options)
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.6}
    assert abs(mask.mean().item() - 1) < 0.05
    assert torch.equal(mask[1:], draw_dropout(model, (500, 6), [1], 3, **options))
    assert not torch.equal(mask, draw_dropout(model, (500, 6), [0, 1], 4, **options))
    parameters = initialize_parameters(model, **SIZES, seeds=[0, 1], dtype=torch.float64)
    prefixes = torch.tensor([[9, 0], [9, 1]])
    dropped = compute_bilinear_logits(model, parameters, prefixes, dropout_mask=torch.zeros(2, 2, 6).double())
    assert torch.count_nonzero(dropped) == 0


def test_node_embeddings_are_the_rows_of_the_nodes():
    parameters = initialize_parameters(Bilinear(width=6), **SIZES, seeds=[0])
    nodes = node_embeddings(Bilinear(width=6), parameters, 5)
    assert torch.equal(nodes, parameters["token_embedding"][:, :5])
    assert nodes.data_ptr() == parameters["token_embedding"].data_ptr()
