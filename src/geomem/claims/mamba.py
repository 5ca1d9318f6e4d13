"""Claims: the tiny Mamba beside the Transformer (observations 3a, 3b and 5)."""

import numpy as np

from geomem.claims.chance import contrast, structured
from geomem.claims.claim import Claim, Expected, Judgement, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence, first_step_memorized, imagine_fleets, shells
from geomem.claims.memorization import recall_claim
from geomem.claims.tiny_graphs import GRAPHS, list_means, measure_graphs, mix_evidence, request_fleets

CONDITIONS = (
    "1 layer, width 32, state 8, convolution 4, expansion 2, no residual; AdamW, lr .01, cosine, 500 steps"
)


def judge_structure(evidence: Evidence) -> Judgement:
    """That Mamba's embeddings know the graph's distances."""
    quantities = [
        measure_quantity(
            f"contrast, {graph}",
            contrast(evidence[f"mamba/{graph}"]),
            held=structured(evidence[f"mamba/{graph}"]),
        )
        for graph in GRAPHS
    ]
    return judge_by_means(
        *quantities,
        sentence="The mean centred cosine at distance 1 or 2 leaves that over all pairs by "
        f"{list_means(quantities)}, more than under permuted nodes.",
    )


def judge_sooner(evidence: Evidence) -> Judgement:
    """That Mamba recalls everything sooner than the Transformer."""
    quantities = []
    for graph in GRAPHS:
        transformer = evidence[f"transformer/{graph}"]
        # A run that never gets there counts as if it did at its last step.
        slow = np.minimum(first_step_memorized(transformer), transformer.request.training.steps).mean()
        steps = first_step_memorized(evidence[f"mamba/{graph}"])
        quantities.append(measure_quantity(f"Mamba's steps, {graph}", steps, held=steps < slow))
        quantities.append(
            measure_quantity(
                f"Transformer's steps, {graph}",
                np.minimum(first_step_memorized(transformer), transformer.request.training.steps),
            )
        )
    return judge_by_means(
        *quantities,
        sentence=f"Mamba recalls everything after {list_means(quantities[0::2], 0)} steps, the Transformer "
        f"after {list_means(quantities[1::2], 0)} or later.",
    )


def judge_alike(evidence: Evidence) -> Judgement:
    """That both architectures end with second neighbours more alike than neighbours."""

    def second_minus_first(fleet) -> np.ndarray:
        means = shells(fleet)
        return means[:, 1] - means[:, 0]

    mamba = measure_graphs(evidence, "mamba", "Mamba, s2 - s1", second_minus_first, lambda gap: gap > 0)
    transformer = measure_graphs(
        evidence, "transformer", "Transformer, s2 - s1", second_minus_first, lambda gap: gap > 0
    )
    return judge_by_means(
        *mamba,
        *transformer,
        sentence=f"Second neighbours are more alike than neighbours in Mamba by {list_means(mamba)}, in the "
        f"Transformer by {list_means(transformer)}.",
    )


def imagine_slow(requests) -> Evidence:
    """A Mamba that recalls nothing beside a Transformer that recalls at once."""
    return mix_evidence(
        imagine_fleets([request for request in requests if "mamba" in request.key], "untrained"),
        imagine_fleets([request for request in requests if "mamba" not in request.key], "associative"),
    )


CLAIMS: tuple[Claim, ...] = (
    recall_claim(
        "memorizes",
        "mamba",
        aliases=("T1-mamba",),
        title="The tiny Mamba memorises every tiny graph",
        statement="So does a one-layer selective state space model.",
        conditions=CONDITIONS,
        place="Figs 12 to 15, T1",
        group="mamba",
    ),
    Claim(
        id="mamba/geometry-from-edges",
        title="Its embeddings know the graph from edges alone",
        statement="Geometry appears in every architecture from edges only, Mamba included (observation 5, "
        "point 1).",
        place="Obs 3b and Obs 5; Figs 12 to 15",
        conditions=CONDITIONS,
        rule="On every graph the final cosines by distance differ from permuted nodes (p at most .05, "
        "contrast at least .1) on most seeds.",
        expected=(Expected("above chance", "paper", "Obs 5", "p at most .05"),),
        fleets=request_fleets("mamba"),
        judge=judge_structure,
        wrong=lambda requests: imagine_fleets(requests, "associative"),
    ),
    Claim(
        id="mamba/beside-transformer",
        title="Both end in the same zig-zag",
        statement="The architectures agree in the kind of geometry they reach on the tiny graphs "
        "(observation 5).",
        place="Obs 5; Figs 12 to 15; B.3.5 for the Transformer",
        conditions=f"Mamba: {CONDITIONS}; Transformer as published",
        rule="On every graph second neighbours end more alike than neighbours on most seeds of both.",
        expected=(Expected("the same kind", "paper", "Obs 5", "sign"),),
        fleets=request_fleets("mamba", "transformer"),
        judge=judge_alike,
        wrong=lambda requests: imagine_fleets(requests, "geometric"),
    ),
    Claim(
        id="mamba/sooner",
        title="Mamba memorises sooner than the Transformer",
        statement="No statement of the paper: our measurement beside it, since the release's epochs are the "
        "same for both.",
        place="none; beside Figs 12 to 15",
        conditions=f"Mamba: {CONDITIONS}; Transformer as published; recall looked at every 5 steps",
        rule="On every graph most seeds of Mamba need fewer steps than the Transformer's mean.",
        expected=(Expected("fewer steps", "own measurement", "docs/claims/mamba.md", "direction"),),
        fleets=request_fleets("mamba", "transformer"),
        judge=judge_sooner,
        wrong=imagine_slow,
    ),
)
"""In the order of the tables."""
