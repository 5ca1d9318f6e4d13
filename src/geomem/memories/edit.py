"""A fact of a memory edited or forgotten: one vector changes; what that does to all others is measured."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from geomem.constructions.held_facts import HeldFacts, Place, add_answer, answer_at, compare_held, put_answer
from geomem.errors import InputError, unknown_name
from geomem.memories.construct import Code, all_weights, ask_everything, describe_cells
from geomem.memories.opened import OpenMemory, open_memory
from geomem.memories.writing import now, remove_former, replace_memory
from geomem.runs.configuration import FactRecall, describe_configuration
from geomem.runs.directory import MANIFEST, configuration_hash, current_version, damaged, locked_run
from geomem.runs.run import Run, read_run
from geomem.worlds.facts.table import FactTable, find_answers, find_object, find_relation, find_subject

_INSTEAD = "with instead_of (--instead-of), or add one with also (--also)"
_EVERY = "behind the relation, or forget all with every (--every)"

Edits = list[dict[str, Any]]
"""What the manifest says of the former changes of a question: `before` and `after`, the latest last."""
Changed = tuple[HeldFacts, list[Place]]
"""A memory after a change, and the places that changed."""


@dataclass(frozen=True)
class Effect:
    """What a change of one question's answers did, measured on every fact before and after."""

    subject: str
    relation: str
    before: str | None
    """What the weights answered in the places that changed; None if nothing, several joined by "; "."""
    after: str | None
    changed_numbers: int
    """Numbers that differ, all of them in the vectors of `changed_vectors`; no other number does."""
    other_facts: int
    changed_answers: int
    """Answers to other facts that are others now."""
    largest_shift: float
    """The largest change of a logit of any other fact."""
    changed_vectors: tuple[str, ...] = ("subject vector",)
    """What changed: the subject's vector, a cell that holds a further answer, or a new cell; nothing if this
    very change was made before."""
    other_answers: int = 0
    """Answers to the question that stay as they are."""


def edit_fact(
    memory: Run | str | os.PathLike[str],
    subject: str,
    relation: str,
    new_object: str,
    *,
    instead_of: str | None = None,
    also: bool = False,
) -> Effect:
    """Give a question another answer by changing one vector; the memory's directory then holds that.

    A question that had no answer gets one. Of several answers `instead_of` is the one that is replaced; with
    `also` all stay and the new one is added, in a cell of its own if need be. The edit stands in the
    manifest's `edits`. Whoever reads the directory, after a crash too, finds the former memory or the new;
    the same edit once more, as after a kill, changes nothing.

    Raises `InputError` for names that the memory does not know, with the nearest; an answer it gives already,
    unless an edit made it;
    several answers without `instead_of` or `also`; a trained memory; and as `read_run` does. Nothing is
    written then.

    >>> import tempfile
    >>> from geomem.memories.construct import construct_memory
    >>> facts = [("Kazakhstan", "capital", "Almaty"), ("Peru", "capital", "Lima")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memory = construct_memory(facts, Path(folder) / "towns")
    ...     effect = edit_fact(memory, "Kazakhstan", "capital", "Lima")
    >>> effect.before, effect.after, effect.changed_answers, effect.largest_shift
    ('Almaty', 'Lima', 0, 0.0)
    """
    if also and instead_of is not None:
        raise InputError("Both instead_of and also were given; give instead_of to replace, also to add.")

    def change(held: HeldFacts, x: int, r: int, edits: Edits) -> Changed | None:
        y = _object_of(held.table, new_object)
        known = find_answers(held.table, x, r).tolist()
        if y in known:
            given = [edit for edit in edits if edit["after"] == new_object]
            if not any(instead_of in (None, edit["before"]) for edit in given):
                raise InputError(
                    f"The memory answers {subject!r}, {relation!r} with {new_object!r} already; "
                    "give another object."
                )
            return None
        if also:
            return add_answer(held, x, r, y)
        old = _meant(held.table, x, r, instead_of, f"name the one to replace {_INSTEAD}")
        return put_answer(held, x, r, old, y)

    return _change(memory, subject, relation, change)


def forget_fact(
    memory: Run | str | os.PathLike[str],
    subject: str,
    relation: str,
    answer: str | None = None,
    *,
    every: bool = False,
) -> Effect:
    """Take a fact out of the vector that holds it: its question has one answer less, every other stays.

    Of several answers `answer` is the one that goes; with `every` all of them go. The rest is as for
    `edit_fact`. Raises `InputError` also if there is no such fact, or no other one.

    >>> import tempfile
    >>> from geomem.memories.construct import construct_memory
    >>> facts = [("Kazakhstan", "capital", "Almaty"), ("Peru", "capital", "Lima")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     effect = forget_fact(construct_memory(facts, Path(folder) / "towns"), "Peru", "capital")
    >>> effect.before, effect.after, effect.other_facts
    ('Lima', None, 1)
    """
    if every and answer is not None:
        raise InputError("Both an answer and every were given; give one of them.")

    def change(held: HeldFacts, x: int, r: int, edits: Edits) -> Changed | None:
        known = {held.table.objects[y] for y in find_answers(held.table, x, r).tolist()}
        last = edits[-1] if edits else {"after": ""}
        if last["after"] is None and (last["before"] == answer if answer else not known):
            return None
        if not every or len(known) < 2:
            old = _meant(held.table, x, r, answer, f"name the one to forget {_EVERY}")
            return put_answer(held, x, r, old, None)
        places: list[Place] = []
        for old in find_answers(held.table, x, r).tolist():
            held, place = put_answer(held, x, r, old, None)
            places += place
        return held, places

    return _change(memory, subject, relation, change)


