"""Everything measured of one recall memory, trained, constructed or anybody's: the table of notes C2.

Definitions and their sources stand on the docs page "Recall measurements". A number is registered where it is
defined, with `memory_measurement`; tables, reports and pictures then have it. Nothing here loads torch until
a memory is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.geometry.attribute_swap import SwapCurve, draw_swaps, measure_attribute_swap
from geomem.geometry.read_out import ReadOut, affine_surrogate, probe_read_out
from geomem.geometry.reinitialization import RULES, Transfer, choose_rule, fresh_answers, measure_transfer
from geomem.geometry.selector import (
    JacobianSummary,
    constancy,
    fixed_gates,
    gate_variance_explained,
    map_cosines,
    mean_between_relations,
    participation_ranks,
    read_out_cosines,
)
from geomem.geometry.superposition import SuperpositionFit, fit_superposition

SUBJECTS_SWAPPED = 512
"""Attribute swaps scored at each gain."""


class Unmeasured(InputError):
    """A memory does not have the number that was asked for."""


@dataclass(frozen=True, eq=False)
class RecallPortrait:
    """The measurements of one memory, each taken when it is first asked for.

    With several hops a relation is a chain of relations. What a memory does not have raises `Unmeasured`.
    """

    network: Any
    """A `geomem.measure.probes.RecallNetwork`; None of a module of a person's own, which is not asked."""
    embeddings: Float[np.ndarray, "subject width"]
    answers: Int[np.ndarray, "subject relation"]
    """The facts that it should hold; -1: none."""
    transfer_draws: int = 3
    transfer_subjects: int = 1024
    training_steps: int = 250
    training_subjects: int = 256
    seed: int = 0
    outputs: Float[np.ndarray, "object code"] | None = None
    """Without a network, the rows that tell objects apart; no column if they are not known."""
    recall_told: float = float("nan")
    """Without a network, recall after the training."""

    @property
    def relations(self) -> int:
        """How many questions a subject is asked."""
        return self.answers.shape[1]

    def answer(self, vectors: Float[np.ndarray, "query width"]) -> Int[np.ndarray, "query relation"]:
        """What the memory answers when these are the subjects' vectors; -1 where several are best."""
        from geomem.measure.probes import network_answers

        return network_answers(self.asked, vectors)

    @property
    def asked(self) -> Any:
        """The network; raises `Unmeasured` if there is none."""
        if self.network is None:
            raise Unmeasured("A module of your own is not asked with other subject vectors; see its notes.")
        return self.network

    @cached_property
    def unembedding(self) -> Float[np.ndarray, "object width"]:
        """What states are read out with."""
        return self.outputs if self.outputs is not None else self.asked.unembedding

    @cached_property
    def recall(self) -> float:
        """Share of the facts that the memory answers; the rest of the portrait says little below 1."""
        if self.network is None:
            return self.recall_told
        return float((self.answer(self.embeddings) == self.answers)[self.answers >= 0].mean())

    @cached_property
    def fit(self) -> SuperpositionFit:
        """Subjects as sums of their attributes."""
        self._check_vectors()
        return fit_superposition(self.embeddings, self.unembedding, self.answers, seed=self.seed)

    @cached_property
    def jacobians(self) -> JacobianSummary:
        """Of the subjects that `fit` was made from."""
        from geomem.measure.probes import summarize_network_jacobians

        fitted = self.fit.fitted
        return summarize_network_jacobians(self.asked, self.embeddings[fitted], self.answers[fitted] >= 0)

    @cached_property
    def read_out(self) -> ReadOut:
        """Linear probes for attributes."""
        self._check_vectors()
        return probe_read_out(self.embeddings, self.unembedding, self.answers, seed=self.seed)

    @cached_property
    def surrogate(self) -> Float[np.ndarray, " relation"]:
        """Recall with one affine map per relation in place of the network."""
        from geomem.measure.probes import network_states

        states = network_states(self.asked, self.embeddings)
        return affine_surrogate(self.embeddings, states, self.unembedding, self.answers, seed=self.seed)

    @cached_property
    def map_cosines(self) -> Float[np.ndarray, "relation relation"]:
        """Between the mean Jacobians."""
        return map_cosines(self.jacobians.means)

    @cached_property
    def read_out_cosines(self) -> Float[np.ndarray, "relation relation"]:
        """The same as far as they move logits."""
        return read_out_cosines(self.jacobians.means, self.unembedding)

    @cached_property
    def gate_rates(self) -> Float[np.ndarray, "relation neuron"]:
        """Share of subjects for which a neuron is open; without an MLP there is no neuron."""
        from geomem.measure.probes import measure_gate_rates

        return measure_gate_rates(self.asked, self.embeddings, self.answers >= 0)

    @cached_property
    def swaps(self) -> SwapCurve:
        """Attributes exchanged."""
        swaps = draw_swaps(self.answers, SUBJECTS_SWAPPED, seed=self.seed)
        return measure_attribute_swap(self.embeddings, self.fit.maps, self.fit.codes, swaps, self.answer)

    @cached_property
    def transfers(self) -> dict[str, Transfer]:
        """New facts written by each rule, by its name.

        Strength and gain are chosen on new facts that are never scored; all other choices (ridge strengths of
        the superposition and of the probes) are made on facts that the memory holds. The new facts that are
        scored are the same for every rule and both trainings.
        """
        from geomem.measure.probes import judge_vectors

        def judge(vectors: np.ndarray, asked: np.ndarray) -> tuple[float, float]:
            return judge_vectors(self.asked, vectors, asked)

        made, means = {}, self.jacobians.means
        draws = {"draws": self.transfer_draws, "subjects": self.transfer_subjects, "seed": self.seed}
        for name in RULES:
            rule = choose_rule(name, self.fit, means, self.embeddings, self.answers, judge, seed=self.seed)
            made[name] = measure_transfer(rule, self.answers, self.answer, **draws)
        return made

    @cached_property
    def trained(self) -> Any:
        """Embedding-only training on new facts, a `SubjectTraining`.

        None for a tied model, whose subject table is its read-out too.
        """
        return self._train(self.asked)

    @cached_property
    def untrained(self) -> Any:
        """The same through a network that was never trained."""
        from geomem.measure.transfer import draw_network
        from geomem.models.recall import RecallSize

        relations = self.asked.parameters["relation_embedding"].shape[1]
        size = RecallSize(len(self.embeddings), relations, len(self.unembedding))
        return self._train(draw_network(self.asked.model, size, seed=self.seed))

    def _check_vectors(self) -> None:
        if not (self.embeddings.shape[1] and self.unembedding.shape[1]):
            raise Unmeasured("The vectors of subjects and objects are not known in this module.")

    def _train(self, network: Any) -> Any:
        from geomem.measure.transfer import train_subjects

        if self.asked.model.tied:
            return None
        fresh = fresh_answers(self.answers, seed=self.seed)
        return train_subjects(
            network, fresh, steps=self.training_steps, subjects=self.training_subjects, seed=self.seed
        )


