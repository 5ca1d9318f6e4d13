"""One measurement: what defines and registers it, and what it is made of: values, an interval and a null.

Axis names: `run`, `node`, `width`, `draw` (one of a null).
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError
from geomem.geometry.nulls import bootstrap_interval, p_value, permutation_null, random_null
from geomem.shown import shown_by
from geomem.worlds.graphs.graph import Graph, leaves_and_first_hops

PERMUTED = "permuted nodes"
"""Null model of what relates embeddings to the graph: their rows in random order."""

RANDOM = "random embeddings"
"""Null model of what does not look at the graph: independent N(0, 1) entries of the same shape."""

RANDOM_ROWS = "random rows"
"""Null model of spectra of large graphs: rows drawn from a normal distribution with the rows' moments."""

SECTIONS = ("reading", "places", "raw cosines", "spread", "spectrum", "more")
"""Parts of the table of a portrait, in this order; within a part measurements stand as they were defined."""

GIVEN = ("graph", "edges", "coordinates", "leaves", "first_hops", "distances", "shells", "spectrum")
"""What a measurement can ask for by the names of its parameters."""

# Work allowed to one null, in numbers gathered or multiplied; about a second on one core. Large graphs get
# fewer permutations, never fewer than make p = 0.01 possible.
NULL_WORK = 200_000_000
FEWEST_DRAWS = 99

Alternative = Literal["greater", "less", "two-sided"]
Function = TypeVar("Function", bound=Callable[..., Any])


@shown_by("geomem.report.card:show_measurement")
@dataclass(frozen=True, eq=False)
class Measurement:
    """One number per run, an interval over seeds and, where there is a null model, what chance gives."""

    name: str
    title: str
    values: Float[np.ndarray, " run"]
    mean: float
    low: float
    """Ends of the 95 % bootstrap interval of the mean over runs; NaN for a single run."""
    high: float
    null: str
    """Name of the null model; empty if there is none, and then the four numbers below are NaN."""
    null_mean: float
    """Of the mean over runs, when chance decides."""
    null_low: float
    """The null's central 95 %."""
    null_high: float
    p_value: float
    explanation: str
    compared: bool = False
    """Whether a report on several fleets has a column for it."""


@dataclass(frozen=True, eq=False)
class Definition:
    """All that is said of a measurement, at the function that takes it."""

    name: str
    title: str
    explanation: str
    function: Callable[..., Any] = lambda *given: None
    """Returns None where there is nothing to measure: by default, since metrics are measured in training."""
    of: Literal["rows", "seen rows", "cosines", "centred cosines"] = "rows"
    """What the function looks at: rows as they are; rows that `measure_vectors` centres; or means and mean
    squares of cosines by graph distance [..., shell], and the shells."""
    needs: tuple[str, ...] = ()
    """Names of `GIVEN` that it takes after the rows."""
    null: str = ""
    alternative: Alternative = "greater"
    draw: Callable[..., np.ndarray] | None = None
    """Draws of the null from its distribution: (nodes, width, count=, seed=) -> [draw]."""
    prepare: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
    """What is done to rows once, before they are permuted."""
    any_basis: bool = False
    """Whether turning columns changes nothing: wide embeddings then lose some before the null is drawn."""
    work: Callable[..., int] = lambda rows, *given: 10 * rows.size
    curve: bool = False
    compared: bool = False
    most_nodes: int | None = None
    section: str = "more"


MEASUREMENTS: dict[str, Definition] = {}
"""The measurements of embeddings by name; `measurement` adds to them."""


def measurement(
    title: str,
    *,
    null: str = PERMUTED,
    alternative: Alternative = "greater",
    curve: bool = False,
    compared: bool = False,
    work: Callable[..., int] | None = None,
    most_nodes: int | None = None,
    **rest: Any,
) -> Callable[[Function], Function]:
    """Register a function as a measurement of embeddings: portraits, reports and curves then have it.

    The function takes embeddings [..., node, width] and keeps the leading axes; its name is the
    measurement's, the first paragraph of its docstring the explanation. Further parameters without a default
    are given by name: `graph`, `edges`, `coordinates` (the true map), `leaves` and `first_hops` (of a star),
    `distances` (node by node), `shells`, `spectrum`. Where the graph lacks one (the last three above
    `EXACT_NODES` nodes), or the function returns None, the measurement is left out.

    | argument | meaning |
    |---|---|
    | `null` | `PERMUTED`, `RANDOM` if it does not look at the graph, or "" for none |
    | `alternative` | on which side of the null a value is extreme: "greater", "less" or "two-sided" |
    | `curve` | whether `measure_curves` follows it over training |
    | `compared` | whether a report on several fleets has a column for it |
    | `work` | numbers multiplied for one embedding, from the arguments: it limits the draws of the null |
    | `most_nodes` | larger graphs are measured without it |

    Raises `InputError` for a second measurement of one name, a parameter that is not given, or a function
    without a docstring.

    >>> @measurement("Mean length", null=RANDOM)
    ... def mean_length(embeddings):
    ...     '''How long a row is, on average.'''
    ...     return np.linalg.norm(embeddings, axis=-1).mean(axis=-1)
    >>> MEASUREMENTS.pop("mean_length").explanation
    'How long a row is, on average.'
    """

    def register(function: Function) -> Function:
        explanation = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
        parameters = list(inspect.signature(function).parameters.values())[1:]
        needs = tuple(entry.name for entry in parameters if entry.default is entry.empty)
        name = getattr(function, "__name__", "")
        unknown = [need for need in needs if need not in GIVEN]
        if unknown:
            raise InputError(
                f"The measurement {name!r} asks for {unknown[0]!r}; it can ask for {', '.join(GIVEN)}."
            )
        if not explanation:
            raise InputError(f"The measurement {name!r} has no docstring; its first paragraph explains it.")
        costs = {} if work is None else {"work": work}
        define(
            Definition(
                *(name, title, explanation, function),
                needs=needs,
                null=null,
                alternative=alternative,
                curve=curve,
                compared=compared,
                most_nodes=most_nodes,
                **costs,
                **rest,
            )
        )
        return function

    return register


