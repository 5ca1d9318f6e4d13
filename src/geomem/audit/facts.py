"""Does a model hold facts as maps from subjects to objects? Offset and linear maps, held-out, against rivals.

Axis names: `look` (one layer under one template), `map` (as in `geomem.audit.held_out`), `draw` (the answers
as they are first, then shuffled), `subject`, `object`, `relation`, `fact`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import norm

from geomem.audit.behaviour import Answer, Behaviour
from geomem.audit.causal import RelationCauses
from geomem.audit.held_out import STRENGTHS, find_held_out, predict_held_out
from geomem.audit.pairs import check_twin, each_look
from geomem.audit.resampling import bound_of_leads, draw_resamples
from geomem.audit.selection import Selection
from geomem.audit.states import States
from geomem.audit.trials import where
from geomem.audit.words import LEAST_SELECTIVITY, POWER, Trial, choose_word
from geomem.errors import InputError
from geomem.geometry.nulls import draw_permutations, p_value
from geomem.geometry.reading import SIGNIFICANCE
from geomem.geometry.similarity import unit_rows
from geomem.geometry.superposition import fit_superposition
from geomem.shown import shown_by
from geomem.worlds.facts.table import FactTable

SHUFFLES = 99

MOST_SUBJECTS = 300
"""Of more subjects so many are drawn at random: a map left-one-out is a matrix of subjects by subjects."""

FEWEST_FACTS = 5


@dataclass(frozen=True)
class MapLook:
    """How many held-out objects the maps of one layer under one template find."""

    layer: str
    template: str
    offset: float
    """hit@1 of adding the mean difference of object and subject; NaN where their widths differ."""
    linear: float
    """hit@1 of the best of the linear maps."""
    twin: float
    """hit@1 of the best map of the re-initialised twins, on average; NaN without twins."""


@dataclass(frozen=True)
class RelationAudit:
    """The word for one relation, the trials that decided, and the profile of all layers."""

    relation: str
    word: str
    """One of `geomem.audit.words.WORDS`."""
    reason: str
    facts: int
    objects: int
    looks: tuple[MapLook, ...]
    best: int
    """The look whose best map finds most."""
    best_linear: int
    """The look whose best linear map finds most."""
    hit: float
    """hit@1 of the best map of the best look."""
    majority: float
    """hit@1 of always saying the most frequent object."""
    shuffled: float
    """Largest hit@1 of any map at any look over all shuffles of the objects."""
    trials: tuple[Trial, ...]
    smallest_effect: float
    """The smallest hit@1 beyond both controls that would have been found in 80 % of cases."""
    behaviour: Behaviour | None
    held_out: tuple[Answer, ...] = ()
    """What the best linear map finds for every subject left out."""

    @property
    def selectivity(self) -> float:
        """hit@1 less the larger of its controls."""
        return self.hit - max(self.majority, self.shuffled)

    def most(self, number: Literal["offset", "linear", "twin"]) -> float:
        """The largest of a number over the looks; NaN where none has it."""
        found = [value for value in (getattr(look, number) for look in self.looks) if isfinite(value)]
        return max(found, default=float("nan"))


@dataclass(frozen=True)
class SuperpositionLook:
    """Whether subject vectors are sums of attribute vectors, one per relation, at one look."""

    layer: str
    template: str
    score: float
    """Held-out R² of the fit of the second paper (`geomem.geometry.superposition`)."""
    shuffled: float
    """The largest of the same with subjects permuted."""
    shares: tuple[float, ...]
    """Of the variance, by relation."""


@shown_by("geomem.report.card:show_audit")
@dataclass(frozen=True, eq=False)
class FactsAudit:
    """The audit of a table of facts."""

    relations: tuple[RelationAudit, ...]
    crossed: Float[np.ndarray, "relation relation"]
    """hit@1 of the best linear map of one relation (row) for the objects of another (column): a map that does
    as well for others reads something coarser than its relation (arXiv 2510.26543). NaN without facts."""
    superposition: tuple[SuperpositionLook, ...]
    notes: tuple[str, ...]
    selection: tuple[Selection, ...] = ()
    """What asking for a relation selects, layer by layer; of a model that was asked for two at least."""
    causes: tuple[RelationCauses, ...] = ()
    """What moves the model's answers, if that was asked for."""


