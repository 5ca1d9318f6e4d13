"""What a model answers to questions whose answers are facts: of all tokens, and among candidates.

Axis names: `question`, `candidate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from geomem.audit.opening import OpenedModel
from geomem.audit.prompts import NAME, Prompt, batches
from geomem.errors import InputError

MOST_LOGITS = 1 << 27
"""Logits held at once, 512 MiB."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What was answered; a candidate stands for its first token, and the first of those that share it."""

    top: Int[np.ndarray, " question"]
    """The candidate that begins with the most probable of all tokens; -1 where none does."""
    among: Int[np.ndarray, " question"]
    """The most probable candidate."""
    same_first: Int[np.ndarray, " candidate"]
    """The first candidate with the same first token: where this is another, the two cannot be told apart."""
    said: tuple[str, ...]
    """The most probable of all tokens, as text."""


def check_question(template: str) -> str:
    """The same template; raises `InputError` unless it has `{}` twice: the subject, then the answer.

    >>> check_question("The capital of {} is {}")
    'The capital of {} is {}'
    """
    if template.count(NAME) != 2:
        raise InputError(
            f"The question {template[:80]!r} must have {{}} twice, for the subject and then the answer, as "
            "'The capital of {} is {}' has."
        )
    return template


@torch.inference_mode()
def answer_questions(
    model: OpenedModel, template: str, subjects: Sequence[str], candidates: Sequence[str]
) -> Answers:
    """Ask for the object of every subject, with a template such as `The capital of {} is {}`.

    A decoder reads what stands before the answer, an encoder has its mask in the answer's place. Raises
    `InputError` for a model without a head that answers, and a template without two `{}`.
    """
    if not model.answers:
        raise InputError(f"The model in {model.folder.path} has no head that answers; give no --questions.")
    parts = check_question(template).split(NAME)
    first = np.array([_object(model, parts, subjects[0], candidate)[1] for candidate in candidates])
    _, same_first, kinds = np.unique(first, return_index=True, return_inverse=True)
    same_first = same_first[kinds]
    candidate_of = {int(token): int(at) for at, token in zip(same_first, first, strict=True)}
    prompts = [_prompt(model, parts, subject, candidates[0]) for subject in subjects]
    top = np.empty(len(prompts), dtype=np.int64)
    among, most = top.copy(), top.copy()
    length = max(len(prompt.tokens) for prompt in prompts)
    vocabulary = model.input_embedding.shape[0]
    for rows in batches(prompts, max(length, min(2048, MOST_LOGITS // vocabulary))):
        logits = _logits(model, [prompts[row] for row in rows])
        most[rows] = logits.argmax(axis=1)
        top[rows] = [candidate_of.get(int(token), -1) for token in most[rows]]
        among[rows] = same_first[logits[:, first].argmax(axis=1)]
    said = tuple(model.tokenizer.decode([int(token)]) for token in most)
    return Answers(top, among, same_first, said)


def _object(model: OpenedModel, parts: Sequence[str], subject: str, candidate: str) -> tuple[Prompt, int]:
    """The whole sentence with the places of the object's tokens, and the first of these tokens."""
    before = f"{parts[0]}{subject}{parts[1]}"
    encoded = model.tokenizer(before + candidate + parts[2], return_offsets_mapping=True, verbose=False)
    start, end = len(before), len(before) + len(candidate)
    spans = encoded["offset_mapping"]
    places = tuple(at for at, (first, last) in enumerate(spans) if first < end and last > start)
    if not places or places[0] == 0:
        raise InputError(
            f"The question {NAME.join(parts)[:80]!r} with the answer {candidate[:80]!r} leaves nothing to "
            "answer to; write words before the answer."
        )
    tokens = tuple(encoded["input_ids"])
    return Prompt(tokens, places), tokens[places[0]]


def _prompt(model: OpenedModel, parts: Sequence[str], subject: str, candidate: str) -> Prompt:
    """What the model reads, and where it answers."""
    if model.answers == "next token":
        whole, _ = _object(model, parts, subject, candidate)
        return Prompt(whole.tokens[: whole.name[0]], (whole.name[0] - 1,))
    text = f"{parts[0]}{subject}{parts[1]}{model.tokenizer.mask_token}{parts[2]}"
    tokens = model.tokenizer(text, verbose=False)["input_ids"]
    return Prompt(tuple(tokens), (tokens.index(model.tokenizer.mask_token_id),))


def _logits(model: OpenedModel, prompts: Sequence[Prompt]) -> np.ndarray:
    inputs: dict[str, Any] = {
        "input_ids": torch.tensor([prompt.tokens for prompt in prompts], device=model.device)
    }
    if model.answers == "next token":
        if "logits_to_keep" in signature(model.network.forward).parameters:
            inputs["logits_to_keep"] = 1
        return model.network(**inputs).logits[:, -1].float().cpu().numpy()
    places = torch.tensor([prompt.name[0] for prompt in prompts])
    return model.network(**inputs).logits[torch.arange(len(prompts)), places].float().cpu().numpy()
