"""A table of facts to memorise: triples (subject, relation, object); a question may have several answers.

Axis names: `fact`, `subject`, `relation`, `object`; the columns of `facts` are subject, relation, object.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from geomem.errors import InputError, unknown_name
from geomem.worlds.graphs.graph import check_labels

MAXIMUM_LABELS = 1_000_000
"""Largest number of subjects, of relations and of objects a table may have."""
MAXIMUM_FACTS = 10_000_000
"""Largest number of facts a table may have."""
MAXIMUM_QUESTIONS = 2**27
"""Largest subjects x relations for which `answers` lists every question: 1 GiB of answers."""


@dataclass(frozen=True, eq=False)
class FactTable:
    """Facts (subject, relation, object): a question is (subject, relation), its answers are the objects.

    Equality of two tables is equality of their `digest`, which covers labels and facts but not the name and
    the notes. The facts are kept sorted by question; several answers to one stay in the order given. A
    subject may lack an answer to a relation, and a label may be both a subject and an object: then relations
    can be chained (`geomem.worlds.facts.hops`).

    Raises `InputError` for facts or labels that make no such table, and for one larger than `MAXIMUM_LABELS`
    and `MAXIMUM_FACTS`.

    >>> table = FactTable("towns", ("France", "Italy"), ("capital",), ("Paris", "Rome"),
    ...                   np.array([[1, 0, 1], [0, 0, 0]]))
    >>> table.facts.tolist(), table.fact_count
    ([[0, 0, 0], [1, 0, 1]], 2)
    """

    name: str
    subjects: tuple[str, ...]
    relations: tuple[str, ...]
    objects: tuple[str, ...]
    facts: Int[np.ndarray, "fact 3"]
    """Ids of subject, relation and object of every fact, sorted by subject and relation."""
    notes: tuple[str, ...] = ()
    """What was found and accepted while the table was built: duplicates, headers, several answers."""

    def __post_init__(self) -> None:
        facts = np.array(self.facts)
        if facts.ndim != 2 or facts.shape[1] != 3 or facts.dtype.kind not in "iu":
            raise InputError(
                f"The table {self.name!r} was given facts of shape {facts.shape} and type {facts.dtype}; "
                "give whole numbers of shape [fact, 3]: subject, relation, object."
            )
        check_table_size(
            self.name,
            subjects=len(self.subjects),
            relations=len(self.relations),
            objects=len(self.objects),
            facts=len(facts),
        )
        if len(facts) == 0:
            raise InputError(f"The table {self.name!r} has no fact; give at least one.")
        facts = facts.astype(np.int64)
        for column, kind in enumerate(("subject", "relation", "object")):
            owner = f"The table {self.name!r} has {len(self._labels(kind))} {kind}s but a fact"
            check_ids(owner, kind, facts[:, column], len(self._labels(kind)))
            check_labels(f"The table {self.name!r}", kind, self._labels(kind))
            if "" in self._labels(kind):
                raise InputError(f"The table {self.name!r} has a {kind} with an empty label; name each one.")
        questions = facts[:, 0] * len(self.relations) + facts[:, 1]
        if (questions[1:] <= questions[:-1]).any():
            order = np.argsort(questions, kind="stable")
            facts, questions = facts[order], questions[order]
        if (questions[1:] == questions[:-1]).any():
            _check_repeated(self, facts, questions)
        facts.setflags(write=False)
        object.__setattr__(self, "facts", facts)

    def _labels(self, kind: str) -> tuple[str, ...]:
        return {"subject": self.subjects, "relation": self.relations, "object": self.objects}[kind]

    @property
    def subject_count(self) -> int:
        """Number of subjects."""
        return len(self.subjects)

    @property
    def relation_count(self) -> int:
        """Number of relations."""
        return len(self.relations)

    @property
    def object_count(self) -> int:
        """Number of objects: the possible answers."""
        return len(self.objects)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of subjects, relations and objects."""
        return len(self.subjects), len(self.relations), len(self.objects)

    @property
    def fact_count(self) -> int:
        """Number of facts."""
        return len(self.facts)

    @cached_property
    def answer_counts(self) -> Int[np.ndarray, " question"]:
        """How many answers each question has that has any, in the order of the facts."""
        first = np.diff(self.facts[:, :2], axis=0, prepend=-1).any(axis=1)
        return np.diff(np.flatnonzero(first), append=len(self.facts))

    @property
    def several(self) -> bool:
        """Whether a question has more than one answer."""
        return len(self.answer_counts) < len(self.facts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of labels and facts: what makes two tables the same world."""
        labels = [self.subjects, self.relations, self.objects]
        sha = hashlib.sha256(json.dumps(labels, ensure_ascii=False).encode())
        sha.update(self.facts.astype("<i8").tobytes())
        return sha.hexdigest()

    @cached_property
    def subject_ids(self) -> Mapping[str, int]:
        """The id of every subject's label."""
        return {label: number for number, label in enumerate(self.subjects)}

    @cached_property
    def relation_ids(self) -> Mapping[str, int]:
        """The id of every relation's label."""
        return {label: number for number, label in enumerate(self.relations)}

    @cached_property
    def object_ids(self) -> Mapping[str, int]:
        """The id of every object's label."""
        return {label: number for number, label in enumerate(self.objects)}


def check_table_size(name: str, *, subjects: int, relations: int, objects: int, facts: int) -> None:
    """Raise `InputError` if a table of this size is larger than a world may be.

    Called before a table is built, so that a slip of the hand does not fill the memory.

    >>> check_table_size("towns", subjects=3, relations=1, objects=3, facts=3)
    """
    if max(subjects, relations, objects) > MAXIMUM_LABELS or facts > MAXIMUM_FACTS:
        raise InputError(
            f"The table {name!r} would have {subjects:,} subjects, {relations:,} relations, {objects:,} "
            f"objects and {facts:,} facts; give one with at most {MAXIMUM_LABELS:,} labels of each kind and "
            f"{MAXIMUM_FACTS:,} facts."
        )


def check_single_answers(table: FactTable) -> None:
    """Raise `InputError` that names one of the questions with several answers, if the table has such.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> check_single_answers(random_bijections(3, 2))
    """
    if table.several:
        starts = np.cumsum(table.answer_counts) - table.answer_counts
        question = int(table.answer_counts.argmax())
        subject, relation, _ = table.facts[starts[question]].tolist()
        raise InputError(
            f"The table {table.name!r} has {table.answer_counts[question]:,} answers to "
            f"{table.subjects[subject]!r}, {table.relations[relation]!r}, where one is expected; "
            "number them with numbered_relations(table) (`geomem learn --several` does)."
        )


def answers(table: FactTable) -> Int[np.ndarray, "subject relation"]:
    """The object of every question (subject, relation); -1 where the table has no fact.

    Raises `InputError` if a question has several answers, and before it allocates more than
    `MAXIMUM_QUESTIONS` of them.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> answers(random_bijections(3, 2)).shape
    (3, 2)
    """
    check_single_answers(table)
    questions = table.subject_count * table.relation_count
    if questions > MAXIMUM_QUESTIONS:
        raise InputError(
            f"The table {table.name!r} has {table.subject_count:,} subjects and {table.relation_count:,} "
            f"relations, whose answers would take {questions * 8 / 2**30:,.1f} GiB; "
            f"give a table with at most {MAXIMUM_QUESTIONS:,} questions."
        )
    result = np.full((table.subject_count, table.relation_count), -1, dtype=np.int64)
    result[table.facts[:, 0], table.facts[:, 1]] = table.facts[:, 2]
    return result


def object_subjects(table: FactTable) -> Int[np.ndarray, " object"]:
    """The subject with the same label as each object, -1 if no subject has it: what a chain goes on from.

    >>> table = FactTable("line", ("a", "b"), ("next",), ("b", "c"), np.array([[0, 0, 0], [1, 0, 1]]))
    >>> object_subjects(table).tolist()
    [1, -1]
    """
    return np.array([table.subject_ids.get(label, -1) for label in table.objects], dtype=np.int64)


def object_tokens(table: FactTable) -> Int[np.ndarray, " object"]:
    """The token of every object where labels are tokens: subjects come first, then relations, then objects.

    An object that is a subject too has the subject's token.

    >>> table = FactTable("line", ("a", "b"), ("next",), ("b", "c"), np.array([[0, 0, 0], [1, 0, 1]]))
    >>> object_tokens(table).tolist()
    [1, 3]
    """
    tokens = object_subjects(table)
    others = tokens < 0
    tokens[others] = table.subject_count + table.relation_count + np.arange(others.sum())
    return tokens


def token_labels(table: FactTable) -> list[str]:
    """What every token of `object_tokens` stands for: subjects, relations, objects that are no subjects."""
    others = (label for label in table.objects if label not in table.subject_ids)
    return [*table.subjects, *table.relations, *others]


def find_subject(table: FactTable, label: str) -> int:
    """The id of a subject; raises `InputError` with the nearest labels if the table has no such subject."""
    return _find(table, "subject", label, table.subject_ids)


def find_relation(table: FactTable, label: str) -> int:
    """The id of a relation; raises `InputError` with the nearest labels if the table has no such relation."""
    return _find(table, "relation", label, table.relation_ids)


def find_object(table: FactTable, label: str) -> int:
    """The id of an object; raises `InputError` with the nearest labels if the table has no such object."""
    return _find(table, "object", label, table.object_ids)


def fact_rows(table: FactTable, subject: int, relation: int) -> slice:
    """The rows of the facts that answer a question; O(log fact) time.

    Raises `InputError` if an id does not exist.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> fact_rows(random_bijections(4, 2), 1, 0)
    slice(2, 3, None)
    """
    owner = f"A question to the table {table.name!r}"
    check_ids(owner, "subject", np.array([subject]), table.subject_count)
    check_ids(owner, "relation", np.array([relation]), table.relation_count)
    first, last = np.searchsorted(table.facts[:, 0], [subject, subject + 1])
    rows = first + np.searchsorted(table.facts[first:last, 1], [relation, relation + 1])
    return slice(*rows.tolist())


def find_answers(table: FactTable, subject: int, relation: int) -> Int[np.ndarray, " answer"]:
    """The objects that answer one question, in the order of the table; none if it has no such fact.

    O(log fact) time. Raises `InputError` if an id does not exist.

    >>> facts = np.array([[0, 0, 1], [0, 0, 0]])
    >>> table = FactTable("borders", ("Italy", "Malta"), ("borders",), ("France", "Austria"), facts)
    >>> find_answers(table, 0, 0).tolist(), find_answers(table, 1, 0).tolist()
    ([1, 0], [])
    """
    return table.facts[fact_rows(table, subject, relation), 2]


def find_answer(table: FactTable, subject: int, relation: int) -> int:
    """The object that answers one question, -1 if the table has no such fact; O(log fact) time.

    Raises `InputError` if the table has questions with several answers, or an id does not exist.

    >>> table = FactTable("towns", ("France", "Italy"), ("capital",), ("Paris",), np.array([[0, 0, 0]]))
    >>> find_answer(table, 0, 0), find_answer(table, 1, 0)
    (0, -1)
    """
    check_single_answers(table)
    found = find_answers(table, subject, relation)
    return int(found[0]) if len(found) else -1


def relation_bits(table: FactTable) -> Float[np.ndarray, " relation"]:
    """Bits that the facts of each relation hold, given which questions it answers and how often each object.

        log2 (n_r! / (prod_a c_ra! prod_x k_rx!))

    with n_r facts of relation r, c_ra of them with object a, k_rx of them about subject x. With one answer
    per question (k = 1) it is the logarithm of the number of functions with the same object counts, for a
    bijection of N subjects log2 N! = N (log2 N - 1.44) + O(log N), the entropy of a uniform random bijection
    (the setting of arXiv 2605.12426). With several it counts the ways to deal the objects out, which is an
    upper bound: a few of them would give a question one answer twice.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> relation_bits(random_bijections(4, 2)).round(3).tolist()
    [4.585, 4.585]
    """
    relation, count = _object_counts(table)
    if table.several:  # without, every further term is log2 1!
        starts = np.cumsum(table.answer_counts) - table.answer_counts
        relation = np.concatenate([relation, table.facts[starts, 1]])
        count = np.concatenate([count, table.answer_counts])
    sizes, index = np.unique(np.concatenate([_facts_per_relation(table), count]), return_inverse=True)
    bits = np.array([math.lgamma(size + 1) / math.log(2) for size in sizes.tolist()])[index]
    spread = np.bincount(relation, weights=bits[table.relation_count :], minlength=table.relation_count)
    return bits[: table.relation_count] - spread


def entropy_bits(table: FactTable) -> float:
    """Bits that all facts hold together: the sum of `relation_bits`; R log2 N! for R bijections.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> round(entropy_bits(random_bijections(256, 4)), 1)
    6736.0
    """
    return float(relation_bits(table).sum())


def frequency_bits(table: FactTable) -> float:
    """Bits of the facts as independent draws from each relation's object frequencies: sum_r n_r H(c_r / n_r).

    H is the entropy in bits. At least `entropy_bits`, the same to leading order; N log2 N for a bijection.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> frequency_bits(random_bijections(256, 4))
    8192.0
    """
    relation, count = _object_counts(table)
    return float(count @ np.log2(_facts_per_relation(table)[relation] / count))


def is_bijective(table: FactTable) -> Bool[np.ndarray, " relation"]:
    """Whether each relation answers every subject once, and no two of them with the same object.

    Such a relation is a bijection onto the objects it uses; other relations may use others.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> is_bijective(random_bijections(4, 2)).tolist()
    [True, True]
    """
    relation, count = _object_counts(table)
    repeated = np.bincount(relation, weights=count > 1, minlength=table.relation_count) > 0
    starts = np.cumsum(table.answer_counts) - table.answer_counts
    asked = np.bincount(table.facts[starts, 1], minlength=table.relation_count)
    facts = _facts_per_relation(table)
    return (asked == table.subject_count) & (facts == asked) & ~repeated


def number_facts(table: FactTable, facts: Int[np.ndarray, "fact 3"]) -> Int[np.ndarray, " fact"]:
    """One number for each fact, in the order of subject, relation and object: equal facts have equal ones.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> number_facts(random_bijections(4, 2), np.array([[0, 0, 3], [1, 0, 0]])).tolist()
    [3, 8]
    """
    return np.asarray(np.ravel_multi_index(tuple(facts.T), table.sizes))


def select_facts(table: FactTable, kept: Bool[np.ndarray, " fact"]) -> FactTable:
    """The table with the facts marked in `kept` alone; labels, thus ids, stay as they are.

    Raises `InputError` if no fact is left.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(4, 2)
    >>> select_facts(table, table.facts[:, 1] == 0).fact_count
    4
    """
    return replace(table, facts=table.facts[kept])


def _check_repeated(table: FactTable, facts: Int[np.ndarray, "fact 3"], questions: np.ndarray) -> None:
    """Raise `InputError` if a fact is listed twice; facts are sorted by question."""
    order = np.lexsort((facts[:, 2], questions))
    same = (questions[order][1:] == questions[order][:-1]) & (facts[order][1:, 2] == facts[order][:-1, 2])
    if same.any():
        subject, relation, answer = facts[order[int(same.argmax())]].tolist()
        raise InputError(
            f"The table {table.name!r} lists {table.subjects[subject]!r:.80}, "
            f"{table.relations[relation]!r:.80}, {table.objects[answer]!r:.80} twice; give every fact once."
        )


def _facts_per_relation(table: FactTable) -> Int[np.ndarray, " relation"]:
    return np.bincount(table.facts[:, 1], minlength=table.relation_count)


def _object_counts(table: FactTable) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Relation and number of facts of every pair (relation, object) that occurs."""
    keys, count = np.unique(table.facts[:, 1] * table.object_count + table.facts[:, 2], return_counts=True)
    return keys // table.object_count, count


def _find(table: FactTable, kind: str, label: str, ids: Mapping[str, int]) -> int:
    if label in ids:
        return ids[label]
    few = f"its {kind}s are {', '.join(ids)}" if len(ids) <= 12 else f"it has {len(ids):,} others"
    raise unknown_name(f"The table {table.name!r} has no {kind} {label!r}", label, ids, otherwise=few)


def check_ids(owner: str, kind: str, ids: Int[np.ndarray, "*ids"], count: int) -> None:
    """Raise `InputError` if an id is not one of `count`; `owner` begins the sentence.

    >>> check_ids("A question", "subject", np.array([0, 2]), 2)
    Traceback (most recent call last):
    geomem.errors.InputError: A question names subject 2; use ids from 0 to 1.
    """
    if ids.size and not 0 <= ids.min() <= ids.max() < count:
        wrong = ids.max() if ids.max() >= count else ids.min()
        raise InputError(f"{owner} names {kind} {wrong}; use ids from 0 to {count - 1}.")
