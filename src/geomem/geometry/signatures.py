"""Signs by which a run shows that it went wrong, each with the rule and the number it is found by.

Axis names: `run`, `node`, `width`, `shell` (one graph distance), `row` (of the metrics), `fact`, `hop` (the
tokens of a path after its start). Every function looks at all runs of a fleet at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import pdist
from scipy.special import bdtrc

from geomem.errors import InputError
from geomem.geometry.reading import READINGS, SIGNIFICANCE
from geomem.geometry.similarity import mean_cosine
from geomem.worlds.graphs.graph import Graph

COLLAPSED_COSINE = 0.95
"""From this mean cosine over all pairs on, the nodes count as being in nearly one place."""

MERGED_DISTANCE = 0.1
"""Twins nearer to each other than this share of the median distance of two nodes count as merged: merged ones
of trained Transformers are at .001 to .03, other twins of models that know all facts at .4 or more."""

TYPICAL_NODES = 1500
"""Nodes at most whose distances give the median."""

KNOWN_LATER_TOKENS = 0.9
"""From this accuracy on, given the tokens before, the later tokens of a path count as known."""

LISTED = 6
"""Facts or pairs named in a sentence at most."""

SIGNATURES: dict[str, str] = {
    "diverged": (
        "The loss or the embeddings of the last step hold NaN or infinity, or the last loss is above the "
        "first."
    ),
    "unfinished memorisation": (
        "Associative accuracy is below 1 after the last step: some fact is not among the best answers."
    ),
    "collapsed geometry": (
        f"The run reads collapsed, or the mean cosine over all pairs is at least {COLLAPSED_COSINE} and what "
        "is left once the common direction is taken out reads neither geometric nor zig-zag."
    ),
    "zig-zag": f"The run reads zig-zag. {READINGS['zig-zag']}",
    "merged twins": (
        "Two neighbours with the same other neighbours are nearer to each other than "
        f"{MERGED_DISTANCE} of the median distance of two nodes; where recall is known, only if facts are "
        "missing."
    ),
    "random first token": (
        f"Given the path so far each later token is right in at least {KNOWN_LATER_TOKENS:.0%} of the paths, "
        "but the first hop no more often than by chance, one in as many as there are arms (binomial test, "
        f"p > {SIGNIFICANCE})."
    ),
}
"""The names of the signatures, each with its rule."""


@dataclass(frozen=True, eq=False)
class Signature:
    """Whether each run of a fleet shows one of `SIGNATURES`, and the number that decided."""

    name: str
    found: Bool[np.ndarray, " run"]
    values: Float[np.ndarray, " run"]
    """What the rule looked at, NaN where there was nothing to look at."""
    quantity: str
    """What the values are."""
    sentence: str
    """What was found, for people; empty if no run shows it."""

    @property
    def rule(self) -> str:
        """The rule's text."""
        return SIGNATURES[self.name]


def find_divergence(
    losses: Float[np.ndarray, "row run"], embeddings: Float[np.ndarray, "run node width"]
) -> Signature:
    """Runs that diverged, by their curves of the loss and their last embeddings.

    >>> signature = find_divergence(np.array([[2.0, 2.0], [1.0, np.nan]]), np.zeros((2, 3, 4)))
    >>> signature.found.tolist(), signature.sentence
    ([False, True], '1 of 2 runs: training diverged; give it a smaller learning rate.')
    """
    first, last = losses[0], losses[-1]
    finite = np.isfinite(last) & np.isfinite(embeddings).all(axis=(1, 2))
    found = ~finite | (last > first)
    return _signature(
        "diverged", found, last, "last loss", "training diverged; give it a smaller learning rate"
    )


