"""A memory written down: facts become weights in closed form, in a directory; facts are edited and forgotten.

Nothing is trained and torch is not imported. What is written was first asked for every fact.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from geomem.constructions.answering import recall_every_fact
from geomem.constructions.cells import Cells, SeveralConstruction, recall_answer_sets, several_superposition
from geomem.constructions.held_facts import HeldFacts, Place, add_answer, answer_at, compare_held, put_answer
from geomem.constructions.one_hop import NUMBERS_LIMIT, OBJECTS, Weights, length_for_width
from geomem.errors import InputError, unknown_name
from geomem.memories.opened import OpenMemory, open_memory
from geomem.memories.writing import check_place, now, remove_former, replace_memory, write_new
from geomem.models.configuration import Recall
from geomem.runs.configuration import FactRecall, describe_configuration
from geomem.runs.directory import (
    FORMAT,
    MANIFEST,
    configuration_hash,
    current_version,
    damaged,
    locked_run,
    safe_name,
)
from geomem.runs.run import CELLS, CONSTRUCTION, Run, read_run
from geomem.version import find_version
from geomem.worlds.facts.table import (
    FactTable,
    entropy_bits,
    find_answers,
    find_object,
    find_relation,
    find_subject,
)
from geomem.worlds.find import find_facts

_INSTEAD = "with instead_of (--instead-of), or add one with also (--also)"
_EVERY = "behind the relation, or forget all with every (--every)"

Edits = list[dict[str, Any]]
"""What the manifest says of the former changes of a question: `before` and `after`, the latest last."""
Changed = tuple[HeldFacts, list[Place]]
"""A memory after a change, and the places that changed."""

LOGIT_SECONDS, NUMBER_BYTES = 2.5e-9, 40
"""What a construction takes per logit of its questions and per number of its weights, measured on one core of
2024 with 135,000 facts."""

Code = Literal["binary", "signs", "sphere", "circle"]
"""The codes that tell any number of objects apart at every length they are given."""


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


@dataclass(frozen=True)
class Asking:
    """How far the questions are that a new memory is asked before it is kept."""

    table: FactTable
    asked: int
    questions: int
    seconds: float
    """Estimate for all questions."""
    memory_bytes: int
    """Estimate for the whole construction."""


def construct_memory(
    facts: FactTable | str | os.PathLike[str] | object,
    directory: str | os.PathLike[str],
    *,
    width: int | None = None,
    code: Code = "binary",
    seed: int = 0,
    several: bool = False,
    numbers_limit: int = NUMBERS_LIMIT,
    on_progress: Callable[[Asking], None] | None = None,
) -> Run:
    """Write facts down as a block superposition, ask it every fact, and keep it in a new directory.

    `facts` is a table, the name of a built-in one, a file of triples, or whatever `facts_from` takes, which
    says what `several` allows; further answers to a question go into cells (`geomem.constructions.cells`).
    `width` is the most the residual stream may have, the least that will do if not given; codes become as
    long as it lets them. `seed` draws the codes `signs` and `sphere`. The manifest's `recalled` holds recall,
    least margin and bits.

    Where the directory holds the same memory already, nothing is written. `on_progress` is told how far the
    questions are.

    Raises `InputError` if the facts cannot be read; for a width that is too small, with the smallest that
    works; before it allocates more than `numbers_limit` numbers; if a fact is not recalled; and if the
    directory exists with something else in it. Nothing is written then.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memory = construct_memory("countries", Path(folder) / "countries")
    >>> memory.model.width, memory.manifest["recalled"]["recall"]
    (76, 1.0)
    """
    directory = Path(directory)
    check_place(directory)
    table = find_facts(facts, several=several)
    length = _length_for(table, code, width)
    memory = several_superposition(table, code=code, length=length, seed=seed, numbers_limit=numbers_limit)
    first = memory.first
    described = {"kind": CONSTRUCTION, "name": first.name, "code": code, "length": first.code.shape[1]}
    described |= {"seed": seed, "margin": memory.margin, "fact_bits": memory.fact_bits}
    if memory.cells:
        described |= _describe_cells(memory.cells, table)
    model = Recall(
        width=first.size.residual_size, mlp_width=first.size.mlp_width, attention="uniform", hops=1
    )
    configuration = describe_configuration(table, FactRecall(), model, described, [0])
    tell = _asking(memory, table, on_progress) if on_progress else None
    recalled = _recall(first.weights, memory.cells, table, memory.margin / 2, tell)
    if recalled["recall"] < 1:
        raise InputError(
            f"With the code {code} only {recalled['recall']:.2%} of the facts of {table.name!r} are "
            "recalled, for its margin is lost in rounding; give the code binary."
        )
    manifest = {
        "format": FORMAT,
        "name": safe_name(f"{table.name}-written-down"),
        "configuration": configuration,
        "hash": configuration_hash(configuration),
        "started": now(),
        "versions": {"geomem": find_version()}
        | {name: version(name) for name in ("numpy", "safetensors", "polars")},
        "platform": platform.platform(),
        "dtype": "float64",
        "recalled": recalled,
        "edits": [],
    }
    return write_new(directory, manifest, table, _all_weights(first.weights, memory.cells))


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


def _length_for(table: FactTable, code: Code, width: int | None) -> int | None:
    """Length of the codes in a residual stream of at most `width`; None for the code's own."""
    if width is None:
        return None
    if code != "circle":
        return length_for_width(table, width)
    needed = 3 * table.relation_count + 2
    if width < needed:
        raise InputError(
            f"A width of {width} is too small for {table.relation_count:,} relations of the table "
            f"{table.name!r} and the code circle; give {needed} or more."
        )
    return 2


