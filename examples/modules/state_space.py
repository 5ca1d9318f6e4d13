"""A linear state-space model: geomem memorize path-star --module examples/modules/state_space.py:factory."""

import torch
from torch import nn


class Layer(nn.Module):
    """x_t = a x_{t-1} + b u_t in every channel and state, y_t = c x_t + d u_t, with 0 < a < 1."""

    def __init__(self, width, states=8):
        super().__init__()
        self.decay = nn.Parameter(torch.linspace(-2, 4, states).repeat(width, 1))
        self.enters = nn.Parameter(torch.randn(width, states))
        self.leaves = nn.Parameter(torch.randn(width, states) / states)
        self.passes = nn.Parameter(torch.ones(width))

    def forward(self, inputs):
        decay, state, outputs = self.decay.sigmoid(), 0, []
        for token in inputs.unbind(dim=1):
            state = decay * state + self.enters * token[..., None]
            outputs.append((self.leaves * state).sum(dim=-1) + self.passes * token)
        return torch.stack(outputs, dim=1)


class StateSpace(nn.Module):
    def __init__(self, vocabulary, width=32):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.layer, self.norm = Layer(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        states = self.embed(tokens)
        return self.head(states + self.mlp(self.norm(self.layer(states))))


def factory(sizes):
    return StateSpace(sizes.vocabulary_size)
