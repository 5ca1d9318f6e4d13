"""Claims: the controls of path finding on a laptop's path-star (L10 to L15, self-edges, untied read-out)."""

from dataclasses import replace

import numpy as np

from geomem.claims.claim import Claim, Expected, Judgement, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence
from geomem.claims.path_runs import (
    PathSetting,
    area,
    draw_curves,
    epochs_to,
    imagine_paths,
    judge_reach,
    measure_last,
    peak,
    rank_correlation,
    request_paths,
)
from geomem.claims.paths import ARMS, BASE, CONDITIONS, EDGES, EPOCHS, EXACT, FIRST_HOP, LENGTH, NEAR_CHANCE

PAUSES = (0, 2, 4, 6, 10)
TREE_ARMS = 125
TREE_LEAVES = 4 * TREE_ARMS


def changed(**options: object) -> PathSetting:
    """The base setting with other options of the task.

    >>> changed(pauses=10).task.pauses
    10
    """
    return replace(BASE, task=replace(BASE.task, **options))


TREE = replace(BASE, family="tree-star", arms=TREE_ARMS, seconds=12.0)

SETTINGS: dict[str, PathSetting] = {
    "base": BASE,
    "forward": changed(directions="forward"),
    "forward-reverse": changed(directions="forward", target="reverse"),
    "backward": changed(directions="reverse"),
    "backward-reverse": changed(directions="reverse", target="reverse"),
    "backward-reverse-self": changed(directions="reverse", target="reverse", self_edges=True),
    "reverse": changed(target="reverse"),
    **{f"pauses-{count}": changed(pauses=count) for count in PAUSES},
    # The paper's second stage has a 200th of the first one's learning rate; here a quarter, for few epochs.
    "staged": replace(
        BASE,
        task=replace(BASE.task, target="first-hop", edge_weight=0.0, path_weight=1.0),
        training=replace(BASE.training, learning_rate=5e-4, metric_every=1),
        start=replace(BASE, task=EDGES),
    ),
    "tree-leaf": TREE,
    "tree-first-hop": replace(TREE, task=replace(TREE.task, split="first-hop")),
    "self-edges": changed(self_edges=True),
    "untied": replace(BASE, model=replace(BASE.model, tied=False)),
}
"""How each training of this group's second half is done, by its key."""


def judge_forward(evidence: Evidence) -> Judgement:
    """That forward edges alone are not enough for either order of the path."""
    quantities = [
        measure_last(
            evidence, key, EXACT, f"exact match, {title}", holds=lambda shares: shares <= NEAR_CHANCE
        )
        for key, title in (("forward", "path"), ("forward-reverse", "reversed path"))
    ]
    return judge_by_means(
        *quantities,
        sentence="With forward edges only the path ends at an exact match of {mean:.2f} ({low:.2f} to "
        f"{{high:.2f}}), the reversed path at {quantities[1].mean:.2f}.",
        picture=draw_curves(
            evidence, {"path": "forward", "reversed path": "forward-reverse"}, EXACT, title="exact match"
        ),
    )


def judge_backward(evidence: Evidence) -> Judgement:
    """That backward edges alone give the reversed path and not the path."""
    backward = measure_last(
        evidence, "backward-reverse", EXACT, "exact match, reversed path", holds=lambda shares: shares >= 0.5
    )
    forward = measure_last(
        evidence, "backward", EXACT, "exact match, path", holds=lambda shares: shares <= NEAR_CHANCE
    )
    return judge_by_means(
        backward,
        forward,
        measure_last(evidence, "backward", FIRST_HOP, "first hop, path"),
        measure_last(evidence, "backward-reverse", "held_out.forced_token_1", "leaf, reversed path"),
        measure_last(
            evidence, "backward-reverse", "held_out.forced_token_2", "node after it, given the leaf"
        ),
        sentence="With backward edges only the reversed path ends at an exact match of {mean:.2f} ({low:.2f} "
        f"to {{high:.2f}}), the path at {forward.mean:.2f}.",
        picture=draw_curves(
            evidence, {"path": "backward", "reversed path": "backward-reverse"}, EXACT, title="exact match"
        ),
    )


