"""One step of a preset through the training of path finding: `python preset_step.py PRESET MODEL SHARE`.

Model, world and vocabulary are the preset's own. The step has every SHARE-th row of edges and of paths of one
of the preset's batches, so that 1 is a whole batch; a few held-out paths are asked before it and after it.
Prints what came of it as JSON; in a process of its own, so that the peak of its memory is that of the step.
"""

import json
import resource
import sys
from dataclasses import fields, replace

import numpy as np
import torch

from geomem.models.model import initialize_parameters, trainable_names
from geomem.path_presets import find_preset, preset_model
from geomem.training import path_metrics
from geomem.training.configuration import RunSettings
from geomem.training.path_batches import context_length, path_examples
from geomem.training.path_fleet import train_paths
from geomem.worlds.families import path_star

ASKED = 4
"""Paths and sources of edges that are asked: an evaluation of all costs more than the step."""


def thin(rows, step):
    """Every `step`-th of the rows."""
    taken = {entry.name: getattr(rows, entry.name) for entry in fields(rows)}
    return replace(
        rows, **{name: values[::step] for name, values in taken.items() if isinstance(values, np.ndarray)}
    )


def take_step(preset_name, kind, share):
    """Losses before and after the step, its rows and parameters, and the peak memory in bytes."""
    preset, model = find_preset(preset_name), preset_model(preset_name, kind)
    whole = path_examples(path_star(preset.arms, preset.length), preset.task)
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
    # Without a warm-up, of which one step would be a thousandth of the rate.
    training = replace(preset.training, epochs=1, batches=1, warmup_steps=0, stop_at=0.0)
    trained = train_paths(
        model, examples, [RunSettings(0, training.learning_rate, training.weight_decay)], training
    )
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    drawn = initialize_parameters(
        model,
        vocabulary_size=whole.vocabulary_size,
        context_length=context_length(whole),
        node_count=whole.node_count,
        seeds=[0],
    )
    names = trainable_names(model)
    return {
        "losses": trained.metrics["loss"][:, 0].tolist(),
        "metrics_finite": all(np.isfinite(values).all() for values in trained.metrics.values()),
        "steps": trained.metric_steps.tolist(),
        "vocabulary": len(trained.parameters["token_embedding"][0]),
        "parameters": sum(drawn[name].numel() for name in names),
        "unchanged": [name for name in names if torch.equal(trained.parameters[name], drawn[name])],
        "finite": all(bool(tensor.isfinite().all()) for tensor in trained.parameters.values()),
        "rows": [len(examples.edges.prefixes), len(examples.train.inputs)],
        "peak": peak,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(take_step(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
