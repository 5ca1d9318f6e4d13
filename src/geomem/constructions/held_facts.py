"""What a memory in closed form holds, changed one answer at a time and compared with what it was.

An answer stands in its subject's vector or in a cell (`geomem.constructions.cells`); a change rewrites one
block of the one or the two blocks of the other, and every other number stays bit for bit.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from geomem.constructions.answering import answer, compare_answers
from geomem.constructions.cells import Cells, add_cell, cells_of, first_cell, read_cells, rewrite_cell
from geomem.constructions.codes import CodeKind
from geomem.constructions.editing import rewrite_block
from geomem.constructions.one_hop import SUBJECTS, Weights
from geomem.worlds.facts.changes import replace_fact, with_fact, without_fact
from geomem.worlds.facts.table import FactTable

Place = int | None
"""Where an answer stands: the number of a cell, or None for the subject's vector."""


@dataclass(frozen=True, eq=False)
class HeldFacts:
    """A table with the weights that hold it, in blocks and in cells."""

    table: FactTable
    weights: Weights
    cells: Cells | None
    margin: float
    """By how much answers lead at least; a lead below half of it counts as no answer."""
    code: CodeKind
    """The code of cells that are still to be made, and its seed."""
    seed: int
    added: int | None = None
    """The cell that the last change has added."""


@dataclass(frozen=True)
class Moved:
    """What a change did to numbers and to all other facts."""

    changed_numbers: int
    changed_answers: int
    largest_shift: float


def answer_at(held: HeldFacts, subject: int, relation: int, place: Place) -> int | None:
    """The object that one place gives as an answer to a question, None if nothing."""
    if place is None:
        said = answer(held.weights, np.array([subject]), np.array([relation]))
        return int(said.objects[0]) if said.leads[0] > held.margin / 2 else None
    assert held.cells is not None
    about, found = read_cells(held.cells, held.margin / 2, np.array([place]))[0].tolist()
    return found if about == relation else None


def put_answer(
    held: HeldFacts, subject: int, relation: int, old: int | None, new: int | None
) -> tuple[HeldFacts, list[Place]]:
    """Another answer, or none, in the place of an old one; and that place.

    Raises `InputError` if the question has no such answer, the new one already, or no other fact is left.
    """
    if new is None:
        table = without_fact(held.table, subject, relation, old_object=old)
    else:
        table = replace_fact(held.table, subject, relation, new, old_object=old)
    if old is not None and held.cells is not None:
        own = cells_of(held.cells, np.array([subject]))
        found = own[(read_cells(held.cells, held.margin / 2, own) == (relation, old)).all(axis=1)]
        if len(found):
            cell = int(found[0])
            becomes = None if new is None else (relation, new)
            cells = rewrite_cell(held.cells, cell, (relation, old), becomes)
            return replace(held, table=table, cells=cells), [cell]
    main = old if held.cells is None else answer_at(held, subject, relation, None)
    weights = rewrite_block(held.weights, subject, relation, main, new)
    return replace(held, table=table, weights=weights), [None]


def add_answer(held: HeldFacts, subject: int, relation: int, new: int) -> tuple[HeldFacts, list[Place]]:
    """One more answer, in the subject's vector if it has none there, else in an empty cell or a new one.

    Raises `InputError` if the question has the answer already.
    """
    table = with_fact(held.table, subject, relation, new)
    if answer_at(held, subject, relation, None) is None:
        weights = rewrite_block(held.weights, subject, relation, None, new)
        return replace(held, table=table, weights=weights), [None]
    if held.cells is None:
        cells, written = first_cell(table, (subject, relation, new), code=held.code, seed=held.seed)
        margin = min(held.margin, written.margin)
        return replace(held, table=table, cells=cells, margin=margin, added=0), [0]
    own = cells_of(held.cells, np.array([subject]))
    empty = own[read_cells(held.cells, held.margin / 2, own)[:, 0] < 0]
    cells, cell = (held.cells, int(empty[0])) if len(empty) else add_cell(held.cells, subject)
    cells = rewrite_cell(cells, cell, None, (relation, new))
    return replace(held, table=table, cells=cells, added=None if len(empty) else cell), [cell]


def compare_held(old: HeldFacts, new: HeldFacts, places: list[Place], subject: int, relation: int) -> Moved:
    """Ask everything but the changed places of the old and of the new weights."""
    facts = old.table.facts
    if None in places:
        facts = facts[(facts[:, 0] != subject) | (facts[:, 1] != relation)]
    asked = np.unique(facts[:, :2], axis=0)
    parts = [compare_answers(old.weights, new.weights, asked[:, 0], asked[:, 1])]
    main = np.array([subject] if None in places else [], dtype=np.int64)
    changed = _changed_numbers(old.weights, new.weights, main)
    if new.cells is not None:
        after, touched = new.cells.weights, np.array([p for p in places if p is not None], dtype=np.int64)
        if new.added is not None:
            changed += int(after[SUBJECTS][new.added].astype(bool).sum())
            after = {**after, SUBJECTS: np.delete(after[SUBJECTS], new.added, axis=0)}
            touched = touched[:0]
        if old.cells is not None:
            before = old.cells.weights
            changed += _changed_numbers(before, after, touched)
            others = np.setdiff1d(np.arange(len(before[SUBJECTS])), touched)
            parts += [compare_answers(before, after, others, np.full(len(others), part)) for part in (0, 1)]
    return Moved(
        changed_numbers=changed,
        changed_answers=sum(int(part.changed.sum()) for part in parts),
        largest_shift=max(float(part.shifts.max(initial=0.0)) for part in parts),
    )


def _changed_numbers(old: Weights, new: Weights, rows: Int[np.ndarray, " row"]) -> int:
    """How many numbers differ; what a change promises is that they stand in these rows and nowhere else."""
    assert all(new[name] is array for name, array in old.items() if name != SUBJECTS)
    differs = new[SUBJECTS] != old[SUBJECTS]
    assert np.isin(np.flatnonzero(differs.any(axis=1)), rows).all()
    return int(differs.sum())
