"""Small real graphs that everybody knows, as networkx carries them, and one molecule."""

import numpy as np

from geomem.worlds.graphs.graph import Graph, simple_graph
from geomem.worlds.registry import world


@world
def karate_club() -> Graph:
    """Friendships of the 34 members of a karate club (Zachary 1977), numbered from 0 as in networkx.

    >>> karate_club().edge_count
    78
    """
    import networkx

    return _classic("karate-club", networkx.karate_club_graph())


@world
def les_miserables() -> Graph:
    """Characters of Les Misérables who appear in the same chapter (Knuth 1993): 77 characters.

    >>> les_miserables().edge_count
    254
    """
    import networkx

    return _classic("les-miserables", networkx.les_miserables_graph())


@world
def florentine_families() -> Graph:
    """Marriages between 15 families of Renaissance Florence (Padgett; Breiger and Pattison 1986).

    >>> florentine_families().edge_count
    20
    """
    import networkx

    return _classic("florentine-families", networkx.florentine_families_graph())


@world
def davis_women() -> Graph:
    """18 women of Natchez and the 14 social events they attended (Davis, Gardner and Gardner 1941).

    >>> davis_women().edge_count
    89
    """
    import networkx

    return _classic("davis-women", networkx.davis_southern_women_graph())


@world
def fullerene() -> Graph:
    """Buckminsterfullerene, C60: the 60 carbon atoms and the bonds between them, a cut-off icosahedron.

    An atom is a corner of the icosahedron and a neighbour of it: on the edge between the two, near the first.

    >>> fullerene().node_count, fullerene().edge_count
    (60, 90)
    """
    import networkx

    solid, bonds = networkx.icosahedral_graph(), networkx.Graph()
    for one, other in (pair for edge in solid.edges for pair in (edge, edge[::-1])):
        bonds.add_edge((one, other), (other, one))
        for third in sorted(set(solid[one]) & set(solid[other])):
            bonds.add_edge((one, other), (one, third))
    names = {atom: f"{atom[0]}-{atom[1]}" for atom in bonds}
    return _classic("fullerene", networkx.relabel_nodes(bonds, names))


def _classic(name: str, graph) -> Graph:
    """A networkx graph in networkx's order of nodes; forward is from the earlier node to the later."""
    node = {label: number for number, label in enumerate(graph.nodes)}
    pairs = sorted(sorted((node[one], node[other])) for one, other in graph.edges)
    return simple_graph(name, [str(label) for label in node], np.array(pairs, dtype=np.int64))
