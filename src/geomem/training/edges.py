"""Training a fleet: runs of one shape as one program along the `run` axis, resumable bit for bit.

Where the time goes, for 64 one-layer width-32 Transformers on the tiny path-star (17 prefixes), per run and
step: 1.5 million operations, nearly all in matrix products (45 us on one core, matrices being this small),
and AdamW's passes over 14 thousand parameters and their moments (11 us). Measured: 105 us on one idle core,
64 us on two, and 0.9 ms for a run alone, which is the price of some hundred small tensor operations.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.models.architecture import Model
from geomem.models.model import initialize_parameters, node_embeddings, trainable_names
from geomem.models.objective import Evaluation, make_objective, put_examples
from geomem.training.capture import StaticStep, replays
from geomem.training.configuration import RunSettings, Training, check_training
from geomem.training.loop import (
    FleetState,
    Problem,
    Progress,
    Row,
    Trained,
    copy_to_host,
    join_parameters,
    to_row,
    train_problem,
)
from geomem.training.metrics import compute_metrics, recalled_facts
from geomem.training.start import start_from
from geomem.training.treated import UNTREATED, Treated, start_treated, treat_problem
from geomem.worlds.tasks import Examples


def train_fleet(
    model: Model,
    examples: Examples,
    graph_edges: Int[np.ndarray, "pair 2"],
    node_count: int,
    runs: Sequence[RunSettings],
    training: Training,
    *,
    start: Mapping[str, Float[np.ndarray, "run ..."]] | None = None,
    treated: Treated = UNTREATED,
    state: FleetState | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[FleetState], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    device: str = "cpu",
) -> Trained:
    """Train every run full-batch on the examples, in float32.

    `graph_edges` are the directed facts without self-edges, over which the geometric level is the mean
    cosine. `start` gives the weights to begin with, of every run; else they are drawn from the seeds.
    `treated` is what interventions do beside. Row t of the metrics belongs to the parameters after t updates.
    `on_progress` is called at metric rows, the only steps that wait for the device; `on_checkpoint` about
    every ten seconds, with a state that, given back as `state`, ends in the same bits as an uninterrupted
    training on the same machine. `should_stop` is asked after every step: once it says yes, a last checkpoint
    is given out and `KeyboardInterrupt` raised.
    Peak learning rate and weight decay are those of `runs`; `training` gives the schedule.

    A run that diverges never stops the others: its loss is recorded as NaN or infinity from then on.
    Raises `InputError` for invalid settings.
    """
    check_training(training)
    if not runs:
        raise InputError("The fleet has no run; give at least one seed.")
    drawn = initialize_parameters(
        model,
        vocabulary_size=examples.vocabulary_size,
        context_length=examples.prefixes.shape[1],
        node_count=node_count,
        seeds=[run.seed for run in runs],
        scales=[run.scale for run in runs],
        device=device,
    )
    seeds, names = [run.seed for run in runs], trainable_names(model)
    drawn = start_treated(drawn, treated, seeds)
    if start is not None:
        drawn = start_from(drawn, start)
    flat, parameters = join_parameters(drawn, names, state)
    gradient = torch.zeros_like(flat)
    objective = make_objective(model, parameters, gradient, examples, seeds=seeds)
    logit_count = node_count if model.scores == "nodes" else examples.vocabulary_size
    data = put_examples(examples, logit_count, device=device, dtype=flat.dtype)
    pairs = torch.tensor(graph_edges, device=device)

    static = StaticStep(gradient)

    def replay(step: int) -> Evaluation | None:
        return static(lambda: objective.differentiate(step))

    def measure(step: int, found: Evaluation | None) -> Row:
        found = found or objective.evaluate()
        given = {
            "losses": found.losses,
            "logits": found.logits,
            "examples": data,
            "pairs": pairs,
            "parameters": parameters,
        }
        if "token_embedding" in parameters:
            given["embeddings"] = node_embeddings(model, parameters, node_count)
        return to_row(compute_metrics("edges", given))

    problem = Problem(
        flat=flat,
        gradient=gradient,
        differentiate=replay if objective.repeats and replays(flat.device) else objective.differentiate,
        measure=measure,
        snapshot=lambda: node_embeddings(model, parameters, node_count),
    )
    curves = train_problem(
        treat_problem(problem, treated, {name: parameters[name] for name in names}, seeds),
        runs,
        training,
        state=state,
        on_progress=on_progress,
        on_checkpoint=on_checkpoint,
        should_stop=should_stop,
    )
    return Trained(
        parameters=copy_to_host(parameters),
        recalled=recalled_facts(objective.evaluate().logits, data).cpu().numpy(),
        **curves.as_fields(),
    )
