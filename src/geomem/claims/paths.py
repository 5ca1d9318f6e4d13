"""Claims: path finding with the facts held in the weights, on a laptop's path-star (L1 to L9)."""

from dataclasses import replace

from geomem.claims.claim import Claim, Expected, Judgement, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence
from geomem.claims.path_runs import (
    PathSetting,
    draw_curves,
    epochs_to,
    imagine_paths,
    judge_reach,
    last,
    measure_last,
    peak,
    rank_correlation,
    request_paths,
)
from geomem.models.configuration import Mamba, Transformer
from geomem.training.configuration import PathTraining
from geomem.worlds.path_finding import PathFinding

ARMS, LENGTH, EPOCHS = 250, 4, 64
EXACT, FIRST_HOP = "held_out.exact_match", "held_out.first_hop"
PLACES = tuple(range(2, LENGTH + 1))
"""Places in the answer behind the root, which is the same for all: first hop to leaf."""

NEAR_CHANCE = 0.05
"""At most so many of the held-out paths count as a failure: 3 of 62, where chance is 1 in 250."""

BASE = PathSetting(
    Transformer(layers=2, width=64, heads=4, position_scale=0.02),
    # All epochs are trained, so that two settings differ in nothing but what the claim is about.
    PathTraining(epochs=EPOCHS, learning_rate=2e-3, weight_decay=0.1, stop_at=0.0, metric_every=2),
    PathFinding(edge_weight=5.0),
    ARMS,
    LENGTH,
    seconds=8.0,
)
MAMBA = replace(
    BASE,
    model=Mamba(layers=2, width=64, state_size=16),
    training=replace(BASE.training, epochs=2 * EPOCHS),
    seconds=50.0,
)
# With frozen embeddings a weight decay of .1 keeps the model from recalling the edges at all: with them from
# N(0, .02²) or N(0, 1) it ended at .16 of them.
WEAK_DECAY = replace(BASE.training, epochs=2 * EPOCHS, learning_rate=5e-3, weight_decay=0.01)
EDGES = PathFinding(edge_weight=5.0, path_weight=0.0)

SETTINGS: dict[str, PathSetting] = {
    "base": BASE,
    "mamba": MAMBA,
    "first-hop": replace(
        BASE, task=replace(BASE.task, target="first-hop"), training=replace(BASE.training, epochs=2 * EPOCHS)
    ),
    "edges-only": replace(BASE, task=EDGES),
    "edges-only-mamba": replace(MAMBA, task=EDGES),
    "frozen": replace(BASE, model=replace(BASE.model, frozen_embeddings=True), training=WEAK_DECAY),
    "trained": replace(BASE, training=WEAK_DECAY),
}
"""How each training of this group's first half is done, by its key."""

CONDITIONS = (
    f"path-star of {ARMS} arms of {LENGTH} nodes, 62 leaves held out; Transformer of 2 layers, width 64, 4 "
    "heads; AdamW, lr .002, cosine, weight decay .1; 8 batches an epoch, edges (weight 5) and paths mixed, 3 "
    f"pauses, {EPOCHS} epochs"
)
MAMBA_CONDITIONS = f"as paths/plans, but Mamba of 2 layers, width 64, state 16, and {2 * EPOCHS} epochs"


def judge_order(evidence: Evidence) -> Judgement:
    """That the tokens of a path are not learned from the leaf to the root."""
    import numpy as np

    reached = np.stack(
        [epochs_to(evidence, "base", f"held_out.token_{place}", 0.5) for place in PLACES], axis=1
    )
    forced = np.stack(
        [epochs_to(evidence, "base", f"held_out.forced_token_{place}", 0.5) for place in PLACES], axis=1
    )
    order = rank_correlation(reached)
    behind = reached[:, 0] - reached[:, 1:].max(axis=1)
    later = behind <= EPOCHS / 8
    return judge_by_means(
        measure_quantity("order of tokens", order, held=(order > -0.9) | (np.ptp(reached, axis=1) <= 2)),
        measure_quantity("epochs the first hop is behind", behind, held=later),
        *(measure_quantity(f"epoch of one half, token {place}", reached[:, place - 2]) for place in PLACES),
        *(
            measure_quantity(f"the same given the path so far, token {place}", forced[:, place - 2])
            for place in PLACES
        ),
        sentence="Spearman's correlation of place and epoch is {mean:.2f} ({low:.2f} to {high:.2f}); the "
        f"first hop comes {behind.mean():.1f} epochs after the last of the other tokens.",
        picture=draw_curves(evidence, {"base": "base"}, FIRST_HOP, title="first hop"),
    )


