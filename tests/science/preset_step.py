"""One step of presets through the training of path finding: `python preset_step.py SHARE PRESET:MODEL...`.

Model, world and vocabulary are the preset's own. The step has every SHARE-th row of edges and of paths of one
of the preset's batches, so that 1 is a whole batch; a few held-out paths are asked before it and after it.
Prints what came of each as a line of JSON; in a process of its own, so that the peak of its memory is that of
the first step.
"""

import json
import resource
import sys
from dataclasses import fields, replace
from functools import cache

import numpy as np
import torch

from geomem.models.model import trainable_names
from geomem.runs.presets import find_preset, preset_model
from geomem.training import path_metrics
from geomem.training import paths as path_fleet
from geomem.training.configuration import RunSettings
from geomem.training.path_batches import path_examples
from geomem.worlds.graphs.families import path_star

ASKED = 4
"""Paths and sources of edges that are asked: an evaluation of all costs more than the step."""


def thin(rows, step):
    """Every `step`-th of the rows."""
    taken = {entry.name: getattr(rows, entry.name) for entry in fields(rows)}
    return replace(
        rows, **{name: values[::step] for name, values in taken.items() if isinstance(values, np.ndarray)}
    )


@cache
def examples_of(preset_name):
    """All examples of a preset, the same for every model."""
    preset = find_preset(preset_name)
    return path_examples(path_star(preset.arms, preset.length), preset.task)


def fingerprints(parameters):
    """The bits of every tensor, summed: what is as it was has the same sum."""
    return {name: int(tensor.view(torch.int32).sum()) for name, tensor in parameters.items()}


def take_step(preset_name, kind, share):
    """Losses before and after the step, its rows and parameters, and the peak memory in bytes."""
    preset, model = find_preset(preset_name), preset_model(preset_name, kind)
    whole = examples_of(preset_name)
    every = preset.training.batches * share
    asked = len(whole.held_out.inputs) // ASKED
    examples = replace(
        whole,
        train=thin(whole.train, every),
        edges=thin(whole.edges, every),
        held_out=thin(whole.held_out, asked),
        held_out_paths=whole.held_out_paths[::asked],
    )
    path_metrics.TRAIN_SAMPLE = path_metrics.EDGE_SAMPLE = ASKED
    drawn, numel = {}, {}

    def initialize_parameters(*arguments, **options):
        parameters = draw(*arguments, **options)
        drawn.update(fingerprints(parameters))
        numel.update({name: tensor.numel() for name, tensor in parameters.items()})
        return parameters

    # Without a warm-up, of which one step would be a thousandth of the rate.
    training = replace(preset.training, epochs=1, batches=1, warmup_steps=0, stop_at=0.0)
    runs = [RunSettings(0, training.learning_rate, training.weight_decay)]
    draw, path_fleet.initialize_parameters = path_fleet.initialize_parameters, initialize_parameters
    trained = path_fleet.train_paths(model, examples, runs, training)
    path_fleet.initialize_parameters = draw
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    names, after = trainable_names(model), fingerprints(trained.parameters)
    return {
        "losses": trained.metrics["loss"][:, 0].tolist(),
        "metrics_finite": all(np.isfinite(values).all() for values in trained.metrics.values()),
        "steps": trained.metric_steps.tolist(),
        "vocabulary": len(trained.parameters["token_embedding"][0]),
        "parameters": sum(numel[name] for name in names),
        "unchanged": [name for name in names if after[name] == drawn[name]],
        "finite": all(bool(tensor.isfinite().all()) for tensor in trained.parameters.values()),
        "rows": [len(examples.edges.prefixes), len(examples.train.inputs)],
        "peak": peak,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for wanted in sys.argv[2:]:
        print(json.dumps(take_step(*wanted.split(":"), int(sys.argv[1]))))
