"""What a model holds of names in sentences: its residual stream after every block, at the name's tokens.

Axis names: `template`, `entity`, `width`; `prompt` (of one template), `token`.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from geomem.audit.opening import OpenedModel
from geomem.audit.prompts import Position, Prompt, batches, encode_names, shared_prefix
from geomem.audit.states import Layer, States
from geomem.errors import InputError
from geomem.runs.environment import available_memory

CHECKED_PROMPTS, CHECKED_LOGITS, TOLERANCE = 20, 4, 1e-4
"""So many prompts are computed alone too, and of so many the logits compared with the head; they may differ
by this share of the largest number of a layer."""

MOST_TOKENS = 2048
"""Tokens computed at once: more are no faster, and their attention takes more memory."""


@dataclass(frozen=True)
class Checks:
    """Whether the model is read as it computes: largest differences, as shares of the largest number."""

    shares_prefix: bool
    """Whether the tokens that all prompts begin with are computed once."""
    batched: float
    """Of states of a prompt alone and in a batch as states are collected."""
    head: float | None
    """Of logits, and the head applied to the last state; None where no head is applied to it alone."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was checked and came out, for people."""
        ways = "in a batch after a prefix computed once" if self.shares_prefix else "in a batch"
        said = [f"{CHECKED_PROMPTS} prompts alone and {ways} {_agreement(self.batched)}"]
        if self.head is not None:
            said.append(f"the logits and the head applied to the last state {_agreement(self.head)}")
        return tuple(f"Check: {sentence}." for sentence in said)


def _agreement(difference: float) -> str:
    if difference <= TOLERANCE:
        return f"agree (difference {difference:.0e} of the largest number)"
    return f"DIFFER by {difference:.1e} of the largest number, more than {TOLERANCE:.0e}"


@torch.inference_mode()
def check_model(model: OpenedModel, names: Sequence[str], template: str) -> Checks:
    """Compare states of prompts alone and in batches, and logits with the head of the last state."""
    prompts = [prompt for prompt in encode_names(model.tokenizer, template, names) if prompt is not None]
    prompts = prompts[:CHECKED_PROMPTS]
    if not prompts:
        raise _nothing_encoded(names, template)
    alone = np.concatenate([_states(model, [prompt], "last token", False) for prompt in prompts], axis=1)
    shares = _prefix(model, prompts)[0] > 0
    difference = _difference(alone, _states(model, prompts, "last token", shares))
    if shares and difference > TOLERANCE:
        shares, difference = False, _difference(alone, _states(model, prompts, "last token", False))
    return Checks(shares, difference, _head_difference(model, prompts))