def judge_reverse(evidence: Evidence) -> Judgement:
    """That the reversed path is learned sooner than the path, and as well."""
    slow, fast = (epochs_to(evidence, key, EXACT, 0.9) for key in ("base", "reverse"))
    return judge_by_means(
        measure_quantity("epochs to .9, reversed path", fast, held=fast < slow),
        measure_quantity("epochs to .9, path", slow),
        measure_last(
            evidence, "reverse", EXACT, "exact match, reversed path", holds=lambda shares: shares >= 0.95
        ),
        sentence="The reversed path passes an exact match of .9 after {mean:.0f} ({low:.0f} to {high:.0f}) "
        f"epochs, the path after {slow.mean():.0f} or never.",
        picture=draw_curves(
            evidence, {"path": "base", "reversed path": "reverse"}, EXACT, title="exact match"
        ),
    )


def judge_pauses(evidence: Evidence) -> Judgement:
    """That more pauses before the answer make the path come sooner."""
    areas = np.stack([area(evidence, f"pauses-{count}", EXACT) for count in PAUSES], axis=1)
    order = rank_correlation(areas)
    return judge_by_means(
        measure_quantity("order of pauses", order, held=order >= 0.6),
        *(
            measure_quantity(f"mean exact match in training, {count} pauses", areas[:, place])
            for place, count in enumerate(PAUSES)
        ),
        sentence="Spearman's correlation of the number of pauses with the mean exact match in training is "
        "{mean:.2f} ({low:.2f} to {high:.2f}); means are "
        + ", ".join(f"{mean:.2f}" for mean in areas.mean(axis=0))
        + ".",
        picture=draw_curves(
            evidence, {f"{count} pauses": f"pauses-{count}" for count in PAUSES}, EXACT, title="exact match"
        ),
    )


def judge_staged(evidence: Evidence) -> Judgement:
    """That after edges alone the first hop comes for a moment and goes."""
    highest = peak(evidence, "staged", FIRST_HOP)
    end = measure_last(
        evidence, "staged", FIRST_HOP, "last first hop", holds=lambda shares: shares <= highest / 2
    )
    when = np.argmax(evidence.arrays[f"staged.{FIRST_HOP}"], axis=1)
    return judge_by_means(
        measure_quantity("highest first hop", highest, held=highest >= 10 / ARMS),
        end,
        measure_quantity("its epoch", evidence.arrays["staged.epochs"][when]),
        sentence="After edges alone, training on the first hop alone brings it to {mean:.2f} ({low:.2f} to "
        f"{{high:.2f}}) at best, and to {end.mean:.2f} in the end.",
        picture=draw_curves(evidence, {"staged": "staged"}, FIRST_HOP, title="first hop"),
    )


