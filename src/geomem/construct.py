"""A memory written down: facts become weights in closed form, in a directory; facts are edited and forgotten.

Nothing is trained and torch is not imported. What is written was first asked for every fact.
"""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from geomem.asking import CONSTRUCTION, OpenMemory, open_memory
from geomem.checkpoint import RunLocked, locked_run
from geomem.constructions.answering import answer, compare_answers, recall_every_fact
from geomem.constructions.editing import Edit, edit_subject
from geomem.constructions.editing import forget_fact as forget_in_subject
from geomem.constructions.recall import (
    NUMBERS_LIMIT,
    SUBJECTS,
    Weights,
    block_superposition,
    length_for_width,
)
from geomem.errors import InputError, unknown_name
from geomem.memory_store import (
    EDITED,
    FILES,
    StoredMemory,
    describe_memory,
    is_edited,
    read_memory,
    write_memory,
)
from geomem.models.configuration import Recall
from geomem.store import DONE, FORMAT, configuration_hash, replace_file, safe_name, sync_directory
from geomem.worlds.fact_table import (
    FactTable,
    entropy_bits,
    find_answer,
    find_relation,
    find_subject,
)
from geomem.worlds.find import find_facts

Code = Literal["binary", "signs", "sphere", "circle"]
"""The codes that tell any number of objects apart at every length they are given."""


@dataclass(frozen=True)
class Effect:
    """What a change of one fact did, measured on every fact before and after."""

    subject: str
    relation: str
    before: str | None
    """What the weights answered; None if nothing."""
    after: str | None
    changed_numbers: int
    """Numbers of the one subject vector that differ; no other number of the memory does."""
    other_facts: int
    changed_answers: int
    """Answers to other facts that are others now."""
    largest_shift: float
    """The largest change of a logit of any other fact."""


def construct_memory(
    facts: FactTable | str | os.PathLike[str] | object,
    directory: str | os.PathLike[str],
    *,
    width: int | None = None,
    code: Code = "binary",
    seed: int = 0,
    several: bool = False,
    numbers_limit: int = NUMBERS_LIMIT,
) -> StoredMemory:
    """Write facts down as a block superposition, ask it every fact, and keep it in a new directory.

    `facts` is a table, the name of a built-in one, a file of triples, or whatever `facts_from` takes, which
    says what `several` allows. `width` is the most the residual stream may have, the least that will do if
    not given; codes become as long as it lets them. `seed` draws the codes `signs` and `sphere`. The
    manifest's `recalled` holds recall, least margin and bits. Where the directory holds the same memory
    already, nothing is written.

    Raises `InputError` if the facts cannot be read; for a width that is too small, with the smallest that
    works; before it allocates more than `numbers_limit` numbers; if a fact is not recalled; and if the
    directory exists with something else in it. Nothing is written then.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memory = construct_memory("countries", Path(folder) / "countries")
    >>> memory.model.width, memory.manifest["recalled"]["recall"]
    (76, 1.0)
    """
    directory = Path(directory)
    _check_place(directory)
    table = find_facts(facts, several=several)
    length = _length_for(table, code, width)
    memory = block_superposition(table, code=code, length=length, seed=seed, numbers_limit=numbers_limit)
    described = {"kind": CONSTRUCTION, "name": memory.name, "code": code, "length": memory.code.shape[1]}
    described |= {"seed": seed, "margin": memory.margin, "fact_bits": memory.size.fact_bits}
    model = Recall(
        width=memory.size.residual_size, mlp_width=memory.size.mlp_width, attention="uniform", hops=1
    )
    configuration = describe_memory(table, model, task={"kind": "fact-recall"}, training=described, seeds=[0])
    recalled = _recall(memory.weights, table)
    if recalled["recall"] < 1:
        raise InputError(
            f"With the code {code} only {recalled['recall']:.2%} of the facts of {table.name!r} are "
            "recalled, for its margin is lost in rounding; give the code binary."
        )
    manifest = {
        "format": FORMAT,
        "name": safe_name(f"{table.name}-written-down"),
        "configuration": configuration,
        "hash": configuration_hash(configuration),
        "started": _now(),
        "versions": {name: version(name) for name in ("geomem", "numpy", "safetensors", "polars")},
        "platform": platform.platform(),
        "dtype": "float64",
        "recalled": recalled,
        "edits": [],
    }
    return _write_new(directory, manifest, table, memory.weights)