def _describe_cells(cells: Cells, table: FactTable) -> dict[str, Any]:
    """What the manifest's `training` says of cells."""
    counts = np.bincount(cells.owners, minlength=table.subject_count)
    rows = cells.weights[OBJECTS]
    length = int((rows != 0).any(axis=0).sum())
    return {"cells": counts.tolist(), "cell_length": length}


def _asking(
    memory: SeveralConstruction, table: FactTable, on_progress: Callable[[Asking], None]
) -> Callable[[int], None]:
    """Announces the questions, and gives what is called for every block of them."""
    cells = 0 if memory.cells is None else len(memory.cells.owners)
    logits = (table.fact_count - cells) * table.object_count
    logits += 2 * cells * (table.relation_count + table.object_count)
    numbers = sum(array.size for array in _all_weights(memory.first.weights, memory.cells).values())
    told = Asking(table, 0, table.fact_count - cells, LOGIT_SECONDS * logits, NUMBER_BYTES * numbers)
    on_progress(told)

    def tell(count: int) -> None:
        nonlocal told
        told = replace(told, asked=told.asked + count)
        on_progress(told)

    return tell


def _recall(
    weights: Weights,
    cells: Cells | None,
    table: FactTable,
    least_lead: float,
    on_asked: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """What the manifest says of the weights as they are: every fact was asked."""
    if cells is None:
        found = recall_every_fact(weights, table, on_asked=on_asked)
        recall, margin = found.recall, float(found.margins.min())
    else:
        sets = recall_answer_sets(weights, cells, table, least_lead, on_asked=on_asked)
        recall, margin = sets.recall, sets.margin
    return {
        "facts": table.fact_count,
        "recall": recall,
        "margin": margin,
        "entropy_bits": entropy_bits(table),
    }


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


def _all_weights(weights: Weights, cells: Cells | None) -> dict[str, np.ndarray]:
    """Every array of a memory by its name in the file."""
    further = {} if cells is None else {CELLS + name: array for name, array in cells.weights.items()}
    return {**weights, **further}


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
        described = _describe_cells(new.cells, new.table)
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
        "recalled": _recall(new.weights, new.cells, new.table, new.margin / 2),
        "edits": [*old.get("edits", []), said],
    }
    replace_memory(directory, manifest, new.table, _all_weights(new.weights, new.cells))
