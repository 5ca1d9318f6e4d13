"""Learning a table of facts: the recall model, training and seeds become a memory in a directory.

Nothing is printed; whoever wants to know what happens gives `on_progress`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from geomem.errors import InputError
from geomem.fields import coerce_fields
from geomem.models.configuration import Recall, check_recall
from geomem.models.networks.recall import all_paths
from geomem.models.parameters import Cost
from geomem.models.recall import count_trained, describe_recall_parameters, estimate_recall_cost
from geomem.runs.edges import Hooks, train_in_directory
from geomem.runs.memory_store import StoredMemory, describe_memory, memory_size, read_memory, write_memory
from geomem.runs.plan import SINGLE_THREAD_FLOPS, check_device, check_seeds
from geomem.runs.store import FORMAT, run_path, safe_name
from geomem.training.configuration import RecallRun, RecallTraining, RunSettings, check_training
from geomem.training.facts import TrainedRecall, train_recall
from geomem.training.loop import Progress
from geomem.worlds.facts.hops import chain_answers, has_chains
from geomem.worlds.facts.table import FactTable, answers, check_single_answers, entropy_bits
from geomem.worlds.find import find_facts

COMFORTABLE_BITS = 0.7
"""Bits of facts per weight in a model that is left to be chosen: half of what fits at the most."""

MAXIMUM_PATHS = 1 << 27
"""Subjects times paths of relations at most: 1 GiB of answers."""


@dataclass(frozen=True, eq=False)
class MemoryAnnouncement:
    """What is about to happen, said before the first step."""

    path: Path
    table: FactTable
    model: Recall
    run_count: int
    steps: int
    first_step: int
    """0, or the checkpoint's step when an interrupted training goes on; `steps` if nothing is left to do."""
    bits_per_weight: float
    """Entropy of the facts over the trained weights of a run; about 1.4 is the most that fits."""
    memory_bytes: int
    disk_bytes: int

    @property
    def finished(self) -> bool:
        """Whether the same configuration was trained before, so that nothing is left to do."""
        return self.first_step == self.steps


MemoryEvent = MemoryAnnouncement | Progress
"""What `on_progress` is called with: one announcement, then progress at every row of the metrics."""


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """A memory before its training: every setting definite, where it goes, what it will take."""

    path: Path
    name: str
    table: FactTable
    model: Recall
    training: RecallTraining
    seeds: tuple[int, ...]
    configuration: dict[str, Any]
    cost: Cost
    disk_bytes: int
    threads: int


def learn_facts(
    facts: FactTable | str | os.PathLike[str] | object,
    *,
    model: Recall | None = None,
    training: RecallTraining | None = None,
    seeds: int | Sequence[int] = 3,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    on_progress: Callable[[MemoryEvent], None] | None = None,
) -> StoredMemory:
    """Train one run per seed to answer every fact of a table, and keep everything in a directory.

    `facts` is a table, the name of a built-in one, a file of triples, or whatever `facts_from` takes.
    Without a `model` the width is chosen so that the facts fit with room to spare. With `hops` above 1 the
    questions are all chains of that many relations that have an answer. The same configuration again trains
    nothing; an interrupted one goes on where its last checkpoint left it and ends in the same bits (same
    machine, same versions).

    Raises `InputError` for settings that cannot be meant, if memory or disk will not do, or if another
    process is training the same configuration.

    >>> import tempfile
    >>> from geomem.worlds.facts.families import random_bijections
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     memory = learn_facts(random_bijections(8, 2), training=RecallTraining(steps=300),
    ...         directory=directory)
    ...     memory.seeds, memory_metrics(memory)["value"][-1] > 0
    ((0, 1, 2), True)
    """
    plan = plan_memory(facts, model=model, training=training, seeds=seeds, directory=directory, device=device)
    table = plan.table

    def announce(first_step: int) -> None:
        if on_progress:
            weights = max(1, plan.cost.trained_parameters)
            on_progress(
                MemoryAnnouncement(
                    path=plan.path,
                    table=table,
                    model=plan.model,
                    run_count=len(plan.seeds),
                    steps=plan.training.steps,
                    first_step=first_step,
                    bits_per_weight=entropy_bits(table) / weights,
                    memory_bytes=plan.cost.memory_bytes,
                    disk_bytes=plan.disk_bytes,
                )
            )

    def train(hooks: Hooks) -> TrainedRecall:
        asked = question_answers(table, plan.model.hops)
        return train_recall(
            [
                RecallRun(
                    plan.model,
                    memory_size(table),
                    asked,
                    RunSettings(seed, plan.training.learning_rate, plan.training.weight_decay),
                )
                for seed in plan.seeds
            ],
            plan.training,
            state=hooks.state,
            on_progress=on_progress,
            on_checkpoint=hooks.on_checkpoint,
            should_stop=hooks.should_stop,
            device=device,
        )

    def write(trained: TrainedRecall, manifest: dict[str, Any]) -> StoredMemory:
        return write_memory(
            plan.path,
            manifest=manifest,
            table=table,
            metrics=trained.metrics,
            metric_steps=trained.metric_steps,
            weights={name: tensor.numpy() for name, tensor in trained.parameters.items()},
        )

    return train_in_directory(
        plan.path,
        manifest={"format": FORMAT, "name": plan.name, "configuration": plan.configuration},
        steps=plan.training.steps,
        memory_bytes=plan.cost.memory_bytes,
        disk_bytes=plan.disk_bytes,
        threads=plan.threads,
        device=device,
        announce=announce,
        train=train,
        write=write,
        read=read_memory,
    )


