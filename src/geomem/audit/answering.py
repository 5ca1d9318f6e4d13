"""What a model answers to questions whose answers are facts: of all tokens, and among candidates.

Axis names: `question`, `candidate`; `place` (a block, or the end of the base model), `width`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from geomem.audit.looking import keeping, replacing
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
    states: Float[np.ndarray, "place kept width"]
    """The residual stream where the questions of those subjects are answered whose states are kept: after
    every block, and after the whole base model."""


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


@dataclass(frozen=True, eq=False)
class Questions:
    """A question about subjects, as tokens up to where it is answered."""

    prompts: tuple[Prompt, ...]
    """Each with the places of its subject."""
    asked: Int[np.ndarray, " question"]
    """The place where each is answered."""
    first: Int[np.ndarray, " candidate"]
    """The first token of every candidate."""
    same_first: Int[np.ndarray, " candidate"]
    """As in `Answers`."""


def write_questions(
    model: OpenedModel, template: str, subjects: Sequence[str], candidates: Sequence[str]
) -> Questions:
    """A template such as `The capital of {} is {}` for every subject.

    A decoder reads what stands before the answer, an encoder has its mask in the answer's place. Raises
    `InputError` for a template without two `{}`.
    """
    parts = check_question(template).split(NAME)
    wholes = [_whole(model, parts, subjects[0], candidate) for candidate in candidates]
    first = np.array([tokens[places[0]] for tokens, _, places in wholes])
    _, same_first, kinds = np.unique(first, return_index=True, return_inverse=True)
    written = [_prompt(model, parts, subject, candidates[0]) for subject in subjects]
    return Questions(
        tuple(prompt for prompt, _ in written), np.array([at for _, at in written]), first, same_first[kinds]
    )


@torch.inference_mode()
def answer_questions(
    model: OpenedModel,
    template: str,
    subjects: Sequence[str],
    candidates: Sequence[str],
    *,
    kept: Collection[str] = (),
) -> Answers:
    """Ask for the object of every subject, and keep the states of some; as `write_questions` says."""
    questions = write_questions(model, template, subjects, candidates)
    candidate_of = {
        int(token): int(at) for at, token in zip(questions.same_first, questions.first, strict=True)
    }
    top = np.empty(len(subjects), dtype=np.int64)
    among, most = top.copy(), top.copy()
    keeps = np.array([subject in kept for subject in subjects], dtype=bool)
    place = np.cumsum(keeps) - 1
    width = model.input_embedding.shape[1]
    states = np.empty((len(model.blocks) + 1, int(keeps.sum()), width), dtype=np.float32)
    for rows in _batches(model, questions):
        logits, stream = _logits(model, questions, rows, kept=bool(keeps[rows].any()))
        most[rows] = logits.argmax(axis=1)
        top[rows] = [candidate_of.get(int(token), -1) for token in most[rows]]
        among[rows] = questions.same_first[logits[:, questions.first].argmax(axis=1)]
        for at, vectors in enumerate(stream):
            states[at, place[rows[keeps[rows]]]] = vectors[keeps[rows]]
    said = tuple(model.tokenizer.decode([int(token)]) for token in most)
    return Answers(top, among, questions.same_first, said, states)


def answering_modules(model: OpenedModel) -> tuple[torch.nn.Module, ...]:
    """The modules whose vectors can be exchanged: the input embedding, then every block."""
    return (model.network.get_input_embeddings(), *model.blocks)


@torch.inference_mode()
def subject_states(
    model: OpenedModel, questions: Questions, layer: int
) -> Float[np.ndarray, "question width"]:
    """What one of `answering_modules` gives at the last token of every question's subject."""
    found = np.empty((len(questions.prompts), model.input_embedding.shape[1]), dtype=np.float32)
    for rows in _batches(model, questions):
        tokens = _tokens(model, questions, rows)
        weights = torch.zeros(tokens.shape, device=model.device)
        weights[torch.arange(len(rows)), torch.tensor(_last_of_subject(questions, rows))] = 1
        with keeping(model, answering_modules(model)[layer : layer + 1], weights) as kept:
            model.base(input_ids=tokens)
        found[rows] = kept[0].float().cpu().numpy()
    return found


