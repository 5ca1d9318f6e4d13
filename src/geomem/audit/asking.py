"""A table's questions put to a model: how it answers, what asking selects, and what moves its answers.

Axis names: `relation`, `subject`, `width`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from geomem.audit.behaviour import Answer, Behaviour, judge_answers
from geomem.audit.causal import SWAPS, Causes, RelationCauses, measure_causes
from geomem.audit.facts import (
    FEWEST_FACTS,
    RelationAudit,
    RelationFacts,
    answer_table,
    facts_of,
    fitted_rows,
    object_vectors,
)
from geomem.audit.selection import Selection, measure_selection
from geomem.audit.source import Source, answering_model
from geomem.audit.states import States
from geomem.errors import InputError
from geomem.geometry.attribute_swap import GAINS
from geomem.worlds.facts.table import FactTable

if TYPE_CHECKING:
    from geomem.audit.opening import OpenedModel

MOST_RELATIONS = 6
"""Of more relations, selection is measured on those with the most facts; a fit takes a second for twelve."""

LONG_SECONDS = 20
"""From here on the time is said before it is taken."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What came of the questions."""

    behaviours: Mapping[str, Behaviour]
    """By relation."""
    selection: tuple[Selection, ...]
    """By layer; none for fewer than two relations."""
    seconds: float
    """That one question took."""


def ask_facts(
    source: Source, table: FactTable, objects: States, questions: Mapping[str, str], *, seed: int = 0
) -> Asked:
    """How a model answers for every relation that has a question, among the relation's objects.

    The states that `measure_selection` needs are kept meanwhile, where the questions are answered. Raises
    `InputError` for a model that answers nothing.
    """
    from geomem.audit.answering import answer_questions

    model = answering_model(source)
    chosen = _selecting(source, table, objects, questions, seed)
    rows = fitted_rows(source.states, list(chosen.values()), seed=seed) if chosen else np.arange(0)
    kept = {source.states.entities[row]: at for at, row in enumerate(rows.tolist())}
    known = set(source.states.entities)
    behaviours, states = {}, {}
    count, start = 0, perf_counter()
    for number, relation in enumerate(table.relations):
        facts = [
            (table.subjects[subject], table.objects[thing])
            for subject, _, thing in table.facts[table.facts[:, 1] == number].tolist()
            if table.subjects[subject] in known
        ]
        if relation not in questions or not facts:
            continue
        subjects = [subject for subject, _ in facts]
        candidates = sorted({thing for _, thing in facts})
        place = {thing: at for at, thing in enumerate(candidates)}
        wanted = kept if relation in chosen else {}
        answers = answer_questions(
            model,
            questions[relation],
            source.written(subjects),
            source.written(candidates),
            kept=source.written(list(wanted)),
        )
        truth = np.array([place[thing] for _, thing in facts])
        same = answers.same_first
        said = tuple(
            Answer(subject, candidates[given], (thing,), bool(given == same[place[thing]]))
            for (subject, thing), given in zip(facts, answers.among, strict=True)
        )
        judged = judge_answers(truth, top=answers.top, among=answers.among, same=same)
        behaviours[relation] = replace(judged, answers=said)
        states[relation] = [wanted[subject] for subject in subjects if subject in wanted], answers.states
        count += len(facts)
    seconds = (perf_counter() - start) / max(1, count)
    if len(chosen) < 2:
        return Asked(behaviours, (), seconds)
    codes, answered = answer_table(objects, list(chosen.values()), rows)
    blocks, _, width = states[next(iter(chosen))][1].shape
    stream = np.zeros((blocks, len(chosen), len(rows), width), dtype=np.float32)
    for relation, name in enumerate(chosen):
        places, vectors = states[name]
        stream[:, relation, places] = vectors
    from geomem.audit.looking import named_stream

    prompts = States(
        tuple(kept),
        tuple(questions[name] for name in chosen),
        "where it is answered",
        tuple(named_stream(list(stream))),
    )
    return Asked(behaviours, measure_selection(prompts, codes, answered, seed=seed), seconds)