def _head_difference(model: OpenedModel, prompts: Sequence[Prompt]) -> float | None:
    if model.answers != "next token":
        return None
    pairs = []
    for prompt in prompts[:CHECKED_LOGITS]:
        tokens = torch.tensor([prompt.tokens], device=model.device)
        last = model.base(input_ids=tokens).last_hidden_state
        computed = model.network.get_output_embeddings()(last)
        pairs.append((model.network(input_ids=tokens).logits, computed))
    return max(_difference(a.cpu().numpy()[None], b.cpu().numpy()[None]) for a, b in pairs)


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest difference over the largest number, of the worst layer (first axis)."""
    axes = tuple(range(1, expected.ndim))
    largest = np.abs(expected).max(axis=axes)
    return float((np.abs(expected - found).max(axis=axes) / np.maximum(largest, 1e-30)).max())


@torch.inference_mode()
def collect_states(
    model: OpenedModel,
    names: Sequence[str],
    *,
    templates: Sequence[str],
    position: Position = "last token",
    shares_prefix: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> States:
    """What a model holds of every name that it can write, layer by layer and template by template.

    Layers: "input embedding" (of the name's tokens), "block 1" and so on (the residual stream after it),
    "final norm" (what the head sees, where this differs from the last block), "output embedding" where it is
    not the input embedding. Names of which the tokenizer knows no token are left out. `shares_prefix` is what
    `check_model` found.

    Raises `InputError` if no name can be written, or a prompt is longer than the model takes.
    """
    encoded = [encode_names(model.tokenizer, template, names) for template in templates]
    kept = [at for at in range(len(names)) if all(prompts[at] is not None for prompts in encoded)]
    if not kept:
        raise _nothing_encoded(names, templates[0])
    written = [[prompt for at in kept if (prompt := prompts[at]) is not None] for prompts in encoded]
    _check_lengths(model, written)
    streams = []
    for template, prompts in zip(templates, written, strict=True):
        say(f"Looking at {len(prompts):,} names in {template!r}.")
        streams.append(_states(model, prompts, position, shares_prefix))
    stream = [np.stack([template[place] for template in streams]) for place in range(len(streams[0]))]
    layers = [Layer("input embedding", _rows(model.input_embedding, written[0], position))]
    layers += named_stream(stream)
    if model.output_embedding is not None:
        layers.append(Layer("output embedding", _rows(model.output_embedding, written[0], position)))
    return States(tuple(names[at] for at in kept), tuple(templates), position, tuple(layers))


def name_tokens(model: OpenedModel, names: Sequence[str], template: str) -> dict[str, tuple[int, ...]]:
    """The tokens of every name that the tokenizer knows."""
    encoded = zip(names, encode_names(model.tokenizer, template, names), strict=True)
    return {
        name: tuple(prompt.tokens[at] for at in prompt.name) for name, prompt in encoded if prompt is not None
    }


def first_token_states(model: OpenedModel, names: Sequence[str], template: str) -> States:
    """What the head compares with for the first token of every name: the output embedding, tied or not."""
    tokens = name_tokens(model, names, template)
    if not tokens:
        raise _nothing_encoded(names, template)
    table = model.input_embedding if model.output_embedding is None else model.output_embedding
    rows = table[[own[0] for own in tokens.values()]].float().cpu().numpy()[None]
    return States(tuple(tokens), (template,), "first token", (Layer("output embedding", rows),))


def _rows(
    table: torch.Tensor, prompts: Sequence[Prompt], position: Position
) -> Float[np.ndarray, "template entity width"]:
    taken = [[prompt.tokens[at] for at in _wanted(prompt, position)] for prompt in prompts]
    tokens = torch.tensor([token for own in taken for token in own], device=table.device)
    begins = torch.tensor([0, *accumulate(len(own) for own in taken[:-1])], device=table.device)
    rows = F.embedding_bag(tokens, table, begins, mode="mean")
    return rows.float().cpu().numpy()[None]


def _wanted(prompt: Prompt, position: Position) -> tuple[int, ...]:
    return prompt.name[-1:] if position == "last token" else prompt.name


def _states(
    model: OpenedModel, prompts: Sequence[Prompt], position: Position, shares_prefix: bool
) -> Float[np.ndarray, "place prompt width"]:
    """The residual stream after every block, and after the whole base model."""
    start, given = _prefix(model, prompts) if shares_prefix else (0, {})
    width = model.input_embedding.shape[1]
    found = np.empty((len(model.blocks) + 1, len(prompts), width), dtype=np.float32)
    for rows in batches(prompts, _most_tokens(model)):
        tokens = torch.tensor([prompts[row].tokens[start:] for row in rows], device=model.device)
        weights = torch.zeros(tokens.shape, device=model.device)
        for at, row in enumerate(rows):
            places = torch.tensor(_wanted(prompts[row], position)) - start
            weights[at, places] = 1 / len(places)
        inputs = {"input_ids": tokens} | {key: _repeated(cache, len(rows)) for key, cache in given.items()}
        for place, vectors in enumerate(_forward(model, inputs, weights)):
            found[place, rows] = vectors.float().cpu().numpy()
    return found


def named_stream(stream: Sequence[np.ndarray]) -> list[Layer]:
    """The layers of the residual stream: after every block, and after the base model where that differs."""
    layers = [Layer(f"block {at}", vectors) for at, vectors in enumerate(stream[:-1], 1)]
    if _difference(stream[-2], stream[-1]) > TOLERANCE:
        layers.append(Layer("final norm", stream[-1]))
    return layers


def _forward(model: OpenedModel, inputs: dict[str, Any], weights: torch.Tensor) -> list[torch.Tensor]:
    with keeping(model, (*model.blocks, model.base), weights) as kept:
        model.base(**inputs)
    return kept


@contextmanager
def keeping(
    model: OpenedModel, modules: Sequence[torch.nn.Module], weights: torch.Tensor
) -> Iterator[list[torch.Tensor]]:
    """What modules give while the model computes, summed over tokens: [prompt, width] of each at the end.

    `weights` are those of the tokens [prompt, token]. Raises `InputError` for a module that does not give one
    vector per token, once.
    """
    taken: dict[int, torch.Tensor] = {}
    kept: list[torch.Tensor] = []

    def keep(at: int, output: Any) -> None:
        state = _vectors_of(model, output, tuple(weights.shape))
        if at in taken:
            raise _looks_unlike(model)
        taken[at] = torch.einsum("pt,ptw->pw", weights, state)

    hooks = [
        module.register_forward_hook(lambda _, __, output, at=at: keep(at, output))
        for at, module in enumerate(modules)
    ]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
    if len(taken) < len(modules):
        raise _looks_unlike(model)
    kept += [taken[at] for at in range(len(modules))]


@contextmanager
def replacing(
    model: OpenedModel, module: torch.nn.Module, places: torch.Tensor, vectors: torch.Tensor
) -> Iterator[None]:
    """While the model computes, put vectors [prompt, width] in the place of what a module gives there."""
    rows = torch.arange(len(places), device=vectors.device)

    def put(_: Any, __: Any, output: Any) -> Any:
        state = _vectors_of(model, output, (len(places),)).clone()
        state[rows, places] = vectors
        return state if isinstance(output, torch.Tensor) else (state, *output[1:])

    hook = module.register_forward_hook(put)
    try:
        yield
    finally:
        hook.remove()


def _vectors_of(model: OpenedModel, output: Any, shape: tuple[int, ...]) -> torch.Tensor:
    state = output if isinstance(output, torch.Tensor) else output[0]
    if not isinstance(state, torch.Tensor) or state.ndim != 3 or state.shape[: len(shape)] != shape:
        raise _looks_unlike(model)
    return state


def _looks_unlike(model: OpenedModel) -> InputError:
    return InputError(
        f"The blocks of {type(model.network).__name__} do not pass on one vector per token, once each; such "
        "architectures cannot be looked into."
    )


def _prefix(model: OpenedModel, prompts: Sequence[Prompt]) -> tuple[int, dict[str, Any]]:
    """How many first tokens all prompts share, and what the model keeps of them; 0 where it keeps nothing."""
    start = shared_prefix(prompts)
    if start == 0 or model.answers == "masked token":
        return 0, {}
    tokens = torch.tensor([prompts[0].tokens[:start]], device=model.device)
    output = model.base(input_ids=tokens, use_cache=True)
    for key in ("cache", "past_key_values"):  # its name since transformers 5.24, and before
        cache = output.get(key)
        # A state of fixed size, as Mamba's, goes on by one token at a time.
        if cache is not None and all(hasattr(layer, "batch_repeat_interleave") for layer in cache.layers):
            return start, {key: cache}
    return 0, {}


def _repeated(cache: Any, count: int) -> Any:
    cache = copy.deepcopy(cache)
    cache.batch_repeat_interleave(count)
    return cache


def _most_tokens(model: OpenedModel) -> int:
    """Tokens at once, of which a block keeps some twenty vectors each for a moment."""
    width = model.input_embedding.shape[1]
    free = available_memory(str(model.device))
    return int(min(MOST_TOKENS, max(1, free / 8 / (4 * 20 * width))))


def _check_lengths(model: OpenedModel, written: Sequence[Sequence[Prompt]]) -> None:
    most = getattr(model.network.config.get_text_config(), "max_position_embeddings", None)
    longest = max((len(prompt.tokens) for prompts in written for prompt in prompts), default=0)
    if most is not None and longest > most:
        raise InputError(
            f"A prompt has {longest:,} tokens and the model takes {most:,}; give shorter names or templates."
        )


def _nothing_encoded(names: Sequence[str], template: str) -> InputError:
    return InputError(
        f"The tokenizer knows none of the {len(names):,} names (such as {names[0][:80]!r}) in the template "
        f"{template[:80]!r}; give --templates that its vocabulary has words for, or names that it knows."
    )