def define(definition: Definition) -> None:
    """Add a definition to `MEASUREMENTS`; raises `InputError` if its name is taken."""
    if definition.name in MEASUREMENTS:
        raise InputError(f"A measurement {definition.name!r} exists already; choose another name.")
    MEASUREMENTS[definition.name] = definition


def defined_measurements() -> list[Definition]:
    """All of `MEASUREMENTS` in the order of a portrait's table."""
    return sorted(MEASUREMENTS.values(), key=lambda definition: SECTIONS.index(definition.section))


def describe_graph(graph: Graph) -> dict[str, Any]:
    """What `GIVEN` says of a graph of any size, by name; a graph without a map or star lacks those."""
    given: dict[str, Any] = {"graph": graph, "edges": graph.edges}
    if graph.coordinates is not None:
        given["coordinates"] = graph.coordinates
    if graph.root is not None:
        leaves, first_hops = leaves_and_first_hops(graph)
        if len(np.unique(first_hops)) > 1:
            given |= {"leaves": leaves, "first_hops": first_hops}
    return given


def find_arguments(definition: Definition, given: Mapping[str, Any]) -> list[Any] | None:
    """What the function takes after the rows; None if the graph lacks it or is too large."""
    most = definition.most_nodes
    too_large = most is not None and given["graph"].node_count > most
    if too_large or any(need not in given for need in definition.needs):
        return None
    return [given[need] for need in definition.needs]


def values_on(
    definition: Definition, V: Float[np.ndarray, "run node width"], given: Mapping[str, Any]
) -> Float[np.ndarray, " run"] | None:
    """The values of a measurement of rows, without a null; None where it does not apply."""
    arguments = find_arguments(definition, given)
    return None if arguments is None else definition.function(definition.prepare(V), *arguments)


def affordable_draws(wanted: int, work: int, *, allowed: int = NULL_WORK, fewest: int = FEWEST_DRAWS) -> int:
    """How many draws of a null to make when each costs `work`."""
    return max(min(wanted, fewest), min(wanted, allowed // max(work, 1)))


def take_measurement(
    definition: Definition,
    V: Float[np.ndarray, "run node width"],
    given: Mapping[str, Any],
    *,
    draws: int,
    seed: int,
) -> Measurement | None:
    """A measurement of rows, with at most `draws` draws of its null; None where it does not apply."""
    arguments = find_arguments(definition, given)
    if arguments is None:
        return None
    rows = definition.prepare(V)
    if definition.any_basis and rows.shape[2] > rows.shape[1]:
        rows = np.stack([np.linalg.qr(run.T)[1].T for run in rows])
    runs, nodes, width = rows.shape
    values = definition.function(rows, *arguments)
    if values is None:
        return None

    def statistic(embeddings: np.ndarray) -> np.ndarray:
        return np.asarray(definition.function(embeddings, *arguments))

    work, chance = definition.work(rows[0], *arguments), None
    if definition.null == PERMUTED:
        count = affordable_draws(draws, work)
        chance = np.stack([permutation_null(statistic, run, count=count, seed=seed) for run in rows])
    elif definition.null == RANDOM:
        count = affordable_draws(draws, runs * work)
        if definition.draw is None:
            chance = random_null(statistic, (nodes, width), count=count * runs, seed=seed)
        else:
            chance = definition.draw(nodes, width, count=count * runs, seed=seed)
        chance = chance.reshape(runs, count)
    return make_measurement(definition, values, seed=seed, draws=chance)


def make_measurement(
    definition: Definition,
    values: Float[np.ndarray, " run"],
    *,
    seed: int,
    draws: Float[np.ndarray, "run draw"] | None = None,
) -> Measurement:
    """Assemble a measurement from values and, where there is a null, its draws."""
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    chance = np.empty(0) if draws is None else draws.mean(axis=0)
    chance = chance[np.isfinite(chance)]
    nan = float("nan")
    null, numbers = "", (nan, nan, nan, nan)
    if len(chance) and np.isfinite(mean):
        ends = np.quantile(chance, [0.025, 0.975])
        p = p_value(mean, chance, alternative=definition.alternative)
        null, numbers = definition.null, (float(chance.mean()), float(ends[0]), float(ends[1]), p)
    low, high = bootstrap_interval(values, seed=seed)
    return Measurement(
        definition.name,
        definition.title,
        values,
        mean,
        low,
        high,
        null,
        *numbers,
        definition.explanation,
        definition.compared,
    )