def find_unfinished_memorization(
    accuracies: Float[np.ndarray, " run"],
    recalled: Bool[np.ndarray, "run fact"] | None = None,
    facts: Int[np.ndarray, "fact 2"] | None = None,
    labels: Sequence[str] = (),
) -> Signature:
    """Runs that do not know every fact, by associative accuracy; with `recalled`, which facts are missing.

    `facts` are (source, target) pairs of nodes and `labels` the nodes' names. A run without a number is not
    unfinished but diverged.

    >>> recalled = np.array([[True, False]])
    >>> facts = np.array([[0, 1], [1, 0]])
    >>> find_unfinished_memorization(np.array([0.5]), recalled, facts, ("a", "b")).sentence
    'The only run: not every fact is memorised; missing is b → a.'
    """
    # Accuracies are means of float32 numbers.
    found = accuracies < 1 - 1e-6
    said = "not every fact is memorised"
    if recalled is not None and facts is not None and (~recalled[found]).any():
        misses = (~recalled[found]).sum(axis=0)
        order = [fact for fact in np.argsort(-misses, kind="stable") if misses[fact]]
        named = [f"{labels[facts[fact, 0]]} → {labels[facts[fact, 1]]}" for fact in order]
        said += f"; missing {'is' if len(named) == 1 else 'are'} {_listed(named)}"
    return _signature("unfinished memorisation", found, accuracies, "associative accuracy", said)


def find_collapse(readings: Sequence[str], embeddings: Float[np.ndarray, "run node width"]) -> Signature:
    """Runs whose nodes are all in nearly one place, with nothing of the graph in what tells them apart.

    >>> ring = np.array([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    >>> find_collapse(["associative"], ring).found, find_collapse(["associative"], ring + 9).found
    (array([False]), array([ True]))
    """
    means = np.array([mean_cosine(embedding) for embedding in embeddings], dtype=np.float64)
    words = np.array(readings)
    hidden = (means >= COLLAPSED_COSINE) & ~np.isin(words, ("geometric", "zig-zag"))
    found = (words == "collapsed") | hidden
    said = f"all nodes are in nearly one place, with a mean cosine of {_range(means[found])}"
    return _signature("collapsed geometry", found, means, "mean cosine of all pairs", said)


def find_zig_zag(readings: Sequence[str], shells: Float[np.ndarray, "run shell"]) -> Signature:
    """Runs whose neighbours are on opposite sides: those that read "zig-zag".

    `shells` are the mean centred cosines at graph distance 1, 2, ...

    >>> find_zig_zag(["zig-zag", "geometric"], np.array([[0.1, 0.5], [0.9, 0.5]])).found.tolist()
    [True, False]
    """
    leads = shells[:, 1] - shells[:, 0] if shells.shape[1] > 1 else np.full(len(shells), np.nan)
    found = np.array([word == "zig-zag" for word in readings])
    said = (
        "nodes two steps apart are more alike than neighbours, by a mean centred cosine of "
        f"{_range(leads[found])}"
    )
    return _signature("zig-zag", found, leads, "centred cosine at distance 2 minus that at distance 1", said)


def adjacent_twins(graph: Graph) -> list[tuple[int, int]]:
    """Pairs of neighbours that share all their other neighbours, as in any clique that hangs on by one node.

    >>> from geomem.worlds.graphs.families import complete, cycle
    >>> adjacent_twins(complete(3)), adjacent_twins(cycle(5))
    ([(0, 1), (0, 2), (1, 2)], [])
    """
    closed: list[set[int]] = [{node} for node in range(graph.node_count)]
    for tail, head in graph.edges.tolist():
        closed[tail].add(head)
        closed[head].add(tail)
    pairs = {(min(edge), max(edge)) for edge in graph.edges.tolist()}
    return sorted((u, v) for u, v in pairs if u != v and closed[u] == closed[v])


