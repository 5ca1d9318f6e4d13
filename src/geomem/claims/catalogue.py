"""All claims in the order of the papers, then those of our studies, and finding them by pattern."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from geomem.claims.claim import OURS, Claim, registered_claims
from geomem.claims.factual_recall import capacity, chains, dense, hops, open, recall, structure, transfer
from geomem.claims.memorize_geometrically import (
    complexity,
    dynamics,
    geometry,
    in_context,
    knobs,
    mamba,
    memorization,
    node2vec,
    paths,
    race,
    theory,
    trajectory,
    zigzag,
)
from geomem.errors import unknown_name
from geomem.studies import bias, bipartite, headroom, helps, language, real_graphs, why_geometry

SMALL_GRAPHS = "small-graphs"
"""The pattern of all claims about small graphs, which are checked in a minute or two."""

ON_SMALL_GRAPHS = (memorization, race, geometry, zigzag, knobs, mamba)
ON_SMALL_GRAPHS += (node2vec, dynamics, trajectory, theory, complexity)
SMALL_GRAPH_GROUPS = {
    claim.group for module in ON_SMALL_GRAPHS for claim in registered_claims(module.__name__)
}
MODULES = (
    *ON_SMALL_GRAPHS,
    *(paths, in_context),
    *(recall, dense, chains, capacity, structure, transfer, hops, open),
    *(headroom, helps, real_graphs, bipartite, bias, why_geometry, language),
)
"""The files of claims, in the order of the papers, and the studies."""


def collect_claims(groups: Iterable[Sequence[Claim]]) -> dict[str, Claim]:
    """Claims by id; raises `ValueError` if two have an id or an alias in common."""
    claims: dict[str, Claim] = {}
    names: set[str] = set()
    for claim in (claim for group in groups for claim in group):
        taken = names & {claim.id, *claim.aliases}
        if taken:
            raise ValueError(f"two claims are called {', '.join(sorted(taken))}")
        names |= {claim.id, *claim.aliases}
        claims[claim.id] = claim
    return claims


CLAIMS: dict[str, Claim] = collect_claims(registered_claims(module.__name__) for module in MODULES)
"""Every claim by its id, in the order of the paper."""


def find_claims(patterns: Sequence[str], claims: Iterable[Claim] | None = None) -> tuple[Claim, ...]:
    """The claims that any pattern matches, those of the papers without a pattern; in their order.

    A pattern is an id, a group, the part of an id after its slash, an alias such as T6, `small-graphs` (the
    files of `ON_SMALL_GRAPHS`), `ours` (the studies), or a glob of these; upper and lower case are one.
    Raises `InputError` if a pattern matches nothing.
    """
    known = list(CLAIMS.values() if claims is None else claims)
    if not patterns:
        return tuple(known if claims is not None else (claim for claim in known if claim.paper != OURS))
    matched: set[str] = set()
    for pattern in patterns:
        found = {claim.id for claim in known if _matches(claim, pattern)}
        if not found:
            names = [name for claim in known for name in (claim.id, *claim.aliases)]
            raise unknown_name(
                f"No claim matches {pattern!r}",
                pattern,
                [*names, *dict.fromkeys(claim.group for claim in known), SMALL_GRAPHS, OURS],
                otherwise="`geomem reproduce --list` lists them",
            )
        matched |= found
    return tuple(claim for claim in known if claim.id in matched)


def _matches(claim: Claim, pattern: str) -> bool:
    names = [claim.id, claim.group, claim.id.partition("/")[2], *claim.aliases]
    names += [SMALL_GRAPHS] if claim.group in SMALL_GRAPH_GROUPS else []
    names += [OURS] if claim.paper == OURS else []
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in names)
