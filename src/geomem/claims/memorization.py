"""Claims: every model memorises the tiny graphs, down to the lowest loss (T1, T2, observation 3a)."""

from collections.abc import Callable, Sequence

import numpy as np

from geomem.claims.claim import Claim, Expected, Judgement, Quantity, judge_by_means, measure_quantity
from geomem.claims.evidence import (
    Evidence,
    FleetEvidence,
    excess_loss,
    final,
    first_step_memorized,
    imagine_fleets,
    memorized,
)
from geomem.claims.tiny_graphs import (
    GRAPHS,
    hold_somewhere,
    judge_deviation,
    list_means,
    measure_graphs,
    request_fleets,
)
from geomem.worlds.tasks import edge_examples

EVERY_GRAPH = tuple(GRAPHS)
SMALL = ("star", "grid", "cycle")
LOSS_TOLERANCE = 0.01
WIDE_CYCLE_TOLERANCE = 0.02
PUBLISHED_TOLERANCE = 0.003


def untrained(requests) -> Evidence:
    """Models that recall nothing."""
    return imagine_fleets(requests, "untrained")


def recovery(fleet: FleetEvidence) -> np.ndarray:
    """Top-d recovery after the last step, [run]."""
    return final(fleet, "associative_accuracy")


def recall_claim(
    what: str,
    *names: str,
    title: str,
    statement: str,
    conditions: str,
    place: str = "Figs 1 and 12 to 15, T1",
    aliases: tuple[str, ...] = (),
    every_seed: bool = False,
    group: str = "memorization",
) -> Claim:
    """That a family of models recalls every neighbour, on one seed in three at least or on most."""

    def judge(evidence: Evidence) -> Judgement:
        quantities: list[Quantity] = []
        for name in names:
            suffix = name.partition("-")[2] if len(names) > 1 else ""
            quantities += measure_graphs(
                evidence,
                name,
                f"top-d recovery{f' ({suffix})' if suffix else ''}",
                recovery,
                lambda values: values == 1.0,
            )
        least = min(quantities, key=lambda quantity: quantity.held_share)
        seeds = len(least.values)
        # `hold_somewhere` is the paper file's "on at least 1 of 3 seeds".
        holds = None if every_seed else hold_somewhere(quantities)
        complete = sum(int(quantity.held.sum()) for quantity in quantities if quantity.held is not None)
        return judge_by_means(
            *quantities,
            holds=holds,
            sentence=f"{complete} of {len(quantities) * seeds} runs recall every neighbour; the least "
            f"complete are those of {least.name.partition(', ')[2]}, {round(least.held_share * seeds)} of "
            f"{seeds} seeds.",
        )

    share = "most seeds" if every_seed else "at least one seed in three"
    return Claim(
        id=f"{group}/{what}",
        aliases=aliases,
        title=title,
        statement=statement,
        place=place,
        conditions=conditions,
        rule=f"On every graph {share} ends with all d neighbours of every node among its d best answers.",
        expected=(Expected(1.0, "release", "notebooks, B.3.1 to B.3.3", f"equal, on {share}"),),
        fleets=request_fleets(*names),
        judge=judge,
        wrong=untrained,
    )


def judge_top1(names: Sequence[str]) -> Callable[[Evidence], Judgement]:
    """That runs which recall everything reach the highest top-1 accuracy the facts allow."""

    def judge(evidence: Evidence) -> Judgement:
        quantities = []
        for name in names:
            for graph in EVERY_GRAPH:
                fleet = evidence[f"{name}/{graph}"]
                examples = edge_examples(fleet.request.world, fleet.request.task)
                highest = examples.example_count / examples.fact_count
                done = memorized(fleet)
                values = final(fleet, "top1_accuracy")[done]
                if len(values):
                    close = np.abs(values - highest) <= 1.001 / examples.fact_count
                    quantities.append(measure_quantity(f"top-1, {name}, {graph}", values, held=close))
        if not quantities:
            nothing = measure_quantity(
                "runs that recall everything", np.zeros(1), held=np.zeros(1, dtype=bool)
            )
            return judge_by_means(nothing, sentence="No run recalls everything.")
        wrong = sum(int((~quantity.held).sum()) for quantity in quantities if quantity.held is not None)
        total = sum(len(quantity.values) for quantity in quantities)
        return judge_by_means(
            *quantities,
            holds=wrong == 0,
            sentence=f"{total - wrong} of {total} runs that recall everything have the highest top-1 "
            "accuracy there can be, to one fact.",
        )

    return judge