def judge_tree(evidence: Evidence) -> Judgement:
    """That leaves of known subtrees are found more often than leaves of subtrees that are new."""
    leaf = measure_last(
        evidence,
        "tree-leaf",
        EXACT,
        "exact match, leaves held out",
        holds=lambda shares: shares > 1 / TREE_LEAVES,
    )
    subtree = measure_last(
        evidence,
        "tree-first-hop",
        EXACT,
        "exact match, subtrees held out",
        holds=lambda shares: (shares > 1 / TREE_LEAVES) & (shares <= leaf.mean / 2),
    )
    return judge_by_means(
        leaf,
        subtree,
        sentence="On the tree-star the exact match ends at {mean:.2f} ({low:.2f} to {high:.2f}) with single "
        f"leaves held out and at {subtree.mean:.2f} with whole subtrees held out.",
        picture=draw_curves(
            evidence,
            {"leaves held out": "tree-leaf", "subtrees held out": "tree-first-hop"},
            EXACT,
            title="exact match",
        ),
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="paths/forward-edges",
        aliases=("L10",),
        title="Forward edges alone are not enough",
        statement="With edges directed away from the root only, neither the path nor the reversed path is "
        "found.",
        place="Obs 6; Fig 19; E.1, L10",
        conditions=f"{CONDITIONS}; edges away from the root only",
        rule=f"On most seeds the exact match ends at {NEAR_CHANCE} or less for both orders (E.1: at chance).",
        expected=(Expected("failure", "paper", "Fig 19, E.1, L10", "at most .05"),),
        experiments=request_paths(SETTINGS, "forward", "forward-reverse"),
        judge=judge_forward,
        wrong=lambda requests: imagine_paths({"forward": {EXACT: 0.0}, "forward-reverse": {EXACT: 0.9}}),
    ),
    Claim(
        id="paths/backward-edges",
        aliases=("L11",),
        title="Backward edges alone give the reversed path only",
        statement="With edges directed to the root only, the reversed path is found on smaller graphs and "
        "the path is not.",
        place="Obs 6; Fig 19; E.1, L11",
        conditions=f"{CONDITIONS}; edges towards the root only",
        rule=f"On most seeds the reversed path ends at .5 or more and the path at {NEAR_CHANCE} or less.",
        expected=(
            Expected("high", "paper", "Fig 19, E.1, L11", "at least .5", "exact match, reversed path"),
            Expected("failure", "paper", "Fig 19, E.1, L11", "at most .05", "exact match, path"),
        ),
        experiments=request_paths(SETTINGS, "backward", "backward-reverse"),
        judge=judge_backward,
        wrong=lambda requests: imagine_paths(
            {
                "backward": {EXACT: 0.8, FIRST_HOP: 0.8},
                "backward-reverse": {
                    EXACT: 0.8,
                    **{f"held_out.forced_token_{place}": 0.8 for place in (1, 2)},
                },
            }
        ),
    ),
    Claim(
        id="paths/backward-edges-and-self",
        title="A leaf that was never an answer is never answered",
        statement="No statement of the paper, but our explanation of why paths/backward-edges fails: with "
        "edges towards the root only, no training asks for a held-out leaf, and it is not named. Where "
        "every node is asked for itself as well, the reversed path is found.",
        place="beside Fig 19; E.1, L11",
        conditions=f"{CONDITIONS}; edges towards the root only, every node asked for itself once as well, "
        "reversed path",
        rule="The exact match on held-out leaves ends at .5 or more on most seeds; the rule is ours, written "
        "after paths/backward-edges and before this measurement.",
        expected=(Expected("high", "own measurement", "docs/claims/paths.md", "at least .5", "exact match"),),
        experiments=request_paths(SETTINGS, "backward-reverse-self", "backward-reverse"),
        judge=judge_reach("backward-reverse-self", EXACT, 0.5, what="exact match", beside="backward-reverse"),
        wrong=lambda requests: imagine_paths(
            {"backward-reverse-self": {EXACT: 0.1}, "backward-reverse": {EXACT: 0.0}}
        ),
    ),
    Claim(
        id="paths/reverse",
        aliases=("L12",),
        title="The reversed path is learned sooner",
        statement="With both directions of the edges both orders are learned, the reversed one sooner and "
        "better.",
        place="Remark 1; Fig 20 left; E.1, L12",
        conditions=f"{CONDITIONS}; once as it is, once with the reversed path as target",
        rule="On most seeds the reversed path passes an exact match of .9 in fewer epochs than the path, and "
        "ends at .95 or more.",
        expected=(
            Expected("fewer", "paper", "Fig 20, E.1, L12", "fewer", "epochs to .9, reversed path"),
            Expected("about 1", "paper", "Fig 20, E.1, L12", "at least .95", "exact match, reversed path"),
        ),
        experiments=request_paths(SETTINGS, "base", "reverse"),
        judge=judge_reverse,
        wrong=lambda requests: imagine_paths(
            {"base": {EXACT: [0, 1, 1, 1]}, "reverse": {EXACT: [0, 0, 1, 1]}}
        ),
    ),
    Claim(
        id="paths/pauses",
        aliases=("L13",),
        title="More pauses, sooner paths",
        statement="Pause tokens between the leaf and the answer make path finding converge faster, the more "
        "the faster, from none to ten.",
        place="Fig 22; E.1, L13",
        conditions=f"{CONDITIONS.replace(', 3 pauses', '')}; 0, 2, 4, 6 and 10 pauses",
        rule="On most seeds Spearman's correlation of the number of pauses with the mean exact match over "
        "the training is at least .6 (E.1: mostly monotone).",
        expected=(Expected("monotone", "paper", "Fig 22, E.1, L13", "at least .6", "order of pauses"),),
        experiments=request_paths(SETTINGS, *(f"pauses-{count}" for count in PAUSES)),
        judge=judge_pauses,
        wrong=lambda requests: imagine_paths(
            {f"pauses-{count}": {EXACT: [0, 0.8 - count / 20, 1]} for count in PAUSES}
        ),
    ),
    Claim(
        id="paths/staged",
        aliases=("L14",),
        title="Edges first, then the first hop: found for a moment, then lost",
        statement="A model that has memorised the edges and is then trained on the first hop alone reaches a "
        "high accuracy on held-out leaves for a moment, which then falls sharply.",
        place="Obs 3b; Fig 23; E.1, L14",
        conditions=f"as paths/plans on edges only, then {EPOCHS} epochs on the first hop alone, without "
        "edges, lr .0005; looked at every epoch",
        rule=f"On most seeds the first hop reaches 10/{ARMS} or more and ends at half of its peak or less.",
        expected=(
            Expected("high", "paper", "Fig 23, E.1, L14", "at least .04", "highest first hop"),
            Expected("collapse", "paper", "Fig 23, E.1, L14", "at most half", "last first hop"),
        ),
        experiments=request_paths(SETTINGS, "staged"),
        judge=judge_staged,
        wrong=lambda requests: imagine_paths({"staged": {FIRST_HOP: [0, 0.5, 0.8, 0.9]}}),
    ),
    Claim(
        id="paths/tree-splits",
        aliases=("L15",),
        title="On trees new subtrees are much harder than new leaves",
        statement="On a tree-star paths are found above chance whether single leaves or whole subtrees are "
        "held out, but the latter is much harder.",
        place="Fig 11; E.1, L15",
        conditions=f"tree-star of {TREE_ARMS} arms of {LENGTH} nodes from root to leaf, {TREE_LEAVES} "
        "leaves; otherwise as paths/plans",
        rule=f"On most seeds the exact match ends above 1/{TREE_LEAVES} in both, and with subtrees held out "
        "at half or less of what it is with leaves held out.",
        expected=(
            Expected("above chance", "paper", "Fig 11, E.1, L15", "above .002"),
            Expected(
                "much harder", "paper", "Fig 11, E.1, L15", "at most half", "exact match, subtrees held out"
            ),
        ),
        experiments=request_paths(SETTINGS, "tree-leaf", "tree-first-hop"),
        judge=judge_tree,
        wrong=lambda requests: imagine_paths({"tree-leaf": {EXACT: 0.8}, "tree-first-hop": {EXACT: 0.8}}),
    ),
    Claim(
        id="paths/self-edges",
        title="Self-edges leave path finding as it is",
        statement="No statement of the paper, whose third version adds self-edges to tiny graphs only: "
        "asking every node for itself as well does not keep the model from finding paths.",
        place="beside B.3.3 and Fig 4",
        conditions=f"{CONDITIONS}; every node asked for itself once as well",
        rule="The exact match on held-out leaves ends at .5 or more on most seeds; the rule is ours, written "
        "before the measurement.",
        expected=(Expected("high", "own measurement", "docs/claims/paths.md", "at least .5", "exact match"),),
        experiments=request_paths(SETTINGS, "self-edges", "base"),
        judge=judge_reach("self-edges", EXACT, 0.5, what="exact match", beside="base"),
        wrong=lambda requests: imagine_paths({"self-edges": {EXACT: 0.2}, "base": {EXACT: 0.9}}),
    ),
    Claim(
        id="paths/untied",
        title="An untied read-out finds paths too",
        statement="No statement of the paper about paths, whose second version says that untying hides the "
        "geometry of tiny graphs: a read-out of its own does not keep the model from finding paths.",
        place="beside B.3.7 and Fig 4",
        conditions=f"{CONDITIONS}; a read-out table of its own",
        rule="The exact match on held-out leaves ends at .5 or more on most seeds; the rule is ours, written "
        "before the measurement.",
        expected=(Expected("high", "own measurement", "docs/claims/paths.md", "at least .5", "exact match"),),
        experiments=request_paths(SETTINGS, "untied", "base"),
        judge=judge_reach("untied", EXACT, 0.5, what="exact match", beside="base"),
        wrong=lambda requests: imagine_paths({"untied": {EXACT: 0.2}, "base": {EXACT: 0.9}}),
    ),
)
"""In the order of table E.1, then ours."""