@dataclass(frozen=True)
class Line:
    """A number of the portraits as a line of a picture."""

    picture: str
    """One of `geomem.figures.portrait_drawing.PORTRAITS`."""
    label: str
    colour: str
    """Of the theme, by name."""
    dash: str = "-"
    place: int = 99
    """Order in the picture."""


@dataclass(frozen=True, eq=False)
class MemoryMeasurement:
    """One number of a memory."""

    function: Callable[[RecallPortrait], float]
    whole: bool
    """Whether it is a whole number."""
    line: Line | None


MEMORY_MEASUREMENTS: dict[str, MemoryMeasurement] = {}
"""The numbers of a memory by name, in the order of the columns; `memory_measurement` adds to them."""


def memory_measurement(
    name: str = "", *, whole: bool = False, line: Line | None = None
) -> Callable[[Callable[[RecallPortrait], float]], Callable[[RecallPortrait], float]]:
    """Register a function of a `RecallPortrait` as a number of memories, under its name unless one is given.

    `geomem measure`, reports and, with a `line`, a picture then have it. It gives NaN where a memory has no
    such number: no MLP, one relation, tied tables. Raises `InputError` if the name is taken.

    >>> @memory_measurement()
    ... def subjects_per_dimension(portrait):
    ...     return len(portrait.embeddings) / portrait.embeddings.shape[1]
    >>> MEMORY_MEASUREMENTS.pop("subjects_per_dimension").whole
    False
    """

    def register(function: Callable[[RecallPortrait], float]) -> Callable[[RecallPortrait], float]:
        own = name or getattr(function, "__name__", "")
        if own in MEMORY_MEASUREMENTS:
            raise InputError(f"A measurement of memories {own!r} exists already; choose another name.")
        MEMORY_MEASUREMENTS[own] = MemoryMeasurement(function, whole, line)
        return function

    return register


def measure_recall_memory(
    network: Any,
    embeddings: Float[np.ndarray, "subject width"],
    answers: Int[np.ndarray, "subject relation"],
    **settings: Any,
) -> RecallPortrait:
    """The portrait of a memory: its network, its subject table, and the facts that it should hold (-1: none).

    `settings` are the further fields of `RecallPortrait`.
    """
    return RecallPortrait(network, np.asarray(embeddings, dtype=np.float64), answers, **settings)


def portrait_numbers(portrait: RecallPortrait) -> dict[str, float]:
    """Every number of `MEMORY_MEASUREMENTS` by name: the table of notes C2 and those beside it."""
    return {name: _number_of(portrait, entry) for name, entry in MEMORY_MEASUREMENTS.items()}