def judge_loss(names: Sequence[str]) -> Callable[[Evidence], Judgement]:
    """That runs which recall everything end near the lowest possible loss."""

    def judge(evidence: Evidence) -> Judgement:
        quantities, missing = [], []
        for name in names:
            for graph in EVERY_GRAPH:
                fleet = evidence[f"{name}/{graph}"]
                allowed = WIDE_CYCLE_TOLERANCE if fleet.request.model.width == 512 else LOSS_TOLERANCE
                excess = excess_loss(fleet)[memorized(fleet)]
                if not len(excess):
                    missing.append(f"{name}/{graph}")
                    excess = excess_loss(fleet)
                title = "loss above floor" + (", self-edges" if name.endswith("-self") else "")
                quantities.append(measure_quantity(f"{title}, {graph}", excess, held=excess <= allowed))
        most = max(quantities, key=lambda quantity: float(np.median(quantity.values)))
        return judge_by_means(
            *quantities,
            holds=not missing and all(quantity.held_share >= 0.5 for quantity in quantities),
            sentence=f"The median run that recalls everything ends {np.median(most.values):.4f} nats above "
            f"the floor or less (most: {most.name})."
            + (f" No run recalls everything in {', '.join(missing)}." if missing else ""),
        )

    return judge


# Range of the final cross-entropy over the runs of E.2.1 that memorise, where its settings are ours.
PUBLISHED_LOSSES: dict[str, tuple[float, float]] = {
    "transformer/star": (0.6942, 0.6944),
    "transformer/grid": (1.1287, 1.1300),
    "transformer/cycle": (0.6936, 0.6949),
    "transformer-forward/star": (0.347, 0.348),
    "transformer-forward/grid": (0.520, 0.520),
    "transformer-forward/cycle": (0.0006, 0.0008),
    "bilinear/star": (0.6933, 0.6933),
    "bilinear/grid": (1.1271, 1.1271),
    "bilinear/irregular": (0.9370, 0.9370),
    "bilinear-self/star": (1.0848, 1.0848),
    "bilinear-self/grid": (1.4023, 1.4023),
    "bilinear-self/irregular": (1.265, 1.271),
    "associative-fast/star": (0.694, 0.695),
    "associative-fast/grid": (1.130, 1.132),
    "associative-fast/cycle": (0.694, 0.694),
    "associative-fast/irregular": (0.938, 0.939),
}


def request_published(scale):
    """Fleets of the published losses."""
    return tuple(
        request
        for key in PUBLISHED_LOSSES
        for request in request_fleets(key.partition("/")[0], graphs=(key.partition("/")[2],))(scale)
    )


def judge_published(evidence: Evidence) -> Judgement:
    """That mean losses agree with the ranges of E.2.1."""
    quantities = []
    for key, (low, high) in PUBLISHED_LOSSES.items():
        fleet = evidence[key]
        done = memorized(fleet)
        values = final(fleet, "loss")[done] if done.any() else final(fleet, "loss")
        near = low - PUBLISHED_TOLERANCE <= values.mean() <= high + PUBLISHED_TOLERANCE
        quantities.append(
            measure_quantity(f"loss, {key}", values, held=np.full(len(values), near & done.any()))
        )
    off = [quantity.name for quantity in quantities if quantity.held_share < 1]
    return judge_by_means(
        *quantities,
        holds=not off,
        sentence=f"{len(quantities) - len(off)} of {len(quantities)} mean losses of runs that recall "
        f"everything lie within {PUBLISHED_TOLERANCE} of the published ones"
        + (f"; not {', '.join(off)}." if off else "."),
    )


def judge_fragility(evidence: Evidence) -> Judgement:
    """That some, not all, runs of the Transformer fall short, and by little."""
    quantities = measure_graphs(
        evidence, "transformer", "top-d recovery", recovery, lambda values: values == 1.0
    )
    values = np.concatenate([quantity.values for quantity in quantities])
    short = int((values < 1).sum())
    shares = ", ".join(
        f"{int(quantity.held.sum())} of {len(quantity.values)} ({graph})"
        for quantity, graph in zip(quantities, EVERY_GRAPH, strict=True)
        if quantity.held is not None
    )
    return judge_deviation(
        *quantities,
        holds=short == 0,
        deviates=0 < short < len(values) and bool(values.min() >= 0.8),
        sentence=f"With the published budgets {short} of {len(values)} runs do not recall everything; the "
        f"least recalls {values.min():.0%}; complete are {shares}.",
    )


