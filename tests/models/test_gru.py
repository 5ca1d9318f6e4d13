"""The gated recurrent unit against NumPy, against `torch.nn.GRU`, and against finite differences."""

import dataclasses

import numpy as np
import pytest
import torch

from geomem.models.configuration import Gru
from geomem.models.model import compute_logits, initialize_parameters
from geomem.models.networks.gru import apply_block
from geomem.models.sequences import advance_sequence, begin_sequence, read_states

SIZES = {"vocabulary_size": 11, "context_length": 7, "node_count": 5}
BASE = Gru(layers=2, width=6)
FORMS = [BASE, Gru(width=5), Gru(layers=3, width=4, residual=True), Gru(width=6, tied=False)]
TOKENS = torch.tensor([[9, 1, 4, 4, 2], [9, 3, 0, 1, 2], [9, 1, 0, 8, 7]])


def random_parameters(model, runs=2, seed=0):
    """Far from the start: no bias is zero, every token matters."""
    parameters = initialize_parameters(model, **SIZES, seeds=range(runs), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return {
        name: tensor + 0.4 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        for name, tensor in parameters.items()
    }


def recur(W, b, U, c, inputs):
    """The recurrence in NumPy, one token, one run and one example at a time."""
    h, outputs = np.zeros(U.shape[1]), []
    for x in inputs:
        (Wr, Wz, Wn), (br, bz, bn) = np.split(W @ x, 3), np.split(b, 3)
        (Ur, Uz, Un), (cr, cz, cn) = np.split(U @ h, 3), np.split(c, 3)
        r, z = (1 / (1 + np.exp(-a)) for a in (Wr + br + Ur + cr, Wz + bz + Uz + cz))
        h = (1 - z) * np.tanh(Wn + bn + r * (Un + cn)) + z * h
        outputs.append(h)
    return np.array(outputs)


@pytest.mark.parametrize("model", FORMS, ids=str)
def test_logits_are_those_of_numpy(model):
    parameters = random_parameters(model)
    logits = compute_logits(model, parameters, TOKENS).numpy()
    for run in range(2):
        arrays = {name: tensor[run].numpy() for name, tensor in parameters.items()}
        for example, tokens in enumerate(TOKENS.numpy()):
            states = arrays["token_embedding"][tokens]
            for block in range(model.layers):
                weights = [
                    arrays[f"block_{block}.{part}"]
                    for part in ("input.weight", "input.bias", "state.weight", "state.bias")
                ]
                states = recur(*weights, states) + (states if model.residual else 0)
            table = arrays["token_embedding" if model.tied else "output_embedding"]
            np.testing.assert_allclose(logits[run, example], table @ states[-1], rtol=1e-10, atol=1e-12)


def test_states_and_gradients_are_those_of_torch():
    parameters = {name: tensor.requires_grad_() for name, tensor in random_parameters(BASE).items()}
    ours = read_states(BASE, parameters, TOKENS[None], first_read=0)
    direction = torch.randn(ours.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradients = torch.autograd.grad((ours * direction).sum(), list(parameters.values()))
    found = dict(zip(parameters, gradients, strict=True))
    names = {"input.weight": "weight_ih", "input.bias": "bias_ih"}
    names |= {"state.weight": "weight_hh", "state.bias": "bias_hh"}
    for run in range(2):
        theirs = torch.nn.GRU(6, 6, num_layers=2, batch_first=True).double()
        table = parameters["token_embedding"][run].detach().requires_grad_()
        with torch.no_grad():
            for block in range(2):
                for our, their in names.items():
                    getattr(theirs, f"{their}_l{block}").copy_(parameters[f"block_{block}.{our}"][run])
        expected, _ = theirs(table[TOKENS])
        torch.testing.assert_close(ours[run], expected, rtol=1e-10, atol=1e-12)
        (expected * direction[run]).sum().backward()
        torch.testing.assert_close(found["token_embedding"][run], table.grad, rtol=1e-9, atol=1e-12)
        for block in range(2):
            for our, their in names.items():
                wanted = getattr(theirs, f"{their}_l{block}").grad
                torch.testing.assert_close(found[f"block_{block}.{our}"][run], wanted, rtol=1e-9, atol=1e-12)


def test_block_gradients_match_finite_differences():
    model = Gru(width=3, residual=True)
    parameters = {name: tensor.requires_grad_() for name, tensor in random_parameters(model).items()}
    names = [name for name in parameters if name.startswith("block")]
    inputs = torch.randn(2, 2, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def block(inputs, *weights):
        return apply_block(model, dict(zip(names, weights, strict=True)), "block_0", inputs, first=1)[0]

    weights = [parameters[name] for name in names]
    assert torch.autograd.gradcheck(block, (inputs.requires_grad_(), *weights))


def test_the_state_alone_carries_the_past():
    parameters = random_parameters(BASE)
    whole = read_states(BASE, parameters, TOKENS[None], first_read=3)
    _, cache = begin_sequence(BASE, parameters, TOKENS[None, :, :3])
    assert [block.state.shape for block in cache.blocks] == [(2, 3, 6)] * 2
    rest, _ = advance_sequence(BASE, parameters, TOKENS[None, :, 3:], cache)
    torch.testing.assert_close(rest, whole, rtol=1e-12, atol=1e-12)


def test_the_gates_start_as_those_of_torch_do():
    bound = 64**-0.5
    uniform = initialize_parameters(Gru(width=64), **SIZES, seeds=range(3))
    gpt2 = initialize_parameters(Gru(width=64, initialization="gpt2"), **SIZES, seeds=range(3))
    for part in ("input", "state"):
        for kind in ("weight", "bias"):
            drawn = uniform[f"block_0.{part}.{kind}"]
            assert 0.9 * bound < drawn.abs().max().item() <= bound * (1 + 1e-6)
        assert gpt2[f"block_0.{part}.weight"].std().item() == pytest.approx(0.02, rel=0.05)
        assert not gpt2[f"block_0.{part}.bias"].any()
    untied = dataclasses.replace(BASE, tied=False)
    assert "output_embedding" in initialize_parameters(untied, **SIZES, seeds=[0])