def edit_fact(
    memory: StoredMemory | str | os.PathLike[str], subject: str, relation: str, new_object: str
) -> Effect:
    """Give a question another answer by changing one subject vector; the memory's directory then holds that.

    A question that had no answer gets one. The relation is meant literally, one of several numbered ones.
    The edit stands in the manifest's `edits`. Whoever reads the directory, after a crash too, finds the
    former memory or the new one.

    Raises `InputError` for names that the memory does not know, with the nearest; an answer it gives already;
    a trained memory; and as `read_memory` does. Nothing is written then.

    >>> import tempfile
    >>> facts = [("Kazakhstan", "capital", "Almaty"), ("Peru", "capital", "Lima")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     memory = construct_memory(facts, Path(folder) / "towns")
    ...     effect = edit_fact(memory, "Kazakhstan", "capital", "Lima")
    >>> effect.before, effect.after, effect.changed_answers, effect.largest_shift
    ('Almaty', 'Lima', 0, 0.0)
    """

    def change(weights: Weights, table: FactTable) -> Edit:
        x, r = find_subject(table, subject), find_relation(table, relation)
        y = _object_of(table, new_object)
        if find_answer(table, x, r) == y:
            raise InputError(
                f"The memory answers {subject!r}, {relation!r} with {new_object!r} already; "
                "give another object."
            )
        return edit_subject(weights, table, x, r, y)

    return _change(_directory_of(memory), subject, relation, change)


def forget_fact(memory: StoredMemory | str | os.PathLike[str], subject: str, relation: str) -> Effect:
    """Take a fact out of its subject's vector: its question then has no answer, every other stays.

    The rest is as for `edit_fact`. Raises `InputError` also if there is no such fact, or no other one.

    >>> import tempfile
    >>> facts = [("Kazakhstan", "capital", "Almaty"), ("Peru", "capital", "Lima")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     effect = forget_fact(construct_memory(facts, Path(folder) / "towns"), "Peru", "capital")
    >>> effect.before, effect.after, effect.other_facts
    ('Lima', None, 1)
    """

    def change(weights: Weights, table: FactTable) -> Edit:
        x, r = find_subject(table, subject), find_relation(table, relation)
        return forget_in_subject(weights, table, x, r)

    return _change(_directory_of(memory), subject, relation, change)


def _check_place(directory: Path) -> None:
    """Raise `InputError` unless a memory can be put there, or read from there."""
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise InputError(f"{directory} is a file; give a new directory for the memory.")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / DONE).is_file():
        raise InputError(f"{directory} is not empty; give a new directory for the memory.")


def _length_for(table: FactTable, code: Code, width: int | None) -> int | None:
    """Length of the codes in a residual stream of at most `width`; None for the code's own."""
    if width is None:
        return None
    if code != "circle":
        return length_for_width(table, width)
    needed = 3 * table.relation_count + 2
    if width < needed:
        raise InputError(
            f"A width of {width} is too small for {table.relation_count:,} relations of the table "
            f"{table.name!r} and the code circle; give {needed} or more."
        )
    return 2


def _recall(weights: Weights, table: FactTable) -> dict[str, Any]:
    """What the manifest says of the weights as they are: every fact was asked."""
    found = recall_every_fact(weights, table)
    return {
        "facts": table.fact_count,
        "recall": found.recall,
        "margin": float(found.margins.min()),
        "entropy_bits": entropy_bits(table),
    }


def _write_new(directory: Path, manifest: dict[str, Any], table: FactTable, weights: Weights) -> StoredMemory:
    """Write a memory beside its place and rename it there; one that is there already must be the same."""
    if (directory / DONE).is_file():
        there = read_memory(directory)
        if there.manifest["hash"] != manifest["hash"] or there.manifest.get("edits"):
            raise InputError(f"{directory} holds another memory; give a new directory, or delete that one.")
        return there
    # A name of its own, so that what a killed process left is written over and not left lying about.
    partial = directory.with_name(f".{directory.name}.partial")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory} cannot be made ({error.strerror}); give another directory.") from None
    try:
        with _writing(partial):
            _write(partial, manifest, table, weights)
            os.replace(partial, directory)
            sync_directory(directory.parent)
    except RunLocked:
        raise
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(
                f"{directory} cannot be made ({error.strerror}); give another directory."
            ) from None
        raise
    return read_memory(directory)


def _change(
    directory: Path, subject: str, relation: str, change: Callable[[Weights, FactTable], Edit]
) -> Effect:
    """Change a memory that was written down, measure what that does to all facts, write it."""
    read_memory(directory)  # before its lock, which would make the directory
    with _writing(directory):
        memory = read_memory(directory)
        opened = open_memory(memory)
        if opened.weights is None:
            raise InputError(
                f"{directory} was trained, and there a fact is no part of one subject vector; "
                "edit a memory that `geomem construct` wrote."
            )
        edit = change(opened.weights, memory.table)
        _check_edit(opened.weights, edit)
        effect = _measure(opened, opened.weights, edit, subject, relation)
        _replace(directory, memory, edit, effect)
    return effect


