import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analytic_spectra as analytic
from geomem.geometry.inertia import count_below
from geomem.geometry.spectrum import laplacian_matrix, laplacian_spectrum
from geomem.worlds.graphs.families import complete
from random_graphs import edge_lists, graph_of


@given(edge_lists(), st.sampled_from(analytic.KINDS), st.data())
def test_eigenvalues_in_any_gap_are_counted(edges, kind, data):
    graph = graph_of(edges)
    values = laplacian_spectrum(graph, kind).eigenvalues
    wide = np.flatnonzero(np.diff(values) > 1e-3)
    gap = data.draw(st.sampled_from(wide.tolist()))
    assert count_below(laplacian_matrix(graph, kind), values[gap], values[gap + 1]) == gap + 1


def test_a_gap_of_no_width_cannot_be_counted():
    with pytest.raises(ArithmeticError, match="cannot be counted"):
        count_below(laplacian_matrix(complete(20), "combinatorial"), 20.0, 20.0)