def _held_facts(opened: OpenMemory) -> HeldFacts:
    """An open memory that was written down, as what can be changed."""
    assert opened.weights is not None
    stored = opened.stored
    training = stored.manifest["configuration"]["training"]
    code, seed = training.get("code"), training.get("seed")
    if code not in get_args(Code) or type(seed) is not int or seed < 0:
        raise damaged(stored.place / MANIFEST, "its construction names no code with a seed")
    margin = 2 * opened.least_lead
    return HeldFacts(stored.table, opened.weights, opened.cells, margin, code, seed)


def _meant(table: FactTable, x: int, r: int, label: str | None, way_out: str) -> int | None:
    """The answer that a change is about; None if the question has none."""
    known = find_answers(table, x, r).tolist()
    question = f"{table.subjects[x]!r}, {table.relations[r]!r}"
    some = ", ".join(repr(table.objects[y]) for y in known[:5]) + (", ..." if len(known) > 5 else "")
    if label is not None:
        old = find_object(table, label)
        if old not in known:
            raise InputError(
                f"The memory answers {question} with {some or 'nothing'} and not with {label!r}; "
                "name an answer that it gives."
            )
        return old
    if len(known) > 1:
        raise InputError(f"The memory has {len(known):,} answers to {question} ({some}); {way_out}.")
    return known[0] if known else None


def _change(
    memory: Run | str | os.PathLike[str],
    subject: str,
    relation: str,
    change: Callable[[HeldFacts, int, int, Edits], Changed | None],
) -> Effect:
    """Change a memory that was written down, measure what that does to all facts, write it."""
    directory = memory.path if isinstance(memory, Run) else Path(memory)
    read_run(directory, holding="facts")  # before its lock, which would make the directory
    with locked_run(directory, "writing"):
        stored = read_run(directory, holding="facts")
        opened = open_memory(stored)
        if opened.weights is None:
            raise InputError(
                f"{directory} was trained, and there a fact is no part of one subject vector; "
                "edit a memory that `geomem construct` wrote."
            )
        if stored.version != current_version(directory):
            raise InputError(
                f"The current version of {directory} is damaged, and a change would remove the rest of it; "
                f"copy {stored.place} to another directory and change that."
            )
        remove_former(directory)
        x, r = find_subject(stored.table, subject), find_relation(stored.table, relation)
        old = _held_facts(opened)
        edits = stored.manifest.get("edits", [])
        made = [edit for edit in edits if (edit["subject"], edit["relation"]) == (subject, relation)]
        if (changed := change(old, x, r, made)) is None:
            known = [stored.table.objects[y] for y in find_answers(stored.table, x, r).tolist()]
            said = "; ".join(known) or None
            return Effect(subject, relation, said, said, 0, stored.table.fact_count, 0, 0.0, ())
        effect = _effect(old, *changed, x, r)
        _write_changed(directory, opened, changed[0], effect)
    return effect


def _object_of(table: FactTable, label: str) -> int:
    """The id of an object that an edit may give."""
    if label in table.object_ids:
        return table.object_ids[label]
    raise unknown_name(
        f"The table {table.name!r} has no object {label!r}",
        label,
        table.object_ids,
        otherwise=f"an edit gives one of its {table.object_count:,}, so construct the memory anew to add one",
    )


def _effect(old: HeldFacts, new: HeldFacts, places: list[Place], x: int, r: int) -> Effect:
    """What the memory answers before and after, and how far the logits of all other facts moved."""
    table, said = old.table, []
    for held in (old, new):
        there = [place for place in places if place is None or held is new or place != new.added]
        found = [answer_at(held, x, r, place) for place in there]
        said.append("; ".join(table.objects[y] for y in found if y is not None) or None)
    moved = compare_held(old, new, places, x, r)
    cells = ["cell" if new.added is None else "new cell" for place in places if place is not None]
    return Effect(
        subject=table.subjects[x],
        relation=table.relations[r],
        before=said[0],
        after=said[1],
        changed_numbers=moved.changed_numbers,
        other_facts=table.fact_count - (len(places) if said[0] is not None else 0),
        changed_answers=moved.changed_answers,
        largest_shift=moved.largest_shift,
        changed_vectors=(*(["subject vector"] if None in places else []), *cells),
        other_answers=len(find_answers(new.table, x, r)) - (said[1] is not None),
    )


def _write_changed(directory: Path, opened: OpenMemory, new: HeldFacts, effect: Effect) -> None:
    """The changed memory with its manifest, in the place of the former."""
    memory = opened.stored
    old = memory.manifest
    training = old["configuration"]["training"]
    if new.added is not None:
        assert new.cells is not None
        described = describe_cells(new.cells, new.table)
        bits = 2 * described["cell_length"] * (1 if new.code in ("binary", "signs") else 64)
        training = {**training, **described, "margin": new.margin}
        training["fact_bits"] = training.get("fact_bits", 0) + bits
    configuration = describe_configuration(new.table, FactRecall(), memory.model, training, memory.seeds)
    said = {
        "time": now(),
        **{name: getattr(effect, name) for name in ("subject", "relation", "before", "after")},
    }
    manifest = {
        **old,
        "configuration": configuration,
        "hash": configuration_hash(configuration),
        "recalled": ask_everything(new.weights, new.cells, new.table, new.margin / 2),
        "edits": [*old.get("edits", []), said],
    }
    replace_memory(directory, manifest, new.table, all_weights(new.weights, new.cells))