def _object_of(table: FactTable, label: str) -> int:
    """The id of an object that an edit may give."""
    if label in table.object_ids:
        return table.object_ids[label]
    raise unknown_name(
        f"The table {table.name!r} has no object {label!r}",
        label,
        table.object_ids,
        otherwise=f"an edit gives one of its {table.object_count:,}, so construct the memory anew to add one",
    )


def _check_edit(old: Weights, edit: Edit) -> None:
    """What an edit promises: one row of the subject table differs, and nothing else."""
    assert all(edit.weights[name] is array for name, array in old.items() if name != SUBJECTS)
    differs = (edit.weights[SUBJECTS] != old[SUBJECTS]).any(axis=1)
    assert np.flatnonzero(differs).tolist() in ([], [edit.subject])


def _measure(opened: OpenMemory, old: Weights, edit: Edit, subject: str, relation: str) -> Effect:
    """What the memory answers before and after, and how far the logits of all other facts moved."""
    table, r = opened.stored.table, find_relation(opened.stored.table, relation)
    said = []
    for weights in (old, edit.weights):
        found = answer(weights, np.array([edit.subject]), np.array([r]))
        known = found.leads[0] > opened.least_lead
        said.append(table.objects[found.objects[0]] if known else None)
    others = table.facts[(table.facts[:, 0] != edit.subject) | (table.facts[:, 1] != r)]
    difference = compare_answers(old, edit.weights, others[:, 0], others[:, 1])
    return Effect(
        subject=subject,
        relation=relation,
        before=said[0],
        after=said[1],
        changed_numbers=len(edit.coordinates),
        other_facts=len(others),
        changed_answers=int(difference.changed.sum()),
        largest_shift=float(difference.shifts.max(initial=0.0)),
    )


def _replace(directory: Path, memory: StoredMemory, edit: Edit, effect: Effect) -> None:
    """Put the changed memory in place of the former one; a kill at any moment leaves the one or the other.

    The new version is written whole into a directory within, and from the one rename on that makes it
    `EDITED` it is what `read_memory` reads. Then its files take their places, and it goes.
    """
    old = memory.manifest
    configuration = describe_memory(
        edit.table,
        memory.model,
        task=old["configuration"]["task"],
        training=old["configuration"]["training"],
        seeds=memory.seeds,
    )
    said = {
        "time": _now(),
        **{name: getattr(effect, name) for name in ("subject", "relation", "before", "after")},
    }
    edits = old.get("edits")
    manifest = {
        **old,
        "configuration": configuration,
        "hash": configuration_hash(configuration),
        "recalled": _recall(edit.weights, edit.table),
        "edits": [*(edits if isinstance(edits, list) else []), said],
    }
    partial = directory / f"{EDITED}.partial"
    try:
        _settle(directory)
        shutil.rmtree(partial, ignore_errors=True)
        _write(partial, manifest, edit.table, edit.weights)
        os.replace(partial, directory / EDITED)
        sync_directory(directory)
        _settle(directory)
    except OSError as error:
        raise InputError(
            f"Could not write {directory} ({error.strerror}); see to it and run the same command again."
        ) from error


def _settle(directory: Path) -> None:
    """Let the files of the next version of a memory take their places; what is not complete goes."""
    edited = directory / EDITED
    if is_edited(directory):
        for name in (*FILES, DONE):
            _copy_file(edited / name, directory / name)
        (edited / DONE).unlink()  # first: without it the rest does not count
    shutil.rmtree(edited, ignore_errors=True)


def _copy_file(source: Path, place: Path) -> None:
    def write(partial: Path) -> None:
        shutil.copyfile(source, partial)

    replace_file(place, write)


def _write(directory: Path, manifest: dict[str, Any], table: FactTable, weights: Weights) -> None:
    recalled = manifest["recalled"]
    write_memory(
        directory,
        manifest=manifest,
        table=table,
        metrics={name: np.array([[recalled[name]]]) for name in ("recall", "margin")},
        metric_steps=np.array([len(manifest["edits"])]),
        weights={name: array[None] for name, array in weights.items()},
    )


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Hold a memory's directory; raises `RunLocked` in words of its own if another process does."""
    try:
        with locked_run(directory):
            yield
    except RunLocked:
        raise RunLocked(
            f"Another process is writing {directory} now; wait until it ends and run the same command again."
        ) from None


def _directory_of(memory: StoredMemory | str | os.PathLike[str]) -> Path:
    """The directory that a person gave, also where a killed edit left the newest files within it."""
    path = memory.path if isinstance(memory, StoredMemory) else Path(memory)
    return path.parent if path.name == EDITED else path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
