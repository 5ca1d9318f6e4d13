"""Small fact tables drawn by hypothesis: partial, many to one, with objects that are subjects."""

import numpy as np
from hypothesis import strategies as st

from geomem.worlds.facts.table import FactTable


@st.composite
def answer_grids(draw, most=8):
    """Number of objects, answers of each subject to each relation (-1: none, not everywhere), for `table_of`.

    Not the table itself, as in `random_graphs`: types are checked while it is built.
    """
    subjects, relations, objects = (draw(st.integers(1, most)) for _ in range(3))
    answer = st.integers(-1, objects - 1)
    row = st.lists(answer, min_size=relations, max_size=relations)
    grid = draw(st.lists(row, min_size=subjects, max_size=subjects).filter(lambda g: max(map(max, g)) >= 0))
    return objects, grid


def table_of(drawn):
    """The table with these answers; object number i has the label of subject i, where there is one."""
    objects, grid = drawn
    grid = np.array(grid)
    known = np.argwhere(grid >= 0)
    facts = np.column_stack([known, grid[grid >= 0]])
    labels = [tuple(f"e{i}" for i in range(count)) for count in (len(grid), objects)]
    relations = tuple(f"r{i}" for i in range(grid.shape[1]))
    return FactTable("drawn", labels[0], relations, labels[1], facts)