def judge_speed_up(evidence: Evidence) -> Judgement:
    """That self-edges make the Transformer memorise several times faster."""
    quantities = []
    for graph in SMALL:
        plain, with_self = evidence[f"transformer/{graph}"], evidence[f"transformer-self/{graph}"]
        # A run that never gets there counts as if it did at its last step: the ratio is then a lower bound.
        slow = np.minimum(first_step_memorized(plain), plain.request.training.steps)
        fast = np.minimum(first_step_memorized(with_self), with_self.request.training.steps)
        ratio = slow / np.maximum(fast, 1)
        quantities.append(measure_quantity(f"speed-up, {graph}", ratio, held=ratio >= 3))
    return judge_by_means(
        *quantities, sentence=f"Self-edges shorten memorisation by factors of {list_means(quantities, 1)}."
    )


FLOOR_EXPECTED = (
    Expected("floor + .0016 to .004", "release", "notebooks, B.3.1", "at most .01 above (wide cycle .02)"),
)
TRANSFORMERS = ("transformer", "transformer-forward", "transformer-self")
RECALLING = (
    *TRANSFORMERS,
    "bilinear",
    "bilinear-self",
    "associative",
    "associative-self",
    "associative-fast",
)

CLAIMS: tuple[Claim, ...] = (
    recall_claim(
        "transformer",
        "transformer",
        aliases=("T1",),
        title="The Transformer memorises every tiny graph",
        statement="A one-layer Transformer told single edges, in both directions, ends with every node's d "
        "neighbours in its top d answers.",
        conditions="1 layer, 1 head, width 32, AdamW, lr .01, cosine; 500, 500, 700, 2,500 steps",
    ),
    recall_claim(
        "transformer-variants",
        "transformer-forward",
        "transformer-self",
        title="So it does with forward edges only, and with self-edges",
        statement="The same with one direction of every edge, and with an edge from every node to itself.",
        conditions="as published: 200 to 2,000 steps, width 32 (48 on the irregular graph)",
        place="Fig 21, B.3.2 and B.3.3, T1",
        aliases=("T1-variants",),
    ),
    recall_claim(
        "bilinear",
        "bilinear",
        "bilinear-self",
        title="The bilinear network memorises every tiny graph",
        statement="The tiny network logits(u) = E (W e_u + b) memorises the graphs, with and without "
        "self-edges.",
        conditions="published widths, rates and steps; the cycle at width 512: first 500 of 10,000 steps "
        "(full: all)",
        aliases=("T1-bilinear",),
    ),
    recall_claim(
        "associative",
        "associative-fast",
        title="Frozen random embeddings hold the same graphs",
        statement="With embeddings frozen as drawn, so that only an associative memory is possible, the same "
        "graphs are fitted (observation 3a, against hypothesis 3a).",
        conditions="width 512, lr .1 constant, 10 steps of AdamW",
        place="Obs 3a; Fig 1 left, Figs 12 to 15; Refutation 3b of v2",
        aliases=("obs-3a", "T1-associative"),
        every_seed=True,
    ),
    recall_claim(
        "associative-narrow",
        "associative",
        "associative-self",
        title="So they do at the notebooks' small widths",
        statement="The release's associative controls of width 15 to 64 reach 100 % within their printed "
        "epochs.",
        conditions="widths 15 to 64, lr .2 to 15, 200 to 5,000 steps",
        place="B.3.1, B.3.3, T1",
        aliases=("T1-narrow",),
    ),
    recall_claim(
        "frozen-transformer",
        "transformer-frozen",
        title="A Transformer with frozen embeddings holds them too",
        statement="The very architecture that develops a geometry can do without: frozen token embeddings "
        "and positions still fit every graph (observation 3a).",
        conditions="width 32, AdamW, lr .01, cosine, 2,000 steps (the paper's budget is unknown)",
        place="Obs 3a; observation 5, point 3",
        aliases=("obs-3a-transformer",),
    ),
    Claim(
        id="memorization/top1-ceiling",
        aliases=("T1-top1",),
        title="Top-1 accuracy is the highest there can be",
        statement="A node with several neighbours can be right about one: top-1 of a memorised graph is "
        "sources over facts, 53.12, 33.33, 50 and 40 % in both directions.",
        place="B.3.1 to B.3.3, T1",
        conditions="all Transformer, bilinear and associative settings; runs that recall everything",
        rule="Every run that recalls everything has that top-1 accuracy, to one fact.",
        expected=(
            Expected(0.5312, "release", "B.3.1", "one fact", "top-1, transformer, star"),
            Expected(0.3333, "release", "B.3.1", "one fact", "top-1, transformer, grid"),
            Expected(0.5, "release", "B.3.1", "one fact", "top-1, transformer, cycle"),
            Expected(0.4, "release", "B.3.1", "one fact", "top-1, transformer, irregular"),
            Expected(
                17 / 49, "derived", "B.3.3, note on the star", "one fact", "top-1, transformer-self, star"
            ),
        ),
        fleets=request_fleets(*RECALLING),
        judge=judge_top1(RECALLING),
        wrong=untrained,
    ),
    Claim(
        id="memorization/transformer-loss",
        aliases=("T2",),
        title="The Transformer's loss ends at the floor",
        statement="The final cross-entropy is within a few thousandths of the entropy of the targets.",
        place="B.3.1 and B.3.3, T2",
        conditions="published settings, both directions and self-edges; runs that recall everything",
        rule="On every graph the median run that recalls everything ends at most .01 nats above the floor.",
        expected=FLOOR_EXPECTED,
        fleets=request_fleets("transformer", "transformer-self"),
        judge=judge_loss(("transformer", "transformer-self")),
        wrong=untrained,
    ),
    Claim(
        id="memorization/bilinear-loss",
        aliases=("T2-bilinear",),
        title="The bilinear network's loss ends at the floor",
        statement="The final cross-entropy is within a few thousandths of the entropy of the targets.",
        place="B.3.1 and B.3.3, T2",
        conditions="published settings; the cycle: first 500 of 10,000 steps (full: all)",
        rule="On every graph the median run ends at most .01 nats above the floor, on the wide cycle .02.",
        expected=FLOOR_EXPECTED,
        fleets=request_fleets("bilinear", "bilinear-self"),
        judge=judge_loss(("bilinear", "bilinear-self")),
        wrong=untrained,
    ),
    Claim(
        id="memorization/published-losses",
        aliases=("E.2.1",),
        title="Losses agree with the published re-run to .003",
        statement="Where settings are equal, runs that memorise end at the cross-entropy of the three-seed "
        "float32 re-run of the release's models.",
        place="E.2.1",
        conditions="16 settings: all that E.2.1 and we share, but for the Transformer with self-edges (its "
        "runs scatter by .14) and on the irregular graph (none memorises there)",
        rule="The mean loss of runs that recall everything is within .003 of the published range, in every "
        "setting.",
        expected=tuple(
            Expected(
                round((low + high) / 2, 5),
                "own measurement",
                "E.2.1",
                f"{low} to {high}, ± .003",
                f"loss, {key}",
            )
            for key, (low, high) in PUBLISHED_LOSSES.items()
        ),
        fleets=request_published,
        judge=judge_published,
        wrong=untrained,
    ),
    Claim(
        id="memorization/every-seed",
        aliases=("T1-fragile",),
        title="Not every seed of the Transformer gets there",
        statement="All runs reach top-d recovery of 100 % within the printed epochs.",
        place="B.3, heading of the tables; E.2.1 (ii)",
        conditions="Transformer, both directions, four graphs, published epochs",
        rule="Deviates if some runs, not all, miss 100 %, and none recalls less than 80 %.",
        expected=(
            Expected(1.0, "release", "B.3 (one seed)", "every seed"),
            Expected(
                "1 of 3 seeds on star and grid, 3 of 3 on irregular miss", "own measurement", "E.2.1", "some"
            ),
        ),
        deviation="The Transformer is fragile in the seed: within the published epochs some runs stop a few "
        "neighbours short.",
        fleets=request_fleets("transformer"),
        judge=judge_fragility,
        wrong=lambda requests: imagine_fleets(requests, "geometric"),
    ),
    Claim(
        id="memorization/self-edges-speed",
        title="Self-edges make memorisation several times faster",
        statement="With an edge from every node to itself the Transformer recalls everything 3 to 10 times "
        "sooner.",
        place="E.2.1 (iii)",
        conditions="Transformer, width 32, lr .01; star, grid, cycle; recall looked at every 5 steps",
        rule="On every graph most seeds need at least 3 times fewer steps.",
        expected=(Expected("3 to 10", "own measurement", "E.2.1 (iii)", "at least 3"),),
        fleets=request_fleets("transformer", "transformer-self", graphs=SMALL),
        judge=judge_speed_up,
        wrong=lambda requests: imagine_fleets(requests, "geometric", memorized_at=100),
    ),
)
"""In the order of the tables."""
