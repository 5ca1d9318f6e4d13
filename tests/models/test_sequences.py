"""States along whole sequences against the logits of every prefix, one prefix at a time."""

import dataclasses
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.models.configuration import Gru, Mamba, Transformer
from geomem.models.model import compute_logits, initialize_parameters
from geomem.models.networks import network_of
from geomem.models.sequences import (
    Reading,
    advance_sequence,
    begin_sequence,
    read_out_table,
    read_states,
    read_together,
)

VOCABULARY, CONTEXT = 13, 9
BASE = Transformer(layers=2, width=12, heads=3)
MODELS = [
    BASE,
    dataclasses.replace(BASE, layers=1, heads=1),
    dataclasses.replace(BASE, positions="sinusoidal"),
    dataclasses.replace(BASE, positions="none"),
    dataclasses.replace(BASE, tied=False),
    dataclasses.replace(BASE, attention=False),
    dataclasses.replace(BASE, residual=False),
    dataclasses.replace(BASE, layer_norm=False),
    Mamba(layers=2, width=10, state_size=3),
    Mamba(layers=1, width=10, state_size=2, residual=True, norm="root-mean-square", final_norm=True),
    Mamba(layers=2, width=10, state_size=2, convolution=1, tied=False),
]
BOTH = [BASE, MODELS[8]]


def draw_parameters(model, runs, *, dtype=torch.float64):
    """Parameters far from their start: no bias is zero, every token matters."""
    parameters = initialize_parameters(
        model,
        vocabulary_size=VOCABULARY,
        context_length=CONTEXT,
        node_count=4,
        seeds=range(runs),
        dtype=dtype,
    )
    generator = torch.Generator().manual_seed(0)
    return {
        name: tensor + 0.3 * torch.randn(tensor.shape, generator=generator, dtype=dtype)
        for name, tensor in parameters.items()
    }


def draw_tokens(runs, examples, length, *, shared=1, seed=0):
    """Random tokens whose first ones are the same everywhere."""
    tokens = torch.randint(
        0, VOCABULARY, (runs, examples, length), generator=torch.Generator().manual_seed(seed)
    )
    tokens[:, :, :shared] = tokens[0, 0, :shared].clone()
    return tokens


def select_run(parameters, run):
    return {name: tensor[run : run + 1] for name, tensor in parameters.items()}


def logits_of_every_prefix(model, parameters, tokens, first_read):
    """Each run alone, each prefix alone, nothing shared: [run, example, read, vocab]."""
    runs = len(parameters["token_embedding"])
    tokens = tokens.expand(runs, -1, -1)
    return torch.stack(
        [
            torch.stack(
                [
                    compute_logits(model, select_run(parameters, run), tokens[run, :, : end + 1], shared=0)[0]
                    for end in range(first_read, tokens.shape[2])
                ],
                dim=1,
            )
            for run in range(runs)
        ]
    )


