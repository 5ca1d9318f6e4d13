"""Further answers to a question, written down: one cell for each, so that the size follows the facts.

The first answer to a question (x, r) stands in block r of x's vector (`geomem.constructions.one_hop`). Every
further one is a cell of x: a row of a second block superposition, whose two relations say what it holds.

    s_cell = c_r in block "relation",  c_y in block "object"
    answers to (x, r): the object in x's block r, then the objects of the cells of x whose relation is r

So the cells of x are read one after the other, each by two questions to the weights (a chain of thought). An
empty cell says nothing: all its logits are 0. Codes of length m = ceil(log2(R + A)) tell R relations and A
objects apart, and F facts of Q questions take (derived here)

    C = F - Q cells,   D = 3 m + 2,   MLP width 4 m,   (C + 2 + R + A) D + 4 D^2 + 8 m D + 4 m + D numbers

beside those of one answer to each question; the margin is at least 2 / m. A relation for each further answer
would have the square of the largest number of answers in its place.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.constructions.answering import answer
from geomem.constructions.codes import CodeKind, default_length
from geomem.constructions.editing import rewrite_block
from geomem.constructions.one_hop import (
    NUMBERS_LIMIT,
    SUBJECTS,
    RecallConstruction,
    RecallSize,
    Weights,
    block_size,
    block_superposition,
    check_numbers,
)
from geomem.worlds.facts.several_answers import is_first_answer
from geomem.worlds.facts.table import FactTable, number_facts, select_facts

RELATION, OBJECT = 0, 1
"""The two relations that every cell is asked."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Weights of the cells, by the names of the `Recall` model whose subjects they are, and their owners."""

    weights: Weights
    owners: Int[np.ndarray, " cell"]
    """The subject that each cell belongs to, ascending."""
    relation_count: int


@dataclass(frozen=True, eq=False)
class SeveralConstruction:
    """A table in closed form: first answers in blocks, further ones in cells; None where all are first."""

    first: RecallConstruction
    further: RecallConstruction | None
    cells: Cells | None

    @property
    def margin(self) -> float:
        """By how much every right answer leads at least, in blocks and in cells."""
        return min(self.first.margin, self.further.margin) if self.further else self.first.margin

    @property
    def numbers(self) -> int:
        """All weights of both, zeros included."""
        return self.first.size.numbers + (self.further.size.numbers if self.further else 0)

    @property
    def fact_bits(self) -> int:
        """Bits that the numbers which depend on the facts hold."""
        return self.first.size.fact_bits + (self.further.size.fact_bits if self.further else 0)


def cells_size(cells: int, relations: int, objects: int, length: int) -> RecallSize:
    """Size of the weights of so many cells with codes of `length` (derived here).

    >>> size = cells_size(3_708, 46, 135, 8)
    >>> size.residual_size, size.mlp_width, size.numbers
    (26, 32, 105592)
    """
    return block_size(cells, 2, relations + objects, length)


def several_superposition(
    table: FactTable,
    *,
    code: CodeKind = "binary",
    length: int | None = None,
    seed: int = 0,
    numbers_limit: int = NUMBERS_LIMIT,
) -> SeveralConstruction:
    """The block superposition of a table whose questions may have several answers.

    With single answers it is `block_superposition`, and there are no cells. `length` is that of the codes in
    the subjects' vectors; those of the cells have the length that is the code's own.

    Raises `InputError` as `block_superposition` does, the limit being that of all numbers together.

    >>> from geomem.worlds.facts.reader import facts_from
    >>> facts = [("Italy", "borders", "France"), ("Italy", "borders", "Austria")]
    >>> memory = several_superposition(facts_from(facts, several=True))
    >>> read_cells(memory.cells, memory.margin / 2).tolist()
    [[0, 1]]
    """
    first = is_first_answer(table)
    further = table.facts[~first]
    options = {"code": code, "seed": seed}
    if not len(further):
        whole = block_superposition(table, length=length, numbers_limit=numbers_limit, **options)
        return SeveralConstruction(whole, None, None)
    known = table.relation_count + table.object_count
    cells = cells_size(len(further), table.relation_count, table.object_count, default_length(code, known))
    m = default_length(code, table.object_count) if length is None else length
    blocks = block_size(table.subject_count, table.relation_count, table.object_count, m)
    answers = f"{len(further):,} further answer{'s' if len(further) > 1 else ''}"
    what = f"superposition of the table {table.name!r} with {answers} in cells"
    check_numbers(what, blocks.numbers + cells.numbers, numbers_limit)
    whole = block_superposition(
        select_facts(table, first), length=length, numbers_limit=numbers_limit, **options
    )
    written = block_superposition(_cell_table(table, further), numbers_limit=numbers_limit, **options)
    return SeveralConstruction(whole, written, Cells(written.weights, further[:, 0], table.relation_count))


def read_cells(
    cells: Cells, least_lead: float, asked: Int[np.ndarray, " asked"] | None = None
) -> Int[np.ndarray, "asked 2"]:
    """Relation and object that each cell says, or each of those asked; -1 and -1 where it is empty.

    An answer counts if it leads the next one by more than `least_lead`.
    """
    return _read(cells, asked, least_lead)[0]


