"""What is written down while a fleet trains: computed on the device, one number per run."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from geomem.models.objective import Evaluation, ExampleTensors, pick_facts

METRICS = ("loss", "associative_accuracy", "top1_accuracy", "geometric_level")


def associative_accuracy(
    logits: Float[Tensor, "run example vocab"], examples: ExampleTensors
) -> Float[Tensor, " run"]:
    """Top-d recovery: the share of an example's d targets among its d highest logits, mean over examples.

    d is the true number of targets and every token of the vocabulary competes. Ties are pessimistic: where
    equal logits straddle place d, tokens that are no targets come first.
    """
    shape = logits.shape[:2]
    top = logits.topk(int(examples.degrees.max()), dim=-1).values
    places = (examples.degrees - 1).expand(shape)[..., None]
    threshold = top.gather(-1, places)
    picked = pick_facts(logits, examples)
    at_fact = threshold[..., 0].index_select(1, examples.fact_examples)
    zeros = torch.zeros(shape, dtype=logits.dtype, device=logits.device)
    targets_above = zeros.index_add(1, examples.fact_examples, (picked > at_fact).to(logits.dtype))
    targets_equal = zeros.index_add(1, examples.fact_examples, (picked == at_fact).to(logits.dtype))
    others_equal = (logits == threshold).sum(-1) - targets_equal
    free = examples.degrees - (logits > threshold).sum(-1) - others_equal
    recovered = targets_above + torch.minimum(targets_equal, free.clamp(min=0))
    return (recovered / examples.degrees).mean(dim=-1)


def recalled_facts(
    logits: Float[Tensor, "run example vocab"], examples: ExampleTensors
) -> Bool[Tensor, "run fact"]:
    """Which facts are among their prefix's d best answers, d its number of facts.

    The facts that `associative_accuracy` counts; a fact that only a tie would let in counts as missing.
    """
    top = logits.topk(int(examples.degrees.max()), dim=-1).values
    places = (examples.degrees - 1).expand(logits.shape[:2])[..., None]
    threshold = top.gather(-1, places)
    fits = (logits >= threshold).sum(-1) <= examples.degrees
    picked, at_fact = pick_facts(logits, examples), threshold[..., 0].index_select(1, examples.fact_examples)
    return (picked > at_fact) | ((picked == at_fact) & fits.index_select(1, examples.fact_examples))


def top1_accuracy(
    logits: Float[Tensor, "run example vocab"], examples: ExampleTensors
) -> Float[Tensor, " run"]:
    """Weighted share of the facts whose target has the highest logit; one-to-many facts cap it below one."""
    best = logits.max(dim=-1)
    hit = best.indices.index_select(1, examples.fact_examples) == examples.fact_targets
    # NaN logits never count as hits, wherever `max` points.
    hit &= pick_facts(logits, examples) == best.values.index_select(1, examples.fact_examples)
    return hit.to(logits.dtype) @ examples.fact_weights


def geometric_level(
    embeddings: Float[Tensor, "run node width"], pairs: Int[Tensor, "pair 2"]
) -> Float[Tensor, " run"]:
    """Mean cosine of the embeddings over the pairs: directed facts, without self-edges."""
    directions = F.normalize(embeddings, dim=-1)
    return (
        (directions.index_select(1, pairs[:, 0]) * directions.index_select(1, pairs[:, 1])).sum(-1).mean(-1)
    )


def measure_fleet_step(
    evaluation: Evaluation,
    embeddings: Float[Tensor, "run node width"],
    examples: ExampleTensors,
    pairs: Int[Tensor, "pair 2"],
) -> Float[Tensor, "metric run"]:
    """One row of every metric of `METRICS`, in float64."""
    return torch.stack(
        [
            evaluation.losses.double(),
            associative_accuracy(evaluation.logits, examples).double(),
            top1_accuracy(evaluation.logits, examples).double(),
            geometric_level(embeddings, pairs).double(),
        ]
    )
