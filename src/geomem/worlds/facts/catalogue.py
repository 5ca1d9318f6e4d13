"""Every built-in table of facts by the name the command line uses."""

from collections.abc import Callable

from geomem.worlds.facts.countries import countries, countries_with_borders
from geomem.worlds.facts.families import (
    disjoint_bijections,
    many_to_one,
    random_bijections,
    random_permutations,
    zipf_facts,
)
from geomem.worlds.facts.table import FactTable

FACT_WORLDS: dict[str, Callable[..., FactTable]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        random_bijections,
        disjoint_bijections,
        random_permutations,
        many_to_one,
        zipf_facts,
        countries,
        countries_with_borders,
    )
}
"""The tables; each is called with the options of its family, all of which have defaults."""


def describe_fact_world(name: str) -> str:
    """One line that says what a built-in table is: the first of its docstring.

    >>> describe_fact_world("many-to-one")[:12]
    'Many to one:'
    """
    return (FACT_WORLDS[name].__doc__ or "").partition("\n")[0]