def read_logits(model, parameters, states):
    return torch.einsum("rqsd,rvd->rqsv", states, read_out_table(model, parameters))


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("token_runs", [1, 3], ids=["same-tokens", "own-tokens"])
def test_states_and_gradients_are_those_of_every_prefix(model, token_runs):
    parameters = {name: tensor.requires_grad_() for name, tensor in draw_parameters(model, 3).items()}
    tokens = draw_tokens(token_runs, 4, 7)
    actual = read_logits(model, parameters, read_states(model, parameters, tokens, first_read=3))
    expected = logits_of_every_prefix(model, parameters, tokens, 3)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    direction = torch.randn(actual.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    leaves = list(parameters.values())
    pairs = zip(
        parameters,
        torch.autograd.grad((actual * direction).sum(), leaves, allow_unused=True),
        torch.autograd.grad((expected * direction).sum(), leaves, allow_unused=True),
        strict=True,
    )
    for name, gradient, wanted in pairs:
        assert gradient is not None, name
        torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("model", BOTH, ids=str)
def test_single_precision_is_close(model):
    parameters, tokens = draw_parameters(model, 2), draw_tokens(1, 5, 8)
    expected = read_states(model, parameters, tokens, first_read=1)
    single = read_states(
        model, {name: tensor.float() for name, tensor in parameters.items()}, tokens, first_read=1
    )
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@settings(max_examples=12)
@given(
    model=st.sampled_from(MODELS),
    runs=st.integers(1, 2),
    own=st.booleans(),
    examples=st.integers(1, 4),
    length=st.integers(1, CONTEXT),
    data=st.data(),
)
def test_any_shape_any_number_of_shared_tokens(model, runs, own, examples, length, data):
    first_read = data.draw(st.integers(0, length - 1))
    shared = data.draw(st.integers(0, length))
    parameters = draw_parameters(model, runs)
    tokens = draw_tokens(runs if own else 1, examples, length, shared=shared)
    states = read_states(model, parameters, tokens, first_read=first_read, shared=shared)
    assert states.shape == (runs, examples, length - first_read, model.width)
    expected = logits_of_every_prefix(model, parameters, tokens, first_read)
    torch.testing.assert_close(read_logits(model, parameters, states), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_sequence_in_pieces_gives_what_it_gives_as_a_whole(model):
    parameters, tokens = draw_parameters(model, 2), draw_tokens(2, 3, CONTEXT)
    whole = read_states(model, parameters, tokens, first_read=2)
    state, memory = begin_sequence(model, parameters, tokens[:, :, :3])
    pieces = [state[:, :, None]]
    for start, end in ((3, 4), (4, 7), (7, CONTEXT)):
        states, memory = advance_sequence(model, parameters, tokens[:, :, start:end], memory)
        pieces.append(states)
        assert memory.length == end
    torch.testing.assert_close(torch.cat(pieces, dim=2), whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("model", BOTH, ids=str)
def test_a_later_token_never_changes_an_earlier_state(model):
    parameters, tokens = draw_parameters(model, 1), draw_tokens(1, 3, 8)
    states = read_states(model, parameters, tokens, first_read=0)
    for place in range(1, 8):
        changed = tokens.clone()
        changed[:, :, place] = (changed[:, :, place] + 1) % VOCABULARY
        others = read_states(model, parameters, changed, first_read=0)
        torch.testing.assert_close(others[:, :, :place], states[:, :, :place], rtol=1e-12, atol=1e-12)
        assert (others[:, :, place] - states[:, :, place]).abs().max() > 1e-3
        if place < 7:
            assert (others[:, :, -1] - states[:, :, -1]).abs().max() > 1e-9


@pytest.mark.parametrize("model", BOTH, ids=str)
def test_relabelled_tokens_with_permuted_rows_change_nothing(model):
    parameters, tokens = draw_parameters(model, 2), draw_tokens(2, 3, 6)
    order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(3))
    relabelled = parameters | {"token_embedding": parameters["token_embedding"][:, order]}
    torch.testing.assert_close(
        read_states(model, relabelled, order.argsort()[tokens], first_read=1),
        read_states(model, parameters, tokens, first_read=1),
    )


@pytest.mark.parametrize("model", BOTH, ids=str)
def test_runs_do_not_touch(model):
    parameters = {name: tensor.requires_grad_() for name, tensor in draw_parameters(model, 2).items()}
    read_states(model, parameters, draw_tokens(2, 3, 6), first_read=2)[0].square().sum().backward()
    for name, tensor in parameters.items():
        assert tensor.grad is not None, name
        assert tensor.grad[0].abs().max() > 0, name
        assert not tensor.grad[1].any(), name


@pytest.mark.parametrize("model", BOTH, ids=str)
def test_shared_tokens_are_passed_once_and_the_last_block_computes_what_is_read(model, monkeypatch):
    passed = []
    network = network_of(model)
    apply_pieces = network.apply_pieces

    def record(model, parameters, name, rows, pieces):
        outputs, after = apply_pieces(model, parameters, name, rows, pieces)
        assert outputs.shape[1] == sum(prod(piece.kept) for piece in pieces)
        passed.append([(piece.shape, piece.kept[1]) for piece in pieces])
        return outputs, after

    monkeypatch.setattr(network, "apply_pieces", record)
    parameters = draw_parameters(model, 1)
    tokens = draw_tokens(1, 5, 8, shared=2)
    read_states(model, parameters, tokens, first_read=6, shared=2)
    # (examples, tokens) that enter each block, and how many leave it.
    assert passed == [[((1, 2), 2)], [((1, 2), 0)], [((5, 6), 6)], [((5, 6), 2)]]
    passed.clear()
    reading = Reading(tokens, first_read=6, shared=2)
    read_together(model, parameters, [reading, Reading(draw_tokens(1, 3, 2), first_read=1)])
    assert passed == [
        [((1, 2), 2), ((5, 6), 6), ((1, 1), 1), ((3, 1), 1)],
        [((1, 2), 0), ((5, 6), 2), ((1, 1), 0), ((3, 1), 1)],
    ]


@pytest.mark.parametrize("model", [*MODELS, Gru(width=6)], ids=str)
def test_readings_together_give_the_states_and_gradients_of_each_alone(model):
    together = {name: tensor.requires_grad_() for name, tensor in draw_parameters(model, 2).items()}
    alone = {name: tensor.detach().clone().requires_grad_() for name, tensor in together.items()}
    readings = [
        Reading(draw_tokens(2, 5, 2, shared=1), first_read=1),
        Reading(draw_tokens(1, 3, 7, shared=2), first_read=4, shared=2),
        Reading(draw_tokens(2, 4, 5), first_read=0, shared=0),
    ]
    found = read_together(model, together, readings)
    expected = [
        read_states(model, alone, one.tokens, first_read=one.first_read, shared=one.shared)
        for one in readings
    ]
    for states, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(states, wanted, rtol=1e-10, atol=1e-12)
    sum(states.square().sum() for states in found).backward()
    sum(states.square().sum() for states in expected).backward()
    for name, tensor in together.items():
        if tensor.grad is None:
            assert alone[name].grad is None
        else:
            torch.testing.assert_close(tensor.grad, alone[name].grad, rtol=1e-9, atol=1e-10)


def test_a_sequence_longer_than_the_positions_is_refused():
    parameters = draw_parameters(BASE, 1)
    with pytest.raises(InputError, match="The sequence has 10 tokens and the model 9 positions"):
        read_states(BASE, parameters, draw_tokens(1, 2, 10), first_read=3)
    _, memory = begin_sequence(BASE, parameters, draw_tokens(1, 2, 9))
    with pytest.raises(InputError, match="shorter sequences"):
        advance_sequence(BASE, parameters, draw_tokens(1, 2, 1), memory)
