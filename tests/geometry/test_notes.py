"""What is weak in an input is said, with the nodes it concerns; what is sound says nothing."""

import numpy as np

from geomem.geometry.notes import FEW_NODES, find_notes
from geomem.geometry.portrait import measure_embeddings, measure_vectors
from geomem.worlds.graphs.families import cycle, grid, irregular, path
from random_graphs import disjoint_union


def spread_out(nodes, runs=1, seed=0):
    return np.random.default_rng(seed).normal(size=(runs, nodes, 6))


def test_sound_rows_on_a_connected_graph_say_nothing():
    assert find_notes(spread_out(16), grid()) == ()
    assert measure_embeddings(spread_out(15), cycle(), permutations=19).notes == ()


def test_zero_rows_are_named_and_counted():
    rows = spread_out(15, runs=2)
    rows[1, [3, 7]] = 0
    (note,) = find_notes(rows, cycle())
    assert note.startswith("2 rows are zero in 1 of 2 runs ('3', '7'): ")
    rows[:, :10] = 0
    assert "'5' and 4 more" in find_notes(rows, cycle())[0]
    portrait = measure_vectors(rows, cycle(), permutations=19)
    assert any("rows are zero" in note for note in portrait.notes)


def test_rows_that_do_not_vary_are_said():
    same = np.ones((1, 15, 3))
    notes = measure_embeddings(same, cycle(), permutations=19).notes
    assert any(note.startswith("All rows are equal") for note in notes)
    rows = spread_out(15)
    rows[0, 9] = rows[0, 2]
    rows[0, 0, 0], rows[0, 1] = 0.0, rows[0, 0]
    rows[0, 1, 0] = -0.0
    (note,) = find_notes(rows, cycle())
    assert note.startswith("4 rows are equal to another's ('0', '1', '2', '9')")


def test_small_graphs_are_said():
    assert find_notes(spread_out(FEW_NODES - 1), cycle(FEW_NODES - 1))[0].startswith("The graph has 7 nodes")
    assert find_notes(spread_out(FEW_NODES), cycle(FEW_NODES)) == ()


def test_the_fiedler_modes_of_components_are_said():
    (note,) = measure_embeddings(spread_out(16), irregular(), permutations=19).notes
    assert note == "Fiedler modes of 2 components: 2 on one of 12 nodes (eigenvalues 0.224, 0.410)."
    couples = disjoint_union(*[path(2)] * 5)
    assert (
        measure_embeddings(spread_out(10), couples, permutations=19).notes[0].startswith("Fiedler modes of")
    )
