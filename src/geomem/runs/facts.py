"""Learning a table of facts: a recall model or a module of one's own becomes a memory in a directory."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from geomem.errors import InputError
from geomem.fields import coerce_fields
from geomem.models.architecture import Model, Sizes, check_model
from geomem.models.configuration import Recall, check_recall
from geomem.models.own import Factory, OwnModule
from geomem.models.parameters import Cost, ParameterDescription, describe_parameters, estimate_cost
from geomem.models.recall import MOST_HOPS, count_trained, describe_recall_parameters, estimate_recall_cost
from geomem.runs.configuration import FactRecall, model_kind
from geomem.runs.job import Job, check_seeds, count_disk, find_model, job_name
from geomem.runs.run import Run, memory_size
from geomem.training.configuration import RecallRun, RecallTraining, RunSettings, check_training, run_settings
from geomem.worlds.facts.hops import chain_answers, has_chains
from geomem.worlds.facts.table import (
    FactTable,
    answers,
    check_single_answers,
    entropy_bits,
    object_tokens,
    token_labels,
)
from geomem.worlds.find import find_facts

if TYPE_CHECKING:
    from geomem.runs.train import Event
    from geomem.training.loop import Trained

COMFORTABLE_BITS = 0.7
"""Bits of facts per weight in a model that is left to be chosen: half of what fits at the most."""

MAXIMUM_PATHS = 1 << 27
"""Subjects times paths of relations at most: 1 GiB of answers."""


def learn_facts(
    facts: FactTable | str | os.PathLike[str] | object,
    *,
    model: Recall | Model | Factory | str | None = None,
    hops: int | None = None,
    training: RecallTraining | None = None,
    seeds: int | Sequence[int] = 3,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    on_progress: "Callable[[Event], None] | None" = None,
) -> Run:
    """Train one run per seed to answer every fact of a table, and keep everything in a directory.

    `facts` is a table, the name of a built-in one, a file of triples, or whatever `facts_from` takes.
    `model` is a `Recall`, or a function from `Sizes` to a `torch.nn.Module` that maps tokens to logits (see
    `own_module`): it reads subject and relations, and of its logits those of the objects count. Without one
    the width is chosen so that the facts fit with room to spare. With `hops` above 1 (those of the `Recall`,
    or 1, if not given) the questions are all chains of that many relations that have an answer. The same
    configuration again trains nothing; an interrupted one goes on where its last checkpoint left it and ends
    in the same bits (same machine, same versions).

    Raises `InputError` if an argument is invalid, if memory or disk is too small, or if another process is
    training the same configuration.

    >>> import tempfile
    >>> from geomem.worlds.facts.families import random_bijections
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     memory = learn_facts(random_bijections(8, 2), training=RecallTraining(steps=300),
    ...         directory=directory)
    ...     memory.final()["recall"].tolist(), memory.seeds
    ([1.0, 1.0, 1.0], (0, 1, 2))
    """
    from geomem.runs.train import train

    job = fact_job(facts, model=model, hops=hops, training=training, seeds=seeds)
    return train(job, directory, device=device, on_progress=on_progress)


def fact_job(
    facts: FactTable | str | os.PathLike[str] | object,
    *,
    model: Recall | Model | Factory | str | None = None,
    hops: int | None = None,
    training: RecallTraining | None = None,
    seeds: int | Sequence[int] = 3,
) -> Job:
    """What `learn_facts` would do with the same arguments; nothing is allocated or written.

    Raises `InputError` if an argument is invalid.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> fact_job(random_bijections(64, 4)).model.width
    8
    """
    table = find_facts(facts)
    check_single_answers(table)
    training = coerce_fields(training or RecallTraining())
    check_training(training, subjects=table.subject_count)
    seeds = check_seeds(seeds)
    found = _find_fact_model(table, model, hops)
    described, cost = _describe_cost(table, found, len(seeds), training.batch_subjects)
    kept, disk, _ = count_disk(
        described,
        len(seeds),
        snapshot_numbers=0,
        rows=training.steps // training.metric_every + 2,
        metric_count=3,
        text_bytes=100 * table.fact_count + 10_000,
    )

    return Job(
        world=table,
        task=FactRecall(),
        model=found,
        training=training,
        seeds=seeds,
        name=job_name(table, model_kind(found)),
        counts={"facts": table.fact_count},
        cost=cost,
        kept_bytes=kept,
        disk_bytes=disk,
        train=partial(_train, table, found, training, seeds),
    )


def _find_fact_model(
    table: FactTable, model: Recall | Model | Factory | str | None, hops: int | None
) -> Recall | OwnModule:
    """The model, every setting definite; raises `InputError` if it cannot learn the facts of the table."""
    if hops is not None and not (type(hops) is int and 1 <= hops <= MOST_HOPS):
        raise InputError(f"hops is {hops!r}; give a whole number from 1 to {MOST_HOPS}.")
    if model is None:
        model = default_recall_model(table, settings=Recall(hops=hops or 1))
    if isinstance(model, Recall):
        model = coerce_fields(model)
        check_recall(model)
        if hops not in (None, model.hops):
            raise InputError(f"hops is {hops} and the model's hops are {model.hops}; give one of them.")
        check_questions(table, model)
        return model
    found = coerce_fields(find_model(model))
    if not isinstance(found, OwnModule):
        raise InputError(
            f"The model is a {found.name}, which learns graphs; for facts give a Recall, or a function from "
            "sizes to a torch.nn.Module."
        )
    check_model(found)
    hops = hops or (found.hops if found.sizes else 1)
    sizes = (len(token_labels(table)), hops + 1, table.subject_count)
    check_questions(table, replace(found.given, sizes=sizes))
    return found.fit(Sizes(*sizes))


def _describe_cost(
    table: FactTable, model: Recall | OwnModule, run_count: int, batch_subjects: int
) -> tuple[dict[str, ParameterDescription], Cost]:
    """The tensors of one run, and what training takes."""
    size = memory_size(table)
    if isinstance(model, Recall):
        cost = estimate_recall_cost([model] * run_count, [size] * run_count, subjects=batch_subjects)
        return describe_recall_parameters(model, size), cost
    sizes = asdict(Sizes(*model.sizes))
    questions = (batch_subjects or size.subjects) * size.relations**model.hops
    cost = estimate_cost(model, **sizes, example_count=questions, run_count=run_count)
    return describe_parameters(model, **sizes), cost


def _train(
    table: FactTable,
    model: Recall | OwnModule,
    training: RecallTraining,
    seeds: tuple[int, ...],
    runs: Sequence[RunSettings] | None = None,
    **hooks: Any,
) -> "Trained":
    from geomem.training.facts import train_recall

    size, asked = memory_size(table), question_answers(table, model.hops)
    tokens = None if isinstance(model, Recall) else object_tokens(table)
    runs = runs or run_settings(training, seeds)
    asked_runs = [RecallRun(model, size, asked, settings, tokens) for settings in runs]
    return train_recall(asked_runs, training, **hooks)


def check_questions(table: FactTable, model: Recall | OwnModule) -> None:
    """Raise `InputError` if a model cannot be asked the facts of a table: too many chains, or none."""
    if isinstance(model, Recall) and model.tied and table.objects != table.subjects:
        raise InputError(
            f"A tied model reads out with its subjects, but the objects of {table.name!r} are others; "
            "give tied=False."
        )
    questions = table.subject_count * table.relation_count**model.hops
    if questions > MAXIMUM_PATHS:
        raise InputError(
            f"{table.subject_count:,} subjects and {model.hops} hops over {table.relation_count:,} relations "
            f"make {questions:,} questions, {8 * questions / 2**30:,.1f} GiB of answers; give fewer hops or "
            f"a smaller table, with at most {MAXIMUM_PATHS:,}."
        )
    if not has_chains(table, model.hops):
        raise InputError(
            f"The table {table.name!r} has no chain of {model.hops} hops to learn; give facts whose objects "
            "are subjects of others, under the same label, or hops=1 (--hops 1 on the command line)."
        )


def default_recall_model(
    table: FactTable, *, settings: Recall | None = None, mlp_width: int | None = None
) -> Recall:
    """The smallest model of at least width 8 whose weights hold at most `COMFORTABLE_BITS` of the facts each.

    Like `settings` in all but its width; its MLP has `mlp_width` neurons, four per number of the width if not
    given. Raises `InputError` if the settings are invalid or leave nothing to train.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> default_recall_model(random_bijections(256, 4)).width
    14
    >>> default_recall_model(random_bijections(256, 4), mlp_width=0).width
    17
    """
    size, needed = memory_size(table), entropy_bits(table) / COMFORTABLE_BITS

    def model_of(width: int) -> Recall:
        neurons = 4 * width if mlp_width is None else mlp_width
        return replace(settings or Recall(), width=width, mlp_width=neurons)

    width = 8
    check_recall(model_of(width))
    if not count_trained(model_of(width), size):
        raise InputError("Everything in this model is frozen, so no width can be chosen; give one.")
    while count_trained(model_of(width), size) < needed:
        width += 1
    return model_of(width)


def question_answers(table: FactTable, hops: int) -> Int[np.ndarray, "subject path"]:
    """The object after every subject and path of relations, -1 where a fact is missing on the way.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> question_answers(random_permutations(4, 2), 3).shape
    (4, 8)
    """
    if hops == 1:
        return answers(table)
    from geomem.models.networks.recall import all_paths  # it imports torch

    paths = all_paths(table.relation_count, hops).numpy()
    subjects = np.arange(table.subject_count).repeat(len(paths))
    found = chain_answers(table, subjects, np.tile(paths, (table.subject_count, 1)))
    return found.reshape(table.subject_count, len(paths))
