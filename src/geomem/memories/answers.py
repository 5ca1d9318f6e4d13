"""What a memory's model answers, computed by the model itself: every question, every run, in chunks."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from geomem.memories.opened import model_table
from geomem.models.loss import best_objects
from geomem.models.networks import network_of
from geomem.models.networks.recall import all_paths, compute_recall_states, recall_output_table
from geomem.models.own import OwnModule
from geomem.models.recall import EVALUATED
from geomem.runs.run import Run
from geomem.worlds.facts.table import object_tokens


@dataclass(frozen=True, eq=False)
class MemoryAnswers:
    """What a memory answers: the object that scores highest, and its lead over the second (0: a tie)."""

    objects: Int[np.ndarray, "run subject path"]
    leads: Float[np.ndarray, "run subject path"]


def memory_answers(
    memory: Run,
    *,
    subjects: Int[np.ndarray, " subject"] | None = None,
    paths: Int[np.ndarray, "path hop"] | None = None,
    dtype: torch.dtype = torch.float32,
) -> MemoryAnswers:
    """What every run answers to some subjects and paths of relations, all of them unless given.

    Computed in chunks of subjects, to bound memory.
    """
    model = memory.model
    weights = {name: torch.tensor(array).to(dtype) for name, array in memory.weights().items()}
    asked = all_paths(memory.table.relation_count, model.hops) if paths is None else torch.tensor(paths)
    chosen = torch.arange(memory.table.subject_count) if subjects is None else torch.tensor(subjects)
    runs, parts = len(memory.seeds), []
    if isinstance(model, OwnModule):
        model.factory()  # it says what is missing
        table, tokens = None, torch.tensor(object_tokens(memory.table))
        read = partial(network_of(model).answer_questions, model, weights, asked, tokens)
        per_subject = runs * asked.numel() * model.count_activations(model.sizes[1])
    else:
        table = recall_output_table(model, weights)
        read = partial(compute_recall_states, model, weights, asked)
        per_subject = runs * len(asked) * (model.width + model.mlp_width)
        per_subject *= 1 + (model.layers - 1) * model.hops
    for rows in chosen.split(max(1, EVALUATED // per_subject)):
        with torch.no_grad():
            states = read(subjects=rows.expand(runs, -1))
        objects, leads = best_objects(states.flatten(1, 2), table)
        parts.append((objects.view(runs, len(rows), -1), leads.view(runs, len(rows), -1)))
    objects, leads = (torch.cat(part, dim=1).numpy() for part in zip(*parts, strict=True))
    return MemoryAnswers(objects, leads)


def recalled_facts(memory: Run) -> Bool[np.ndarray, "run fact"]:
    """Which facts of its model each run of a one-hop memory answers; a tie counts as wrong.

    The facts are those of `geomem.memories.opened.model_table`: its own but for further answers in cells.
    """
    found = memory_answers(memory)
    subject, relation, target = model_table(memory).facts.T
    return (found.objects[:, subject, relation] == target) & (found.leads[:, subject, relation] > 0)