@dataclass(frozen=True, eq=False)
class RelationFacts:
    """The facts of one relation whose subject and object both have vectors."""

    rows: Int[np.ndarray, " fact"]
    """Of the subjects' vectors."""
    answers: Int[np.ndarray, " fact"]
    """Among the objects of this relation."""
    objects: Int[np.ndarray, " object"]
    """Rows of the objects' vectors."""


def audit_facts(
    states: States,
    table: FactTable,
    objects: States,
    *,
    behaviours: Mapping[str, Behaviour] | None = None,
    twins: Iterable[tuple[States, States]] = (),
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> FactsAudit:
    """Whether maps from the vectors of subjects find the objects of subjects they were not fitted on.

    `states` are those of subjects; of `objects` the first vectors count. A map that leaves a subject out
    predicts a vector for it, and the object of the relation with the largest cosine to it, both less the
    mean object, is the answer. Objects are shuffled over the subjects, alike for all looks; p is that of the
    largest hit@1 over all looks and maps. `twins` are states and objects of re-initialised models, compared
    subject by subject; `behaviours` say by relation how the model answers.
    Raises `InputError` for a relation with several answers to a question, for NaN, for twins of another
    shape, and where no relation has `FEWEST_FACTS` facts whose subject and object have vectors.

    >>> from geomem.audit.states import Layer
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(20, 1)
    >>> towns = np.random.default_rng(0).normal(size=(20, 8))
    >>> countries = towns[table.facts[:, 2]] @ np.diag(np.arange(1.0, 9.0)) + 3
    >>> states = States(table.subjects, ("",), "mean", (Layer("vectors", countries[None]),))
    >>> objects = States(table.objects, ("",), "mean", (Layer("vectors", towns[None]),))
    >>> audit_facts(states, table, objects).relations[0].word
    'geometry'
    """
    found = [
        facts_of(states, table, objects, relation, seed=seed) for relation in range(table.relation_count)
    ]
    if not any(len(facts.rows) >= FEWEST_FACTS for facts in found):
        raise InputError(
            f"No relation of the table {table.name!r} has {FEWEST_FACTS} facts whose subject and object both "
            "have vectors; give vectors of more of them."
        )
    pairs = list(twins)
    for twin, twin_objects in pairs:
        check_twin(states, twin)
        check_twin(objects, twin_objects)
    known = behaviours or {}
    audits, predicted = [], {}
    for relation, facts in enumerate(found):
        if len(facts.rows) < FEWEST_FACTS:
            continue
        name = table.relations[relation]
        audit = _audit_relation(name, (states, objects), facts, pairs, known.get(name), shuffles, seed)
        *_, vectors = list(each_look(states))[audit.best_linear]
        things = object_vectors(objects)[facts.objects]
        rows = np.asarray(vectors[facts.rows], dtype=np.float64)
        predicted[relation] = made = predict_held_out(rows, things, facts.answers)
        audits.append(replace(audit, held_out=_held_out(states, objects, facts, made)))
    return FactsAudit(
        tuple(audits),
        _cross(predicted, objects, found),
        _fit_looks(states, objects, found, seed),
        _notes(states, table, objects, found),
    )


def facts_of(
    states: States, table: FactTable, objects: States, relation: int, *, seed: int = 0
) -> RelationFacts:
    """The facts of one relation by number, `MOST_SUBJECTS` at most; `InputError` for several answers."""
    of_relation = table.facts[table.facts[:, 1] == relation]
    if len(np.unique(of_relation[:, 0])) < len(of_relation):
        raise InputError(
            f"The relation {table.relations[relation]!r} of the table {table.name!r} has several answers to "
            "one question; number them with numbered_relations(table), or leave it out."
        )
    row = {entity: at for at, entity in enumerate(states.entities)}
    place = {entity: at for at, entity in enumerate(objects.entities)}
    kept = [
        (row[table.subjects[subject]], place[table.objects[thing]])
        for subject, _, thing in of_relation.tolist()
        if table.subjects[subject] in row and table.objects[thing] in place
    ]
    chosen = np.array(kept, dtype=np.int64).reshape(-1, 2)
    # In the order of the names, so that the order of the entities changes nothing.
    chosen = chosen[np.argsort([states.entities[at] for at in chosen[:, 0]], kind="stable")]
    if len(chosen) > MOST_SUBJECTS:
        drawn = np.random.default_rng(seed).choice(len(chosen), MOST_SUBJECTS, replace=False)
        chosen = chosen[np.sort(drawn)]
    things, answered = np.unique(chosen[:, 1], return_inverse=True)
    order = np.argsort([objects.entities[at] for at in things], kind="stable")
    return RelationFacts(chosen[:, 0], np.argsort(order)[answered], things[order])


def object_vectors(objects: States) -> Float[np.ndarray, "object width"]:
    """The first vector of every object."""
    _, _, vectors = next(each_look(objects))
    return np.asarray(vectors, dtype=np.float64)


def _held_out(states: States, objects: States, facts: RelationFacts, made: np.ndarray) -> tuple[Answer, ...]:
    found = _nearest(made, object_vectors(objects)[facts.objects])
    names = [objects.entities[thing] for thing in facts.objects]
    return tuple(
        Answer(states.entities[row], names[given], (names[wanted],), bool(given == wanted))
        for row, given, wanted in zip(facts.rows, found, facts.answers, strict=True)
    )


def _find_in_looks(
    states: States, objects: States, facts: RelationFacts, orders: Int[np.ndarray, "draw subject"]
) -> Bool[np.ndarray, "draw look map subject"]:
    things = object_vectors(objects)[facts.objects]
    looks = [
        find_held_out(np.asarray(vectors[facts.rows], dtype=np.float64), things, facts.answers, orders)
        for _, _, vectors in each_look(states)
    ]
    # An offset is measured at all looks or at none that has another width.
    fewest = min(found.shape[1] for found in looks)
    return np.stack([found[:, :fewest] for found in looks], axis=1)


def _audit_relation(
    name: str,
    model: tuple[States, States],
    facts: RelationFacts,
    twins: list[tuple[States, States]],
    behaviour: Behaviour | None,
    shuffles: int,
    seed: int,
) -> RelationAudit:
    count = len(facts.rows)
    orders = np.concatenate([np.arange(count)[None], draw_permutations(shuffles, count, seed=seed)])
    each = _find_in_looks(*model, facts, orders)
    found = each.mean(axis=3)
    names = [look[:2] for look in each_look(model[0])]
    linear, best_maps = found[0, :, : len(STRENGTHS)].max(axis=1), found.max(axis=2)
    with_offset = found.shape[2] > len(STRENGTHS)
    offset = found[0, :, -1] if with_offset else np.full(len(names), np.nan)
    best = int(best_maps[0].argmax())
    majority = float(np.bincount(facts.answers).max() / count)
    shuffled = float(best_maps[1:].max())
    hit, control = float(best_maps[0, best]), max(majority, shuffled)
    p = p_value(hit, best_maps[1:].max(axis=1))
    trials = [
        Trial(
            "shuffled objects",
            hit,
            p,
            SIGNIFICANCE,
            p <= SIGNIFICANCE and hit - control >= LEAST_SELECTIVITY,
            f"{where(names, best)} a map finds {hit:.0%} of the held-out objects, where shuffled objects "
            f"allow {shuffled:.0%} at most and the most frequent object {majority:.0%}",
        )
    ]
    of_twins = np.full(len(names), np.nan)
    if twins:
        alone = np.mean([_find_in_looks(*twin, facts, orders[:1])[0] for twin in twins], axis=0)
        of_twins = alone.mean(axis=2).max(axis=1)
        trials.append(_try_twins(names, each[0] - alone, seed))
    expected = float(np.quantile(best_maps[1:].max(axis=1), 1 - SIGNIFICANCE)) - control
    share = min(0.5, control + LEAST_SELECTIVITY)
    error = float(norm.ppf(POWER)) * np.sqrt(share * (1 - share) / count)
    smallest = max(LEAST_SELECTIVITY, expected) + error
    word, reason = choose_word(
        trials,
        behaviour=behaviour,
        smallest=smallest,
        untellable="all subjects have the same object" if len(facts.objects) < 2 else "",
    )
    looks = zip(names, offset.tolist(), linear.tolist(), of_twins.tolist(), strict=True)
    return RelationAudit(
        relation=name,
        word=word,
        reason=reason,
        facts=count,
        objects=len(facts.objects),
        looks=tuple(MapLook(*where_, *numbers) for where_, *numbers in looks),
        best=best,
        best_linear=int(linear.argmax()),
        hit=hit,
        majority=majority,
        shuffled=shuffled,
        trials=tuple(trials),
        smallest_effect=smallest,
        behaviour=behaviour,
    )


def _try_twins(
    names: list[tuple[str, str]], beyond: Float[np.ndarray, "look map subject"], seed: int
) -> Trial:
    """Whether some map finds more objects than in the twins, by a bootstrap over subjects."""
    looks, maps, subjects = beyond.shape
    times = draw_resamples(subjects, seed=seed)
    leads = times @ beyond.reshape(looks * maps, subjects).T / subjects
    best = int((leads[0] / np.maximum(leads[1:].std(axis=0), 1e-9)).argmax())
    value, p = float(leads[0, best]), bound_of_leads(leads)
    sentence = f"{where(names, best // maps)} a map finds {value:.0%} more than in re-initialised models"
    return Trial("re-initialised twins", value, p, SIGNIFICANCE, p <= SIGNIFICANCE, sentence)


def _cross(
    predicted: Mapping[int, np.ndarray], objects: States, found: list[RelationFacts]
) -> Float[np.ndarray, "relation relation"]:
    vectors = object_vectors(objects)
    crossed = np.full((len(found), len(found)), np.nan)
    for fitted, made in predicted.items():
        for asked in predicted:
            things = vectors[found[asked].objects]
            _, ours, theirs = np.intersect1d(found[fitted].rows, found[asked].rows, return_indices=True)
            if len(ours):
                right = _nearest(made[ours], things) == found[asked].answers[theirs]
                crossed[fitted, asked] = right.mean()
    return crossed


def _nearest(made: np.ndarray, things: np.ndarray) -> Int[np.ndarray, " subject"]:
    return (made @ unit_rows(things - things.mean(axis=0)).T).argmax(axis=1)


def answer_table(
    objects: States, found: Sequence[RelationFacts], rows: Int[np.ndarray, " subject"]
) -> tuple[Float[np.ndarray, "object width"], Int[np.ndarray, "subject relation"]]:
    """Vectors of all objects of the facts, and which of them is whose; -1 where there is no fact."""
    things = np.unique(np.concatenate([facts.objects for facts in found]))
    answered = np.full((len(rows), len(found)), -1, dtype=np.int64)
    place = {row: at for at, row in enumerate(rows.tolist())}
    for relation, facts in enumerate(found):
        for row, thing in zip(facts.rows.tolist(), facts.objects[facts.answers].tolist(), strict=True):
            if row in place:
                answered[place[row], relation] = np.searchsorted(things, thing)
    return object_vectors(objects)[things], answered


def fitted_rows(
    states: States, found: Sequence[RelationFacts], *, seed: int = 0
) -> Int[np.ndarray, " subject"]:
    """The subjects of any relation by the order of their names, as many as `MOST_SUBJECTS`."""
    rows = np.unique(np.concatenate([facts.rows for facts in found]))
    rows = rows[np.argsort([states.entities[row] for row in rows], kind="stable")]
    if len(rows) > MOST_SUBJECTS:
        rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), MOST_SUBJECTS, replace=False))]
    return rows


