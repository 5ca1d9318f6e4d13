"""Decoding with memory against recomputing the whole prefix for every token."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.models.configuration import Mamba, Transformer
from geomem.models.decoding import decode_greedily
from geomem.models.model import compute_logits, initialize_parameters
from geomem.models.networks import network_of

VOCABULARY, CONTEXT = 17, 9
MODELS = [
    Transformer(layers=2, width=12, heads=3),
    Transformer(layers=1, width=8, positions="none", tied=False),
    Transformer(layers=2, width=8, attention=False),
    Mamba(layers=2, width=10, state_size=3),
    Mamba(layers=1, width=10, state_size=2, convolution=2, residual=True, final_norm=True),
]


def draw_parameters(model, runs):
    """Large random parameters, so that what is decoded differs from prefix to prefix."""
    parameters = initialize_parameters(
        model,
        vocabulary_size=VOCABULARY,
        context_length=CONTEXT,
        node_count=4,
        seeds=range(runs),
        dtype=torch.float64,
    )
    generator = torch.Generator().manual_seed(0)
    return {
        name: tensor + 0.5 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        for name, tensor in parameters.items()
    }


def draw_prefixes(runs, examples, length, *, shared=True):
    prefixes = torch.randint(
        0, VOCABULARY, (runs, examples, length), generator=torch.Generator().manual_seed(1)
    )
    if shared:
        prefixes[:, :, 0] = 5
    return prefixes


def decode_naively(model, parameters, prefixes, length):
    """Every token from the logits after the whole sequence so far, one run after the other."""
    decoded = []
    for run in range(len(parameters["token_embedding"])):
        own = {name: tensor[run : run + 1] for name, tensor in parameters.items()}
        tokens = prefixes[run if len(prefixes) > 1 else 0]
        for _ in range(length):
            best = compute_logits(model, own, tokens, shared=0)[0].argmax(-1, keepdim=True)
            tokens = torch.cat([tokens, best], dim=1)
        decoded.append(tokens[:, -length:])
    return torch.stack(decoded)


@settings(max_examples=15)
@given(
    model=st.sampled_from(MODELS),
    runs=st.integers(1, 3),
    own=st.booleans(),
    shared=st.booleans(),
    examples=st.integers(1, 5),
    prefix=st.integers(1, 4),
    length=st.integers(1, 6),
    rows_per_piece=st.sampled_from([1, 4, 1000]),
)
def test_decoding_is_that_of_the_whole_sequence(
    model, runs, own, shared, examples, prefix, length, rows_per_piece
):
    parameters = draw_parameters(model, runs)
    prefixes = draw_prefixes(runs if own else 1, examples, prefix, shared=shared)
    decoded = decode_greedily(model, parameters, prefixes, length, rows_per_piece=rows_per_piece)
    assert torch.equal(decoded, decode_naively(model, parameters, prefixes, length))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_run_in_a_fleet_decodes_as_alone(model):
    parameters, prefixes = draw_parameters(model, 4), draw_prefixes(4, 6, 4)
    fleet = decode_greedily(model, parameters, prefixes, 5)
    assert len({tuple(row) for row in fleet.flatten(0, 1).tolist()}) > 4
    for run in range(4):
        own = {name: tensor[run : run + 1] for name, tensor in parameters.items()}
        assert torch.equal(decode_greedily(model, own, prefixes[run : run + 1], 5)[0], fleet[run])


@pytest.mark.parametrize("model", [MODELS[0], MODELS[3]], ids=str)
def test_no_token_is_passed_twice(model, monkeypatch):
    passed = []
    network = network_of(model)
    apply_pieces = network.apply_pieces

    def record(model, parameters, name, rows, pieces):
        if name == "block_0":
            passed.extend(piece.shape for piece in pieces)
        return apply_pieces(model, parameters, name, rows, pieces)

    monkeypatch.setattr(network, "apply_pieces", record)
    decode_greedily(model, draw_parameters(model, 2), draw_prefixes(1, 3, 4), 4)
    # The shared token once, the rest of the prefix, then every new token that another one follows.
    assert passed == [(1, 1), (3, 3), (3, 1), (3, 1), (3, 1)]


def test_nothing_to_decode_is_refused():
    parameters = draw_parameters(MODELS[0], 1)
    with pytest.raises(InputError, match="length is 0 and rows_per_piece 2048; give at least 1 of each"):
        decode_greedily(MODELS[0], parameters, draw_prefixes(1, 2, 3), 0)
    with pytest.raises(InputError, match="The sequence has 10 tokens and the model 9 positions"):
        decode_greedily(MODELS[0], parameters, draw_prefixes(1, 2, 3), 8)