@torch.inference_mode()
def answer_with_states(
    model: OpenedModel,
    questions: Questions,
    layer: int,
    asked: Int[np.ndarray, " row"],
    vectors: Float[np.ndarray, "row width"],
) -> Int[np.ndarray, " row"]:
    """The most probable candidates where other vectors stand at the last token of the subjects.

    `asked` are numbers of questions, `layer` one of `answering_modules`.
    """
    among = np.empty(len(asked), dtype=np.int64)
    for rows in _batches(model, questions, asked):
        places = torch.tensor(_last_of_subject(questions, asked[rows]), device=model.device)
        given = torch.tensor(vectors[rows], dtype=torch.float32, device=model.device)
        with replacing(model, answering_modules(model)[layer], places, given):
            logits, _ = _logits(model, questions, asked[rows])
        among[rows] = questions.same_first[logits[:, questions.first].argmax(axis=1)]
    return among


def _whole(
    model: OpenedModel, parts: Sequence[str], subject: str, candidate: str
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The tokens of the whole sentence, and which of them are the subject's and the object's."""
    before = f"{parts[0]}{subject}{parts[1]}"
    tokens, spans = _encoded(model, before + candidate + parts[2])
    places = _overlapping(spans, len(before), candidate)
    if not places or places[0] == 0:
        raise InputError(
            f"The question {NAME.join(parts)[:80]!r} with the answer {candidate[:80]!r} leaves nothing to "
            "answer to; write words before the answer."
        )
    return tokens, _overlapping(spans[: places[0]], len(parts[0]), subject), places


def _prompt(model: OpenedModel, parts: Sequence[str], subject: str, candidate: str) -> tuple[Prompt, int]:
    """What the model reads, with the places of the subject, and where it answers."""
    if model.answers == "next token":
        tokens, named, places = _whole(model, parts, subject, candidate)
        return Prompt(tokens[: places[0]], named), places[0] - 1
    tokens, spans = _encoded(model, f"{parts[0]}{subject}{parts[1]}{model.tokenizer.mask_token}{parts[2]}")
    named = _overlapping(spans, len(parts[0]), subject)
    return Prompt(tokens, named), tokens.index(model.tokenizer.mask_token_id)


def _encoded(model: OpenedModel, text: str) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    encoded = model.tokenizer(text, return_offsets_mapping=True, verbose=False)
    return tuple(encoded["input_ids"]), encoded["offset_mapping"]


def _overlapping(spans: Sequence[tuple[int, int]], start: int, name: str) -> tuple[int, ...]:
    """The tokens that overlap with a name that begins at a letter of the text."""
    end = start + len(name)
    return tuple(at for at, (first, last) in enumerate(spans) if first < end and last > start)


def _last_of_subject(questions: Questions, rows: Int[np.ndarray, " row"]) -> list[int]:
    return [questions.prompts[row].name[-1] for row in rows]


def _tokens(model: OpenedModel, questions: Questions, rows: Int[np.ndarray, " row"]) -> torch.Tensor:
    return torch.tensor([questions.prompts[row].tokens for row in rows], device=model.device)


def _batches(
    model: OpenedModel, questions: Questions, asked: Int[np.ndarray, " row"] | None = None
) -> list[Int[np.ndarray, " _"]]:
    prompts = questions.prompts if asked is None else [questions.prompts[at] for at in asked]
    length = max(len(prompt.tokens) for prompt in prompts)
    return batches(prompts, max(length, min(2048, MOST_LOGITS // model.input_embedding.shape[0])))


def _logits(
    model: OpenedModel, questions: Questions, rows: Int[np.ndarray, " row"], *, kept: bool = False
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits where the questions are answered, and if `kept` the residual stream there, layer by layer."""
    tokens = _tokens(model, questions, rows)
    places = torch.tensor(questions.asked[rows], device=model.device)
    inputs: dict[str, Any] = {"input_ids": tokens}
    if model.answers == "next token" and "logits_to_keep" in signature(model.network.forward).parameters:
        inputs["logits_to_keep"] = 1
        places = torch.zeros_like(places)
    stream: list[torch.Tensor] = []
    if kept:
        weights = torch.zeros(tokens.shape, device=model.device)
        weights[torch.arange(len(rows)), torch.tensor(questions.asked[rows])] = 1
        with keeping(model, (*model.blocks, model.base), weights) as stream:
            logits = model.network(**inputs).logits
    else:
        logits = model.network(**inputs).logits
    chosen = logits[torch.arange(len(rows)), places]
    return chosen.float().cpu().numpy(), [vectors.float().cpu().numpy() for vectors in stream]
