"""Modules of a person's own for the tests: three that work, and what people get wrong."""

import torch
from torch import nn
from torch.nn import functional

WIDTH = 8


class Lstm(nn.Module):
    """As people write it."""

    def __init__(self, vocabulary: int, *, layers: int = 1):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, layers, batch_first=True)
        self.head = nn.Linear(WIDTH, vocabulary)

    def forward(self, tokens):
        return self.head(self.lstm(self.embed(tokens))[0])


def lstm(sizes):
    return Lstm(sizes.vocabulary_size)


class Attending(nn.Module):
    """Tied weights, positions, a mask that is a buffer."""

    def __init__(self, sizes, *, mask: bool = True):
        super().__init__()
        self.table = nn.Embedding(sizes.vocabulary_size, WIDTH)
        self.places = nn.Parameter(0.1 * torch.randn(sizes.context_length, WIDTH))
        self.mixing = nn.Linear(WIDTH, 3 * WIDTH)
        self.head = nn.Linear(WIDTH, sizes.vocabulary_size, bias=False)
        self.head.weight = self.table.weight
        allowed = torch.ones(sizes.context_length, sizes.context_length)
        self.register_buffer("mask", (allowed.tril() if mask else allowed).log())

    def forward(self, tokens):
        length = tokens.shape[1]
        states = self.table(tokens) + self.places[:length]
        query, key, value = self.mixing(states).chunk(3, dim=-1)
        mask = self.mask[:length, :length]
        return self.head(states + functional.scaled_dot_product_attention(query, key, value, attn_mask=mask))


def attending(sizes, *, mask=True):
    return Attending(sizes, mask=mask)


def looking_ahead(sizes):
    return Attending(sizes, mask=False)


class Last(nn.Module):
    """Logits of the last position alone, without an embedding; vmap cannot follow it."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.vocabulary = vocabulary
        self.first, self.second = nn.Linear(vocabulary, WIDTH), nn.Linear(WIDTH, vocabulary)

    def forward(self, tokens):
        states = self.first(functional.one_hot(tokens, self.vocabulary).float()).sum(dim=1)
        if states.abs().max() > 1e6:  # data decide
            states = states / 10
        return self.second(states.tanh())


def last(sizes):
    return Last(sizes.vocabulary_size)


class Wrapped(nn.Module):
    """An embedding and whatever a function does with it."""

    def __init__(self, sizes, forward, **parts):
        super().__init__()
        self.embed = nn.Embedding(sizes.vocabulary_size, sizes.vocabulary_size)
        for name, part in parts.items():
            setattr(self, name, part)
        self.compute = forward

    def forward(self, tokens):
        return self.compute(self, tokens)


class Counting(nn.Module):
    """Every call adds one."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, vocabulary)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, tokens):
        self.calls += 1
        return self.embed(tokens)


def counting(sizes):
    return Counting(sizes.vocabulary_size)


def dropping(sizes):
    return Wrapped(sizes, lambda own, tokens: own.drop(own.embed(tokens)), drop=nn.Dropout(0.5))


def normalizing(sizes):
    def compute(own, tokens):
        return own.norm(own.embed(tokens).flatten(0, 1)).unflatten(0, tokens.shape)

    return Wrapped(sizes, compute, norm=nn.BatchNorm1d(sizes.vocabulary_size))


def mixing_examples(sizes):
    width = sizes.vocabulary_size
    return Wrapped(sizes, lambda own, tokens: own.lstm(own.embed(tokens))[0], lstm=nn.LSTM(width, width))


def too_narrow(sizes):
    return Wrapped(sizes, lambda own, tokens: own.embed(tokens)[..., :5])


def in_a_tuple(sizes):
    return Wrapped(sizes, lambda own, tokens: (own.embed(tokens), None))


def raising(sizes):
    return Wrapped(sizes, lambda own, tokens: own.embed(tokens) @ own.embed(tokens))


def in_double(sizes):
    return nn.Embedding(sizes.vocabulary_size, sizes.vocabulary_size, dtype=torch.float64)


def without_parameters(sizes):
    return nn.Identity()


def no_module(sizes):
    return {"model": nn.Embedding(3, 3)}


def failing(sizes):
    return nn.Embedding(sizes.vocab, 4)


GENERATOR = torch.Generator().manual_seed(0)


def drawing_elsewhere(sizes):
    module = nn.Embedding(sizes.vocabulary_size, sizes.vocabulary_size)
    with torch.no_grad():
        module.weight.normal_(generator=GENERATOR)
    return module


NOT_CALLABLE = 3