def judge_edges_geometry(evidence: Evidence) -> Judgement:
    """That edges alone bring a leaf near to its first hop, in Mamba more than in the Transformer."""
    chance = 1 / round(ARMS / 4)
    transformer = measure_last(
        evidence, "edges-only", "retrieval", "retrieval, Transformer", holds=lambda found: found > 10 * chance
    )
    mamba = measure_last(
        evidence,
        "edges-only-mamba",
        "retrieval",
        "retrieval, Mamba",
        holds=lambda found: found > transformer.mean,
    )
    both = measure_last(evidence, "base", "retrieval", "retrieval, Transformer with paths")
    return judge_by_means(
        transformer,
        mamba,
        both,
        sentence="From edges alone a held-out leaf's nearest first hop is its own in {mean:.2f} ({low:.2f} "
        f"to {{high:.2f}}) of the arms in the Transformer, {mamba.mean:.2f} in Mamba; with paths in the "
        f"Transformer {both.mean:.2f}.",
        picture=draw_curves(
            evidence,
            {"Transformer": "edges-only", "Mamba": "edges-only-mamba", "Transformer with paths": "base"},
            "retrieval",
            title="retrieval of the first hop",
        ),
    )


def judge_paths_apart(evidence: Evidence) -> Judgement:
    """That after edges alone nodes of one path are no nearer than nodes of two, in the Transformer."""
    gaps = {
        key: last(evidence, key, "path_other") - last(evidence, key, "path_own")
        for key in ("edges-only", "base")
    }
    alone = measure_quantity(
        "cosine distance across less within paths, edges only",
        gaps["edges-only"],
        held=abs(gaps["edges-only"]) <= 0.1,
    )
    return judge_by_means(
        alone,
        measure_quantity("the same with paths", gaps["base"]),
        sentence="From edges alone nodes of two paths are {mean:.2f} ({low:.2f} to {high:.2f}) further apart "
        f"than those of one, with paths {gaps['base'].mean():.2f}.",
    )