def _selecting(
    source: Source, table: FactTable, objects: States, questions: Mapping[str, str], seed: int
) -> dict[str, RelationFacts]:
    """The relations that have a question and enough facts, at most `MOST_RELATIONS`."""
    found = {
        name: facts_of(source.states, table, objects, number, seed=seed)
        for number, name in enumerate(table.relations)
        if name in questions
    }
    largest = sorted(found, key=lambda name: -len(found[name].rows))[:MOST_RELATIONS]
    chosen = {name: facts for name, facts in found.items() if name in largest}
    if not any(len(facts.rows) for facts in chosen.values()):
        return {}
    rows = fitted_rows(source.states, list(chosen.values()), seed=seed)
    return {name: f for name, f in chosen.items() if np.isin(f.rows, rows).sum() >= FEWEST_FACTS}


def move_answers(
    source: Source,
    table: FactTable,
    objects: States,
    questions: Mapping[str, str],
    relations: Sequence[RelationAudit],
    *,
    seconds: float = 0.0,
    say: Callable[[str], None] = lambda sentence: None,
    seed: int = 0,
) -> tuple[tuple[RelationCauses, ...], tuple[str, ...]]:
    """`measure_causes` of every relation with a question, and why it was left out of others.

    Exchanged is the vector at the last token of the subject in the question: its input embedding, and the
    state after that block but the last whose maps find most held-out objects. `seconds` are those of one
    question. Raises `InputError` for a model that answers nothing.
    """
    model = answering_model(source)
    asked = [found for found in relations if found.relation in questions]
    layers = {found.relation: ("input embedding", *_best_block(model, found)) for found in asked}
    count = sum(
        len(layers[found.relation]) * min(SWAPS, found.facts // 5) * 2 * (1 + len(GAINS)) for found in asked
    )
    takes = count * seconds
    about = f", about {takes:.0f} s" if takes < 120 else f", about {takes / 60:.0f} minutes"
    said = about if takes >= LONG_SECONDS else ""
    say(f"Moving answers: up to {count:,} questions with other states{said}.")
    causes: list[RelationCauses] = []
    notes: list[str] = []
    for found in asked:
        number = table.relations.index(found.relation)
        facts = facts_of(source.states, table, objects, number, seed=seed)
        for layer in layers[found.relation]:
            try:
                moved = _move_at(source, model, objects, facts, questions[found.relation], layer, seed)
            except InputError as error:
                notes.append(f"What moves the answers about {found.relation!r} was not measured: {error}")
                break
            causes.append(RelationCauses(found.relation, layer, moved))
    return tuple(causes), tuple(notes)


def _best_block(model: "OpenedModel", found: RelationAudit) -> tuple[str, ...]:
    """After the last block nothing at the subject reaches the answer any more."""
    blocks = [f"block {number}" for number in range(1, len(model.blocks))]
    looks = [look for look in found.looks if look.layer in blocks]
    return (max(looks, key=lambda look: np.nanmax([look.linear, look.offset])).layer,) if looks else ()


def _move_at(
    source: Source,
    model: "OpenedModel",
    objects: States,
    facts: RelationFacts,
    question: str,
    layer: str,
    seed: int,
) -> Causes:
    from geomem.audit.answering import answer_with_states, subject_states, write_questions

    subjects = [source.states.entities[row] for row in facts.rows.tolist()]
    candidates = [objects.entities[thing] for thing in facts.objects.tolist()]
    written = write_questions(model, question, source.written(subjects), source.written(candidates))
    if not all(prompt.name and prompt.name[-1] > 0 for prompt in written.prompts):
        raise InputError(
            f"the question {question[:80]!r} begins with the subject, and what a model holds at its first "
            "token is the same for every name; write a word before it."
        )
    place = 0 if layer == "input embedding" else int(layer.removeprefix("block "))
    return measure_causes(
        subject_states(model, written, place),
        object_vectors(objects)[facts.objects],
        written.same_first[facts.answers],
        lambda asked, vectors: answer_with_states(model, written, place, asked, vectors),
        seed=seed,
    )