def plan_memory(
    facts: FactTable | str | os.PathLike[str] | object,
    *,
    model: Recall | None = None,
    training: RecallTraining | None = None,
    seeds: int | Sequence[int] = 3,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
) -> MemoryPlan:
    """What `learn_facts` would do with the same arguments; nothing is allocated or written.

    Raises `InputError` if an argument cannot be meant.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> plan_memory(random_bijections(64, 4)).model
    Recall(width=8, mlp_width=32, layers=1, attention='content', layer_norm=False, tied=False, frozen=(), \
subject_scale=1.0, hops=1)
    """
    table = find_facts(facts)
    check_single_answers(table)
    model = coerce_fields(model or default_recall_model(table))
    training = coerce_fields(training or RecallTraining())
    check_recall(model)
    check_training(training, subjects=table.subject_count)
    seeds = check_seeds(seeds)
    check_device(device)
    if model.tied and table.objects != table.subjects:
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
    size = memory_size(table)
    cost = estimate_recall_cost([model] * len(seeds), [size] * len(seeds), subjects=training.batch_subjects)
    described = describe_recall_parameters(model, size)
    weights = 4 * len(seeds) * sum(torch.Size(parameter.shape).numel() for parameter in described.values())
    rows = 3 * 8 * 2 * len(seeds) * (training.steps // training.metric_every + 2)
    # While a checkpoint replaces the former both exist, each with two moments beside the weights.
    disk_bytes = weights + 2 * (3 * weights + rows) + 100 * table.fact_count + 10_000
    task = {"kind": "fact-recall"}
    configuration = describe_memory(table, model, task=task, training=asdict(training), seeds=seeds)
    name = safe_name(f"{table.name}-recall")
    return MemoryPlan(
        path=run_path(directory, name, configuration),
        name=name,
        table=table,
        model=model,
        training=training,
        seeds=seeds,
        configuration=configuration,
        cost=cost,
        disk_bytes=disk_bytes,
        threads=1 if cost.flops_per_step < SINGLE_THREAD_FLOPS else torch.get_num_threads(),
    )


def default_recall_model(
    table: FactTable, *, settings: Recall | None = None, mlp_width: int | None = None
) -> Recall:
    """The smallest model of at least width 8 whose weights hold at most `COMFORTABLE_BITS` of the facts each.

    Like `settings` in all but its width; its MLP has `mlp_width` neurons, four per number of the width if not
    given. Raises `InputError` if the settings cannot be meant or leave nothing to train.

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
    paths = all_paths(table.relation_count, hops).numpy()
    subjects = np.arange(table.subject_count).repeat(len(paths))
    found = chain_answers(table, subjects, np.tile(paths, (table.subject_count, 1)))
    return found.reshape(table.subject_count, len(paths))