def cells_of(cells: Cells, subjects: Int[np.ndarray, " subject"]) -> Int[np.ndarray, " cell"]:
    """Numbers of the cells that belong to some subjects, ascending."""
    return np.flatnonzero(np.isin(cells.owners, subjects))


def rewrite_cell(cells: Cells, cell: int, old: tuple[int, int] | None, new: tuple[int, int] | None) -> Cells:
    """The cells of which one holds another relation and object, or nothing; one row differs.

    `old` is what it holds now. Raises `InputError` for weights of another kind.
    """
    weights = cells.weights
    offset = (0, cells.relation_count)
    for question in (RELATION, OBJECT):
        was, becomes = (None if fact is None else fact[question] + offset[question] for fact in (old, new))
        if was != becomes:
            weights = rewrite_block(weights, cell, question, was, becomes)
    return Cells(weights, cells.owners, cells.relation_count)


def add_cell(cells: Cells, subject: int) -> tuple[Cells, int]:
    """The cells with an empty one more, behind those of its subject, and its number."""
    place = int(np.searchsorted(cells.owners, subject, side="right"))
    rows = np.insert(cells.weights[SUBJECTS], place, 0, axis=0)
    owners = np.insert(cells.owners, place, subject)
    return Cells({**cells.weights, SUBJECTS: rows}, owners, cells.relation_count), place


def first_cell(
    table: FactTable, fact: tuple[int, int, int], *, code: CodeKind, seed: int
) -> tuple[Cells, RecallConstruction]:
    """Cells for a table that had none: a single one, with a further answer (subject, relation, object)."""
    written = block_superposition(_cell_table(table, np.array([fact])), code=code, seed=seed)
    return Cells(written.weights, np.array([fact[0]]), table.relation_count), written


@dataclass(frozen=True)
class RecalledSets:
    """What a memory with cells says to the questions of its table, and nothing else."""

    recall: float
    """Facts that are said, over facts that are said or in the table: 1 if all are and no other one is."""
    margin: float
    """The least lead of anything said."""


def recall_answer_sets(
    weights: Weights,
    cells: Cells,
    table: FactTable,
    least_lead: float,
    *,
    on_asked: Callable[[int], object] | None = None,
) -> RecalledSets:
    """Ask every question that has an answer, and read every cell: are the answers exactly those of the table?

    >>> from geomem.worlds.facts.reader import facts_from
    >>> facts = [("Italy", "borders", "France"), ("Italy", "borders", "Austria")]
    >>> table = facts_from(facts, several=True)
    >>> memory = several_superposition(table)
    >>> recall_answer_sets(memory.first.weights, memory.cells, table, memory.margin / 2).recall
    1.0
    """
    questions = table.facts[is_first_answer(table), :2]
    said = answer(weights, questions[:, 0], questions[:, 1], on_asked=on_asked)
    known = said.leads > least_lead
    held, leads = _read(cells, None, least_lead)
    full = held[:, 0] >= 0
    facts = np.concatenate(
        [np.column_stack([questions, said.objects])[known], np.column_stack([cells.owners, held])[full]]
    )
    right = len(np.intersect1d(number_facts(table, facts), number_facts(table, table.facts)))
    leads = np.concatenate([said.leads[known], leads[full]])
    return RecalledSets(right / (len(facts) + table.fact_count - right), float(leads.min(initial=np.inf)))


def _read(
    cells: Cells, asked: Int[np.ndarray, " asked"] | None, least_lead: float
) -> tuple[Int[np.ndarray, "asked 2"], Float[np.ndarray, " asked"]]:
    """What cells say, and the lesser of their two leads."""
    rows = np.arange(len(cells.owners)) if asked is None else asked
    said = [answer(cells.weights, rows, np.full(len(rows), question)) for question in (RELATION, OBJECT)]
    leads = np.minimum(said[RELATION].leads, said[OBJECT].leads)
    relations, objects = said[RELATION].objects, said[OBJECT].objects - cells.relation_count
    full = (leads > least_lead) & (relations < cells.relation_count) & (objects >= 0)
    return np.where(full[:, None], np.stack([relations, objects], axis=1), -1), leads


def _cell_table(table: FactTable, further: Int[np.ndarray, "cell 3"]) -> FactTable:
    """What the cells hold as a table of its own: cells, two relations; relations and objects as objects."""
    count = len(further)
    cells = np.arange(count)
    relations, objects = table.relation_count, table.object_count
    facts = np.concatenate(
        [
            np.column_stack([cells, np.full(count, RELATION), further[:, 1]]),
            np.column_stack([cells, np.full(count, OBJECT), relations + further[:, 2]]),
        ]
    )
    labels = [*(f"relation {r}" for r in range(relations)), *(f"object {y}" for y in range(objects))]
    names = tuple(f"cell {cell}" for cell in cells.tolist())
    return FactTable(f"cells of {table.name}", names, ("relation", "object"), tuple(labels), facts)