def judge_frozen(evidence: Evidence) -> Judgement:
    """That with frozen embeddings the edges are memorised and the path task is not learned."""
    hop = measure_last(evidence, "frozen", FIRST_HOP, "first hop", holds=lambda shares: shares <= 5 / ARMS)
    edges = measure_last(evidence, "frozen", "edge_recall", "edges", holds=lambda shares: shares >= 0.95)
    trained = measure_last(
        evidence, "trained", FIRST_HOP, "first hop, trained embeddings", holds=lambda shares: shares >= 0.5
    )
    highest = measure_quantity("highest first hop", peak(evidence, "frozen", FIRST_HOP))
    return judge_by_means(
        hop,
        edges,
        trained,
        highest,
        measure_last(evidence, "frozen", "train.first_hop", "first hop, training paths"),
        sentence="With frozen embeddings the first hop ends at {mean:.3f} ({low:.3f} to {high:.3f}), having "
        f"been {highest.mean:.3f} at best, with {edges.mean:.2f} of the edges recalled; with trained ones at "
        f"{trained.mean:.2f}.",
        picture=draw_curves(
            evidence, {"frozen": "frozen", "trained": "trained"}, FIRST_HOP, title="first hop"
        ),
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="paths/plans",
        aliases=("L1",),
        title="A Transformer plans over facts held in its weights",
        statement="Trained on edges and three quarters of the paths of a path-star, a Transformer names "
        "whole paths to leaves it never saw in a path.",
        place="Obs 1a; Fig 4 left; E.1, L1",
        conditions=CONDITIONS,
        rule="The exact match on held-out leaves ends at .9 or more on most seeds, the threshold that E.1 "
        "has for the paper's own sizes (paths/plans-at-scale).",
        expected=(Expected("about 1", "paper", "Fig 4, E.1, L1", "at least .9", "exact match"),),
        experiments=request_paths(SETTINGS, "base"),
        judge=judge_reach("base", EXACT, 0.9, what="exact match"),
        wrong=lambda requests: imagine_paths({"base": {EXACT: 0.5}}),
    ),
    Claim(
        id="paths/mamba-plans",
        aliases=("L3",),
        title="So does Mamba",
        statement="A selective state space model finds paths to held-out leaves as well.",
        place="Obs 1a; Fig 8 left; E.1, L3",
        conditions=MAMBA_CONDITIONS,
        rule="The exact match on held-out leaves ends at .5 or more on most seeds, as E.1 asks at scale.",
        expected=(Expected("high", "paper", "Fig 8, E.1, L3", "at least .5", "exact match"),),
        experiments=request_paths(SETTINGS, "mamba"),
        judge=judge_reach("mamba", EXACT, 0.5, what="exact match"),
        wrong=lambda requests: imagine_paths({"mamba": {EXACT: 0.1}}),
    ),
    Claim(
        id="paths/first-hop-alone",
        aliases=("L4",),
        title="The first hop is learned in isolation",
        statement="Asked for the first hop alone, with no other token of the path in the loss, the model "
        "finds it for held-out leaves: the hardest token needs none of the later ones.",
        place="Obs 1c; Fig 4 right; E.1, L4",
        conditions=f"as paths/plans, but the first hop is the only target, and {2 * EPOCHS} epochs",
        rule="The first hop on held-out leaves ends at .5 or more on most seeds, as E.1 asks at scale.",
        expected=(Expected("about 1", "paper", "Fig 4, E.1, L4", "at least .5", "first hop"),),
        experiments=request_paths(SETTINGS, "first-hop"),
        judge=judge_reach("first-hop", FIRST_HOP, 0.5, what="first hop"),
        wrong=lambda requests: imagine_paths({"first-hop": {FIRST_HOP: 1 / ARMS}}),
    ),
    Claim(
        id="paths/no-cascade",
        aliases=("L5",),
        title="The tokens of a path rise together",
        statement="There is no cascade from the leaf to the root: the tokens of a path are learned in no "
        "particular order.",
        place="Obs 1b; Figs 4 mid and 24b; E.1, L5",
        conditions=f"{CONDITIONS}; greedy answers, looked at every 2 epochs",
        rule="On most seeds the epochs at which the tokens behind the root pass one half do not fall with "
        "their place (Spearman above -.9, or all within one look), and the first hop is at most 8 epochs "
        "behind the others.",
        expected=(
            Expected("no order", "paper", "Obs 1b, E.1, L5", "above -.9", "order of tokens"),
            Expected("in tandem", "paper", "Fig 24, E.1, L5", "at most 8", "epochs the first hop is behind"),
        ),
        experiments=request_paths(SETTINGS, "base"),
        judge=judge_order,
        wrong=lambda requests: imagine_paths(
            {
                "base": {
                    FIRST_HOP: [0, 0, 0, 0, 1],
                    **{
                        f"held_out.{kind}_{place}": [0, *(float(5 - place <= row) for row in (1, 2, 3)), 1]
                        for place in PLACES
                        for kind in ("token", "forced_token")
                    },
                }
            }
        ),
    ),
    Claim(
        id="paths/leaf-near-first-hop",
        aliases=("L6",),
        title="A leaf lies near its first hop",
        statement="After training on edges and paths the leaf of a held-out path is nearest to the first hop "
        "of its own arm.",
        place="Obs 2; Figs 6a and 16a; E.1, L6",
        conditions=CONDITIONS,
        rule="On most seeds the nearest held-out first hop by cosine is its own for .5 or more of the "
        "held-out leaves.",
        expected=(Expected("a dark diagonal", "paper", "Fig 6, E.1, L6", "at least .5", "retrieval"),),
        experiments=request_paths(SETTINGS, "base"),
        judge=judge_reach("base", "retrieval", 0.5, what="retrieval"),
        wrong=lambda requests: imagine_paths({"base": {"retrieval": 1 / 62}}),
    ),
    Claim(
        id="paths/edges-alone",
        aliases=("L7",),
        title="Edges alone bring leaf and first hop together, in Mamba more so",
        statement="Without a single path the diagonal is there: weaker in the Transformer, much stronger in "
        "Mamba.",
        place="Obs 3b; Figs 6c, 9c and 16c; E.1, L7",
        conditions=f"as paths/plans and paths/mamba-plans, trained on edges only; {MAMBA_CONDITIONS}",
        rule="On most seeds the Transformer's retrieval is above 10 times chance (1 in 62), and Mamba's "
        "above the Transformer's mean.",
        expected=(
            Expected("above chance", "paper", "Fig 16, E.1, L7", "above .16", "retrieval, Transformer"),
            Expected("stronger", "paper", "Fig 9, E.1, L7", "above the Transformer's", "retrieval, Mamba"),
        ),
        experiments=request_paths(SETTINGS, "edges-only", "edges-only-mamba", "base"),
        judge=judge_edges_geometry,
        wrong=lambda requests: imagine_paths(
            {
                "edges-only": {"retrieval": 0.05},
                "edges-only-mamba": {"retrieval": 0.9},
                "base": {"retrieval": 1.0},
            }
        ),
    ),
    Claim(
        id="paths/edges-alone-paths",
        aliases=("L8",),
        title="Edges alone do not gather a Transformer's paths",
        statement="In the heatmap of path by path an edges-only Transformer shows no diagonal.",
        place="Fig 17; E.1, L8",
        conditions="as paths/plans, trained on edges only",
        rule="On most seeds the mean cosine distance across held-out paths differs from that within them by "
        "at most .1.",
        expected=(
            Expected(
                "no diagonal",
                "paper",
                "Fig 17, E.1, L8",
                "at most .1",
                "cosine distance across less within paths, edges only",
            ),
        ),
        experiments=request_paths(SETTINGS, "edges-only", "base"),
        judge=judge_paths_apart,
        wrong=lambda requests: imagine_paths(
            {"edges-only": {"path_own": 0.4, "path_other": 1.0}, "base": {"path_own": 0.3, "path_other": 1.0}}
        ),
    ),
    Claim(
        id="paths/frozen",
        aliases=("L9",),
        title="Frozen embeddings memorise the edges and never plan",
        statement="With embeddings that are not trained, which leaves only an associative memory, the edges "
        "are fitted and the path task stays at chance.",
        place="Appendix E.1 of the paper; B.1; E.1, L9",
        conditions=f"as paths/plans, but lr .005, weight decay .01 and {2 * EPOCHS} epochs, with embeddings "
        "that are not trained and beside it with ones that are",
        rule=f"On most seeds the first hop on held-out leaves ends at 5/{ARMS} or less, with .95 or more of "
        "the edges recalled; and, stricter than E.1, at .5 or more with trained embeddings in the same "
        "settings.",
        expected=(
            Expected("baseline", "paper", "B.1, E.1, L9", "at most .02", "first hop"),
            Expected("memorised", "paper", "E.1, L9", "at least .95", "edges"),
        ),
        experiments=request_paths(SETTINGS, "frozen", "trained"),
        judge=judge_frozen,
        wrong=lambda requests: imagine_paths(
            {
                "frozen": {FIRST_HOP: 0.6, "edge_recall": 1.0, "train.first_hop": 1.0},
                "trained": {FIRST_HOP: 0.9},
            }
        ),
    ),
)
"""In the order of table E.1."""