def _fit_looks(
    states: States, objects: States, found: list[RelationFacts], seed: int
) -> tuple[SuperpositionLook, ...]:
    """The superposition fit of every look, on the subjects of any relation."""
    rows = fitted_rows(states, found, seed=seed)
    codes, answered = answer_table(objects, found, rows)
    fits = [
        (layer, template, fit_superposition(vectors[rows], codes, answered, seed=seed))
        for layer, template, vectors in each_look(states)
    ]
    return tuple(
        SuperpositionLook(
            layer, template, fit.score, float(fit.shuffled_scores.max()), tuple(fit.shares.tolist())
        )
        for layer, template, fit in fits
    )


def _notes(states: States, table: FactTable, objects: States, found: list[RelationFacts]) -> tuple[str, ...]:
    entities, things = set(states.entities), set(objects.entities)
    without = sum(subject not in entities for subject in table.subjects)
    objectless = sum(thing not in things for thing in table.objects)
    largest = np.bincount(table.facts[:, 1], minlength=table.relation_count).max()
    left = [
        name for name, facts in zip(table.relations, found, strict=True) if len(facts.rows) < FEWEST_FACTS
    ]
    notes = (
        f"{without:,} of {table.subject_count:,} subjects have no vector and are left out."
        if without
        else "",
        f"{objectless:,} of {table.object_count:,} objects have no vector; their facts are left out."
        if objectless
        else "",
        f"Of each relation at most {MOST_SUBJECTS} subjects were drawn at random."
        if largest > MOST_SUBJECTS
        else "",
        f"Fewer than {FEWEST_FACTS} facts are left of {', '.join(left)}." if left else "",
    )
    return tuple(note for note in notes if note)
