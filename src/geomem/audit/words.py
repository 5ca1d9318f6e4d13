"""The words of an audit, the rule behind each, and the trials that decide.

A word is never one number's: it follows from trials that each stand with their value, p and threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from geomem.audit.behaviour import Behaviour
from geomem.geometry.reading import SIGNIFICANCE

LEAST_MANTEL = 0.05
"""Similarity that follows distance by a smaller correlation counts as none, however significant."""

LEAST_SELECTIVITY = 0.1
"""A map that reads fewer held-out facts than this share, beyond its controls, counts as none."""

LARGEST_MISSED = 0.3
"""Where an effect of this size would have been missed, its absence says nothing."""

MOST_SHARED = 0.9
"""Graphs that share more edges with the given one are no other graphs: its degrees leave no choice."""

POWER = 0.8
"""The smallest effect is the one that would have been found in this share of cases."""

WORDS: dict[str, str] = {
    "cannot tell": (
        "The entities are too few, the graph too symmetric or too fixed by its degrees, all vectors equal, "
        f"or an effect of {LARGEST_MISSED} would have been missed; or the facts are known and the vectors "
        "follow them, but no more than those of a re-initialised model or of a graph of equal degrees."
    ),
    "unknown": (
        "The model's own answers among the candidates are right no more often than by chance (binomial test, "
        f"p > {SIGNIFICANCE}); whatever the vectors show is not this knowledge."
    ),
    "geometry": (
        "The vectors hold the facts as a geometry. Of a graph: similarity falls with distance, by a "
        f"correlation of at least {LEAST_MANTEL}, more than under permuted entities, than in re-initialised "
        "models where they are given, and than on rewired graphs. Of a relation: one map reads the answers "
        f"of held-out subjects, {LEAST_SELECTIVITY} more of them than shuffled objects or the most frequent "
        f"object allow, more than under shuffled objects and than in re-initialised models. Each at p <= "
        f"{SIGNIFICANCE}, after the maximum over all layers and templates."
    ),
    "geometry no more than co-occurrence": (
        "As geometry, but not ahead of the baseline's vectors, which know nothing but which words stand "
        f"together (bootstrap over entities, p > {SIGNIFICANCE})."
    ),
    "lookup": (
        "The model answers, and no geometry is found that would have been missed only if it were smaller "
        "than the effect beside the word. No linear geometry: a map that bends may still exist."
    ),
    "no geometry": "No geometry is found; whether the model knows the facts was not asked.",
}
"""The words with their rules, of which the first that holds gives the word ("cannot tell" also the last)."""


@dataclass(frozen=True)
class Trial:
    """One rival that a geometry must survive."""

    name: str
    value: float
    """What was tested, at the layer and template that decided."""
    p: float
    threshold: float
    passed: bool
    sentence: str
    """What was compared with what."""


def choose_word(
    trials: Sequence[Trial],
    *,
    behaviour: Behaviour | None,
    smallest: float,
    untellable: str = "",
    ahead: Trial | None = None,
) -> tuple[str, str]:
    """The word and the sentence that says why; rules are those of `WORDS`.

    `untellable` says why nothing could be told, if so; `ahead` is the trial against the baseline.

    >>> choose_word([Trial("permuted", -0.4, 0.001, 0.05, True, "")], behaviour=None, smallest=0.1)[0]
    'geometry'
    """
    if untellable:
        return "cannot tell", untellable
    failed = [trial for trial in trials if not trial.passed]
    if behaviour is not None and not behaviour.known:
        shown = "; the vectors follow the facts all the same" if not failed else ""
        return "unknown", (
            f"{behaviour.right} of {behaviour.asked} answers are right, where chance gives "
            f"{behaviour.chance:.0%} (p = {behaviour.p:.3f}){shown}"
        )
    if not failed:
        if ahead is not None and not ahead.passed:
            return "geometry no more than co-occurrence", f"{ahead.sentence} (p = {ahead.p:.3f})"
        return "geometry", "; ".join(f"{trial.sentence} (p = {trial.p:.3f})" for trial in trials)
    why = "; ".join(f"not so: {trial.sentence} (p = {trial.p:.3f})" for trial in failed)
    if smallest > LARGEST_MISSED:
        return "cannot tell", f"{why}; but only an effect of {smallest:.2f} or more would have been found"
    power = f"{why}; an effect of {smallest:.2f} would have been found in {POWER:.0%} of cases"
    if behaviour is None:
        return "no geometry", power
    return (
        ("cannot tell", f"{why}, though other trials are passed") if trials[0].passed else ("lookup", power)
    )
