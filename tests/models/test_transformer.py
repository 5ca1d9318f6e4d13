"""The fleet's Transformer against a plain nn.Module GPT-2 written here, one run at a time, in float64."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geomem.models.configuration import Transformer
from geomem.models.model import compute_logits, initialize_parameters, trainable_names
from geomem.models.sequences import count_shared

VOCABULARY, CONTEXT = 13, 4
SIZES = {"vocabulary_size": VOCABULARY, "context_length": CONTEXT, "node_count": 4}
BASE = Transformer(layers=2, width=12, heads=3)
SWITCHES = [
    {},
    {"layers": 1, "heads": 1},
    {"positions": "sinusoidal"},
    {"positions": "none"},
    {"tied": False},
    {"attention": False},
    {"residual": False},
    {"layer_norm": False},
    {"attention": False, "residual": False, "layer_norm": False, "positions": "none"},
    {"frozen_embeddings": True},
    {"initialization": "unit-normal"},
]
SHARED_START = [[9, 8, 1, 2], [9, 8, 2, 2], [9, 8, 3, 0], [9, 8, 1, 0]]
NOTHING_SHARED = [[9, 8, 1, 2], [7, 8, 1, 2], [9, 3, 3, 0]]
ONE_PREFIX = [[9, 8, 1, 2]]


class ReferenceGPT(nn.Module):
    """Every position of every prefix, separate weights per tensor, nothing shared: as in a textbook."""

    def __init__(self, model, weights):
        super().__init__()
        self.model = model
        self.weights = nn.ParameterDict(
            {name.replace(".", "/"): nn.Parameter(w) for name, w in weights.items()}
        )

    def get(self, name):
        return self.weights[name.replace(".", "/")]

    def linear(self, name, x):
        return F.linear(x, self.get(f"{name}.weight"), self.get(f"{name}.bias"))

    def norm(self, name, x):
        if not self.model.layer_norm:
            return x
        return F.layer_norm(
            x, (self.model.width,), self.get(f"{name}.weight"), self.get(f"{name}.bias"), 1e-5
        )

    def attention(self, name, x):
        query = self.linear(f"{name}.query", x)
        key, value = self.linear(f"{name}.key_value", x).split(self.model.width, dim=-1)
        query, key, value = (
            part.unflatten(-1, (self.model.heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.linear(f"{name}.output", mixed.transpose(1, 2).flatten(2))

    def forward(self, prefixes):
        x = self.get("token_embedding")[prefixes]
        if self.model.positions != "none":
            x = x + self.get("position_embedding")[: prefixes.shape[1]]
        for block in range(self.model.layers):
            name = f"block_{block}"
            if self.model.attention:
                attended = self.attention(f"{name}.attention", self.norm(f"{name}.attention_norm", x))
                x = x + attended if self.model.residual else attended
            hidden = self.linear(f"{name}.mlp.expand", self.norm(f"{name}.mlp_norm", x))
            cubic = hidden + 0.044715 * hidden**3
            hidden = 0.5 * hidden * (1 + torch.tanh((2 / np.pi) ** 0.5 * cubic))
            hidden = self.linear(f"{name}.mlp.contract", hidden)
            x = x + hidden if self.model.residual else hidden
        table = self.get("token_embedding" if self.model.tied else "output_embedding")
        return (self.norm("final_norm", x) @ table.T)[:, -1]


def random_parameters(model):
    """Parameters far from their start, so that no bias is zero and no gain is one."""
    parameters = initialize_parameters(model, **SIZES, seeds=[3, 4], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    return {
        name: tensor + 0.3 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        for name, tensor in parameters.items()
    }


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
@pytest.mark.parametrize("prefixes", [SHARED_START, NOTHING_SHARED, ONE_PREFIX], ids=["shared", "own", "one"])
def test_logits_and_gradients_match_a_plain_gpt2(switches, prefixes):
    model = dataclasses.replace(BASE, **switches)
    parameters = {name: tensor.requires_grad_() for name, tensor in random_parameters(model).items()}
    tokens = torch.tensor(prefixes)
    logits = compute_logits(model, parameters, tokens)
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (logits * direction).sum().backward()
    for run in range(2):
        reference = ReferenceGPT(model, {name: tensor[run].detach() for name, tensor in parameters.items()})
        expected = reference(tokens)
        torch.testing.assert_close(logits[run], expected, rtol=1e-10, atol=1e-10)
        (expected * direction[run]).sum().backward()
        for name, tensor in parameters.items():
            gradient = reference.get(name).grad
            # Without attention an earlier position reaches nothing, in the reference neither.
            expected_gradient = torch.zeros_like(tensor[run]) if gradient is None else gradient
            actual = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
            torch.testing.assert_close(actual[run], expected_gradient, rtol=1e-9, atol=1e-9, msg=name)


def test_float32_is_close_to_float64():
    parameters = random_parameters(BASE)
    tokens = torch.tensor(SHARED_START)
    single = compute_logits(BASE, {name: tensor.float() for name, tensor in parameters.items()}, tokens)
    torch.testing.assert_close(
        single.double(), compute_logits(BASE, parameters, tokens), rtol=1e-4, atol=1e-5
    )


def test_an_earlier_token_matters_with_attention_and_not_without():
    tokens, changed = torch.tensor(NOTHING_SHARED[:1]), torch.tensor([[5, 8, 1, 2]])
    for attention in (True, False):
        model = dataclasses.replace(BASE, attention=attention)
        parameters = random_parameters(model)
        same = torch.equal(
            compute_logits(model, parameters, tokens), compute_logits(model, parameters, changed)
        )
        assert same is not attention


def test_shared_tokens_are_counted_up_to_the_last():
    assert count_shared(torch.tensor(SHARED_START)) == 2
    assert count_shared(torch.tensor(NOTHING_SHARED)) == 0
    assert count_shared(torch.tensor(ONE_PREFIX)) == CONTEXT - 1
    assert count_shared(torch.tensor([[1], [2]])) == 0


def test_frozen_embeddings_train_everything_else():
    names = trainable_names(dataclasses.replace(BASE, frozen_embeddings=True, tied=False))
    assert "token_embedding" not in names
    assert "position_embedding" not in names
    assert {"output_embedding", "block_1.mlp.contract.weight", "final_norm.bias"} <= set(names)
    assert "position_embedding" not in trainable_names(dataclasses.replace(BASE, positions="sinusoidal"))
    assert "position_embedding" in trainable_names(BASE)
