"""A real table of facts: the countries of the world, composable with the borders of Europe.

The facts stand in `data/countries.tsv`, whose first lines name their source, the date and what was decided.
"""

from dataclasses import replace

from geomem.worlds.facts.reader import facts_from
from geomem.worlds.facts.several_answers import numbered_relations
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.atlas import europe, read_table
from geomem.worlds.registry import table

COUNTRY_RELATIONS = ("capital", "continent", "currency", "main language", "calling code", "internet domain")
"""The relations of `countries`, in the order of the file's columns."""


@table
def countries() -> FactTable:
    """Countries: capital, continent, currency, main language, calling code, internet domain (195 countries).

    The 193 members of the United Nations, Kosovo and Vatican City, as of November 2026; Europe comes first.
    Every country has every fact, but for Kosovo's internet domain.

    >>> table = countries()
    >>> table.subject_count, table.relation_count, table.fact_count
    (195, 6, 1169)
    """
    return facts_from(_country_facts(), name="countries")


@table
def countries_with_borders() -> FactTable:
    """Countries with borders: `countries`, and who borders whom for the 42 countries of the world `europe`.

    Neighbours in alphabetical order are the answers to `borders`, `borders (2)`, and so on, so that a model
    can be trained on them; they are countries, so borders can be chained with themselves and with the facts.

    >>> from geomem.worlds.facts.hops import composable_relations
    >>> table = countries_with_borders()
    >>> table.fact_count, composable_relations(table).sum().item()
    (1343, 9)
    """
    graph = europe()
    pairs = [(graph.labels[tail], graph.labels[head]) for tail, head in graph.edges.tolist()]
    borders = [(one, "borders", other) for one, other in sorted(pairs + [pair[::-1] for pair in pairs])]
    whole = facts_from(_country_facts() + borders, name="countries-with-borders", several=True)
    whole = numbered_relations(whole)
    return replace(whole, notes=(*whole.notes, "Borders are those of the world 'europe' alone."))


def _country_facts() -> list[tuple[str, str, str]]:
    """The triples of the file; an empty cell is no fact."""
    return [
        (country, relation, cell)
        for country, *cells in read_table("countries")
        for relation, cell in zip(COUNTRY_RELATIONS, cells, strict=True)
        if cell
    ]