def find_merged_twins(
    embeddings: Float[np.ndarray, "run node width"],
    graph: Graph,
    accuracies: Float[np.ndarray, " run"] | None = None,
) -> Signature:
    """Runs that cannot tell adjacent twins apart, so that the facts between them are lost.

    Twins u, v differ in one answer only: u's is v and v's is u. Where their embeddings merge, a tied model
    must share the probability of that answer between both, log 2 nats above the floor for each of the two
    facts: .0347 over the 40 facts of the irregular graph, where Transformers do end at .9712, not .9364.
    In tied Node2Vec and with self-edges twins merge and nothing is missing, so with `accuracies` a run that
    recalls all is not found.
    """
    twins = adjacent_twins(graph)
    shares = np.full(len(embeddings), np.nan)
    found = np.zeros(len(embeddings), dtype=bool)
    merged: list[str] = []
    if twins:
        first, second = np.array(twins).T
        for run, embedding in enumerate(embeddings):
            # Every so many nodes of a large graph: all pairs would be a matrix.
            typical = float(np.median(pdist(embedding[:: -(-graph.node_count // TYPICAL_NODES)])))
            if typical == 0:
                continue
            apart = np.linalg.norm(embedding[first] - embedding[second], axis=1) / typical
            shares[run] = apart.min()
            complete = accuracies is not None and not accuracies[run] < 1 - 1e-6
            found[run] = apart.min() < MERGED_DISTANCE and not complete
            if found[run]:
                for pair in np.flatnonzero(apart < MERGED_DISTANCE):
                    name = f"{graph.labels[first[pair]]} and {graph.labels[second[pair]]}"
                    merged += [] if name in merged else [name]
    said = f"twins are in one place, and the facts between them blurred: {_listed(merged)}"
    return _signature(
        "merged twins", found, shares, "least distance of twins, over the median distance", said
    )


def find_random_first_token(accuracies: Float[np.ndarray, "run hop"], *, paths: int, arms: int) -> Signature:
    """Runs that know every path but for where it begins: first hop at chance, later ones right.

    `accuracies` are shares of `paths` tested paths, the first hop first, later hops given the path so far; by
    chance a first hop is one of `arms`. It is the sign of a model that never learned to look ahead (Bachmann
    and Nagarajan 2024). With k first hops right, p = P(X >= k), X binomial with chance 1 / arms.

    >>> right = np.array([[0.2, 1.0, 1.0], [0.9, 1.0, 1.0]])
    >>> find_random_first_token(right, paths=40, arms=5).found.tolist()
    [True, False]
    """
    if accuracies.shape[1] < 2 or arms < 2 or paths < 1:
        raise InputError(
            f"{accuracies.shape[1]} hops, {arms} arms and {paths} paths were given; "
            "give at least two hops, two arms and one path."
        )
    right = np.round(accuracies[:, 0] * paths)
    # bdtrc(k, n, p) is the chance of more than k.
    p = np.where(right > 0, bdtrc(np.maximum(right - 1, 0), paths, 1 / arms), 1.0)
    found = (accuracies[:, 1:].min(axis=1) >= KNOWN_LATER_TOKENS) & (p > SIGNIFICANCE)
    said = (
        f"given the path so far the later tokens are right, but the first hop is in "
        f"{_range(accuracies[found, 0])} of the paths, where chance gives {1 / arms:.2f}"
    )
    return _signature("random first token", found, accuracies[:, 0], "accuracy of the first hop", said)


def find_in_embeddings(
    embeddings: Float[np.ndarray, "run node width"],
    graph: Graph,
    readings: Sequence[str],
    shells: Float[np.ndarray, "run shell"],
    accuracies: Float[np.ndarray, " run"] | None = None,
) -> tuple[Signature, ...]:
    """The signatures that embeddings show: collapsed geometry, zig-zag, merged twins."""
    return (
        find_collapse(readings, embeddings),
        find_zig_zag(readings, shells),
        find_merged_twins(embeddings, graph, accuracies),
    )


def spread_over_runs(signature: Signature, measured: Bool[np.ndarray, " run"]) -> Signature:
    """The signature of a few runs as one of all runs: those that were not measured do not show it.

    >>> one = find_zig_zag(["zig-zag"], np.array([[0.1, 0.5]]))
    >>> spread_over_runs(one, np.array([False, True])).found.tolist()
    [False, True]
    """
    found, values = np.zeros(len(measured), dtype=bool), np.full(len(measured), np.nan)
    found[measured], values[measured] = signature.found, signature.values
    said = signature.sentence.partition(": ")[2].removesuffix(".")
    return replace(
        signature, found=found, values=values, sentence=f"{_who(found)}: {said}." if found.any() else ""
    )


def _signature(name: str, found: np.ndarray, values: np.ndarray, quantity: str, said: str) -> Signature:
    values = np.asarray(values, dtype=np.float64)
    return Signature(name, found, values, quantity, f"{_who(found)}: {said}." if found.any() else "")


def _who(found: np.ndarray) -> str:
    if len(found) == 1:
        return "The only run"
    return f"{'All' if found.all() else found.sum()} {'' if found.all() else 'of '}{len(found)} runs"


def _range(values: np.ndarray) -> str:
    """The smallest and the largest, once if they look the same."""
    values = values[np.isfinite(values)]
    if not len(values):
        return "–"
    ends = [f"{values.min():.2f}", f"{values.max():.2f}"]
    return " to ".join(dict.fromkeys(ends))


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