def _number_of(portrait: RecallPortrait, entry: MemoryMeasurement) -> float:
    """The number, NaN where a memory does not have it; a whole one is 0 then."""
    try:
        return float(entry.function(portrait))
    except Unmeasured:
        return 0.0 if entry.whole else float("nan")


def _mean(values: np.ndarray) -> float:
    """Mean of the finite values; NaN if there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _at_gain_one(swaps: SwapCurve, values: Float[np.ndarray, " gain"]) -> float:
    return float(values[np.abs(swaps.gains - 1).argmin()])


_number = memory_measurement
_number("subjects", whole=True)(lambda portrait: len(portrait.embeddings))
_number("relations", whole=True)(lambda portrait: portrait.relations)
_number("width", whole=True)(lambda portrait: portrait.embeddings.shape[1])


@memory_measurement()
def ratio(portrait: RecallPortrait) -> float:
    """Dimensions to spare: d / (R ln N)."""
    return portrait.embeddings.shape[1] / (portrait.relations * log(max(2, len(portrait.unembedding))))


_number("recall")(lambda portrait: portrait.recall)
_number("superposition", line=Line("superposition", "R² of the sum", "accent", place=0))(
    lambda portrait: portrait.fit.score
)
_number("superposition_shuffled", line=Line("superposition", "R², subjects shuffled", "muted", "--", 2))(
    lambda portrait: float(portrait.fit.shuffled_scores.mean())
)
_number("well_posed", whole=True)(lambda portrait: portrait.fit.well_posed)
_number("share_explained")(lambda portrait: float(portrait.fit.shares.sum()))
_number("read_out_accuracy", line=Line("superposition", "attributes read out, top 1", "gold", place=1))(
    lambda portrait: _mean(portrait.read_out.accuracy)
)
_number("read_out_score")(lambda portrait: _mean(portrait.read_out.score))


def _define_transfer(rule: str, said: str, colour: str, place: int, control_place: int) -> None:
    """The numbers of one rule that writes new facts into the subject table."""
    name = f"transfer_{rule.replace('-', '_')}"
    _number(name, line=Line("transfer", f"written by {said}", colour, place=place))(
        lambda portrait: _mean(portrait.transfers[rule].recall)
    )
    control = Line("transfer", f"{said}, wrong maps", colour, ":", control_place)
    _number(f"{name}_wrong_maps", line=control if rule != "adjoint" else None)(
        lambda portrait: _mean(portrait.transfers[rule].wrong_maps)
    )
    _number(f"{name}_other_relation")(lambda portrait: _mean(portrait.transfers[rule].other_relation))
    _number(f"{name}_at_limit")(lambda portrait: portrait.transfers[rule].rule.at_limit)


_define_transfer("ridge", "ridge", "warm", 3, 6)
_define_transfer("adjoint", "adjoint", "slate", 4, 99)
_define_transfer("least-squares", "least squares", "accent", 2, 5)


def _define_training(name: str, said: str, dash: str, place: int, learned: Callable[[Any], Any]) -> None:
    """The numbers of subjects trained through one network; NaN for a tied one."""
    line = Line("transfer", f"subjects trained, {said} network", "gold", dash, place)
    _number(f"embedding_only_{name}", line=line)(
        lambda portrait: learned(portrait).best if learned(portrait) else float("nan")
    )
    _number(f"embedding_only_{name}_steps")(
        lambda portrait: learned(portrait).steps_to(0.99) if learned(portrait) else float("nan")
    )


_define_training("trained", "this", "-", 0, lambda portrait: portrait.trained)
_define_training("random", "random", "--", 1, lambda portrait: portrait.untrained)

_number("map_cosine", line=Line("selector", "cosine between relations' maps", "warm", place=2))(
    lambda portrait: mean_between_relations(portrait.map_cosines)
)
_number("read_out_cosine", line=Line("selector", "the same at the read-out", "warm", "--", 3))(
    lambda portrait: mean_between_relations(portrait.read_out_cosines)
)
_number("constancy", line=Line("selector", "constancy of the maps", "gold", place=1))(
    lambda portrait: _mean(constancy(portrait.jacobians))
)
_number("participation_rank")(
    lambda portrait: _mean(participation_ranks(portrait.jacobians.means, portrait.unembedding))
)
_number("gate_variance_explained", line=Line("selector", "variance of gates by relation", "accent", place=4))(
    lambda portrait: gate_variance_explained(portrait.gate_rates)
)
_number("fixed_gates")(
    lambda portrait: fixed_gates(portrait.gate_rates) if portrait.gate_rates.size else float("nan")
)
_number("affine_surrogate", line=Line("selector", "recall, one affine map per relation", "slate", place=0))(
    lambda portrait: _mean(portrait.surrogate)
)
_number("swap_success")(lambda portrait: _at_gain_one(portrait.swaps, portrait.swaps.success))
_number("swap_retention")(lambda portrait: _at_gain_one(portrait.swaps, portrait.swaps.retention))
_number("swap_best")(lambda portrait: portrait.swaps.best)
