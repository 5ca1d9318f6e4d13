"""Everything measured of one recall memory, trained, constructed or anybody's: the columns of table C2.

Definitions and their sources stand on the docs page "Recall measurements".
"""

from dataclasses import dataclass
from math import log

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.attribute_swap import SwapCurve, draw_swaps, measure_attribute_swap
from geomem.geometry.read_out import ReadOut, affine_surrogate, probe_read_out
from geomem.geometry.reinitialization import RULES, Transfer, choose_rule, fresh_answers, measure_transfer
from geomem.geometry.selector import (
    constancy,
    fixed_gates,
    gate_variance_explained,
    map_cosines,
    mean_between_relations,
    participation_ranks,
    read_out_cosines,
)
from geomem.geometry.superposition import SuperpositionFit, fit_superposition
from geomem.measure.probes import (
    RecallNetwork,
    judge_vectors,
    measure_gate_rates,
    network_answers,
    network_states,
    summarize_network_jacobians,
)
from geomem.measure.transfer import SubjectTraining, draw_network, train_subjects
from geomem.models.recall import RecallSize

SUBJECTS_SWAPPED = 512
"""Attribute swaps scored at each gain."""


@dataclass(frozen=True, eq=False)
class RecallPortrait:
    """The measurements of one memory."""

    subjects: int
    relations: int
    """Paths of relations, if a question has several."""
    objects: int
    width: int
    recall: float
    """Share of the facts that the memory answers; the rest of the portrait says little below 1."""
    fit: SuperpositionFit
    read_out: ReadOut
    surrogate: Float[np.ndarray, " relation"]
    constancy: Float[np.ndarray, " relation"]
    map_cosines: Float[np.ndarray, "relation relation"]
    read_out_cosines: Float[np.ndarray, "relation relation"]
    ranks: Float[np.ndarray, " relation"]
    gate_rates: Float[np.ndarray, "relation neuron"]
    swaps: SwapCurve
    transfers: dict[str, Transfer]
    """By the name of the rule."""
    trained: SubjectTraining | None
    """Embedding-only training on new facts; None for a tied model, which has no subject table of its own."""
    untrained: SubjectTraining | None
    """The same through a network that was never trained."""


def measure_recall_memory(
    network: RecallNetwork,
    embeddings: Float[np.ndarray, "subject width"],
    answers: Int[np.ndarray, "subject relation"],
    *,
    transfer_draws: int = 3,
    transfer_subjects: int = 1024,
    training_steps: int = 250,
    training_subjects: int = 256,
    seed: int = 0,
) -> RecallPortrait:
    """Measure one memory: its network, its subject table, and the facts that it should hold (-1: none).

    The rules of transfer choose strength and gain on new facts that are never scored; all other choices (the
    superposition's and the probes' ridge strengths) are made on facts that it holds. The new facts that are
    scored are the same for every rule and both trainings.
    """
    S = np.asarray(embeddings, dtype=np.float64)
    U, known = network.unembedding, answers >= 0

    def answer(vectors: np.ndarray) -> np.ndarray:
        return network_answers(network, vectors)

    def judge(vectors: np.ndarray, asked: np.ndarray) -> tuple[float, float]:
        return judge_vectors(network, vectors, asked)

    fit = fit_superposition(S, U, answers, seed=seed)
    summary = summarize_network_jacobians(network, S[fit.fitted], known[fit.fitted])
    transfers = {}
    for name in RULES:
        rule = choose_rule(name, fit, summary.means, S, answers, judge, seed=seed)
        transfers[name] = measure_transfer(
            rule, answers, answer, draws=transfer_draws, subjects=transfer_subjects, seed=seed
        )
    trained = untrained = None
    if not network.model.tied:
        size = RecallSize(len(S), network.parameters["relation_embedding"].shape[1], len(U))
        fresh = fresh_answers(answers, seed=seed)
        trained, untrained = (
            train_subjects(own, fresh, steps=training_steps, subjects=training_subjects, seed=seed)
            for own in (network, draw_network(network.model, size, seed=seed))
        )
    return RecallPortrait(
        subjects=len(S),
        relations=answers.shape[1],
        objects=len(U),
        width=S.shape[1],
        recall=float((answer(S) == answers)[known].mean()),
        fit=fit,
        read_out=probe_read_out(S, U, answers, seed=seed),
        surrogate=affine_surrogate(S, network_states(network, S), U, answers, seed=seed),
        constancy=constancy(summary),
        map_cosines=map_cosines(summary.means),
        read_out_cosines=read_out_cosines(summary.means, U),
        ranks=participation_ranks(summary.means, U),
        gate_rates=measure_gate_rates(network, S, known),
        swaps=measure_attribute_swap(
            S, fit.maps, fit.codes, draw_swaps(answers, SUBJECTS_SWAPPED, seed=seed), answer
        ),
        transfers=transfers,
        trained=trained,
        untrained=untrained,
    )


def portrait_numbers(portrait: RecallPortrait) -> dict[str, float]:
    """One number for each column of table C2 and those beside it, by name; means over relations and draws.

    NaN where a memory has no such number: no MLP, one relation, tied tables.
    """
    swaps, fit = portrait.swaps, portrait.fit
    at_one = int(np.abs(swaps.gains - 1).argmin())
    nan = float("nan")
    numbers = {
        "subjects": float(portrait.subjects),
        "relations": float(portrait.relations),
        "width": float(portrait.width),
        "ratio": portrait.width / (portrait.relations * log(max(2, portrait.objects))),
        "recall": portrait.recall,
        "superposition": fit.score,
        "superposition_shuffled": float(fit.shuffled_scores.mean()),
        "well_posed": float(fit.well_posed),
        "share_explained": float(fit.shares.sum()),
        "read_out_accuracy": _mean(portrait.read_out.accuracy),
        "read_out_score": _mean(portrait.read_out.score),
    }
    for name, transfer in portrait.transfers.items():
        short = name.replace("-", "_")
        numbers[f"transfer_{short}"] = _mean(transfer.recall)
        numbers[f"transfer_{short}_wrong_maps"] = _mean(transfer.wrong_maps)
        numbers[f"transfer_{short}_other_relation"] = _mean(transfer.other_relation)
        numbers[f"transfer_{short}_at_limit"] = float(transfer.rule.at_limit)
    for name, learned in (("trained", portrait.trained), ("random", portrait.untrained)):
        numbers[f"embedding_only_{name}"] = learned.best if learned else nan
        numbers[f"embedding_only_{name}_steps"] = learned.steps_to(0.99) if learned else nan
    return numbers | {
        "map_cosine": mean_between_relations(portrait.map_cosines),
        "read_out_cosine": mean_between_relations(portrait.read_out_cosines),
        "constancy": _mean(portrait.constancy),
        "participation_rank": _mean(portrait.ranks),
        "gate_variance_explained": gate_variance_explained(portrait.gate_rates),
        "fixed_gates": fixed_gates(portrait.gate_rates) if portrait.gate_rates.size else nan,
        "affine_surrogate": _mean(portrait.surrogate),
        "swap_success": float(swaps.success[at_one]),
        "swap_retention": float(swaps.retention[at_one]),
        "swap_best": swaps.best,
    }


def _mean(values: np.ndarray) -> float:
    """Mean of what is a number; NaN if nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
