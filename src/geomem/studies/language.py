"""Language: does the geometry survive when a graph is told in sentences and names have several tokens?"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from geomem.claims.check import Check, check
from geomem.claims.claim import OWN, Decorator, claim, conditions, expects, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.studies.language_measured import (
    ARMS,
    FEW,
    FOUR,
    LAYERS,
    POSITIONS,
    RECALLED,
    SYMBOLS,
    WITH_WAYS,
    WORDS,
    tellings,
)
from geomem.studies.language_tables import (
    WAYS,
    conclude,
    draw_layers,
    draw_maps,
    draw_paraphrases,
    tabulate,
    tabulate_alignment,
    tabulate_arms,
    tabulate_layers,
    tabulate_ways,
)
from geomem.studies.study import Study
from geomem.worlds.graphs.atlas import europe

PAGE = "docs/studies/language.md"

# The claims: what was expected before anything was measured. A pilot on the seeds 100 and 101 had shown words
# in one and in four sentences, and shared last tokens in four, on Europe.


def imagine(arms: Sequence[str] = tuple(ARMS), **changed: float) -> Evidence:
    """What models that recall everything and hold no geometry would have given, with some arrays changed."""
    runs, layers = np.ones(3), len(LAYERS)
    one: dict[str, Any] = {"recall": runs, "paraphrases": runs, "two_steps": 0.2 * runs, "steps": 100 * runs}
    one["numbers"] = np.array([1000.0, 10.0, 2.0])
    one |= dict.fromkeys(WAYS, runs) | {"often": np.array([0.5, 0.5])}
    one["map"] = np.zeros((layers, europe().node_count, 2))
    for prefix in POSITIONS.values():
        one[f"{prefix}_word"] = np.full(3, WORDS.index("no geometry"))
        for part in ("fall", "bare", "level", "alignment", "twin_fall", "twin_alignment"):
            one[f"{prefix}_{part}"] = np.zeros((3, layers))
    one |= {name: np.full(3, value) for name, value in changed.items()}
    cases = [f"{world}/{name}" for name in arms for world in ARMS[name].worlds]
    return imagine_arrays(dict.fromkeys(cases, one))


SETTING = (
    "Transformer of 2 blocks, width 64; 640 steps of half the facts each, AdamW, rate .003; 4 sentences "
    "unless said; Europe, and a grid of 6 by 7 with made-up names"
)


def needed(arms: Sequence[str], **changed: float) -> Decorator:
    """What a claim about some arms needs, and what refutes it."""
    return needs(tellings(arms), counterexample=imagine(arms, **changed))


def geometric(runs: Evidence, case: str, prefix: str) -> np.ndarray:
    """Which seeds hold a world as a geometry at one position."""
    return runs.arrays[f"{case}.{prefix}_word"] == WORDS.index("geometry")


def told_cases(arms: Sequence[str], worlds: Sequence[str] = ("europe", "grid")) -> list[str]:
    """The keys of arms on their worlds."""
    return [f"{world}/{name}" for world in worlds for name in arms if world in ARMS[name].worlds]


@claim("language/recalled", place=PAGE)
@needed(FOUR, recall=0.5)
@conditions(SETTING)
@expects("at least .95", OWN, PAGE)
def recalled(runs: Evidence) -> Iterator[Check]:
    """A told world is memorised.

    Told in four sentences, in every way, .95 of the names are recalled.
    """
    for case in told_cases(FOUR):
        yield check(f"names recalled, {case}", runs.arrays[f"{case}.recall"], at_least=RECALLED)


@claim("language/survives", place=PAGE)
@needed(FOUR)
@conditions(SETTING)
@expects("geometry in most seeds", OWN, PAGE)
def survives(runs: Evidence) -> Iterator[Check]:
    """The geometry survives language.

    Told in four sentences, in every way, the mean over a name's tokens holds the world as a geometry.
    """
    for case in told_cases(FOUR):
        yield check(f"geometry, mean of tokens, {case}", geometric(runs, case, "mean"), at_least=1)


@claim("language/one-sentence", place=PAGE)
@needed(("words, 1 sentence", "own last, 1 sentence"))
@conditions(SETTING)
@expects("geometry in most seeds", OWN, PAGE)
def one_sentence(runs: Evidence) -> Iterator[Check]:
    """One sentence is enough for the geometry.

    Told in one sentence alone, the mean over a name's tokens holds the world as a geometry.
    """
    for case in told_cases(("words, 1 sentence", "own last, 1 sentence")):
        yield check(f"geometry, mean of tokens, {case}", geometric(runs, case, "mean"), at_least=1)


@claim("language/paraphrases", place=PAGE)
@needed(FEW, paraphrases=0.5)
@conditions(SETTING)
@expects("at most .5 from one, at least .8 from four", OWN, PAGE)
def paraphrases(runs: Evidence) -> Iterator[Check]:
    """Paraphrases need several sentences.

    In paraphrases, names told in one sentence are recalled by at most .5, in four and eight by at least .8.
    """
    for name in FEW:
        found = runs.arrays[f"europe/{name}.paraphrases"]
        told = ARMS[name].told
        bounds: dict[str, Any] = {1: {"at_most": 0.5}, 2: {}}.get(told, {"at_least": 0.8})
        yield check(f"names recalled in paraphrases, {name}", found, **bounds)


@claim("language/last-token", place=PAGE)
@needed(("own last", "shared last"))
@conditions(SETTING)
@expects("at least .1 steeper", OWN, PAGE)
def last_token(runs: Evidence) -> Iterator[Check]:
    """A shared last token hides the geometry from who looks at it alone.

    Where names share their last token, the fall at the steepest layer is by .1 steeper in the mean over a
    name's tokens than at the last one; where that is the name's own, the two are within .1.
    """
    for case in told_cases(("own last", "shared last")):
        mean, last = (runs.arrays[f"{case}.{prefix}_fall"].max(axis=1) for prefix in ("mean", "last"))
        bounds: dict[str, Any] = {"at_least": -0.1, "at_most": 0.1}
        bounds = {"at_least": 0.1} if "shared" in case else bounds
        yield check(f"fall of the mean less that of the last token, {case}", mean - last, **bounds)


@claim("language/composed", place=PAGE)
@needed(("shared last", "byte pairs"))
@conditions(SETTING)
@expects("at least .1 steeper", OWN, PAGE)
def composed(runs: Evidence) -> Iterator[Check]:
    """Names in pieces are put together in the blocks.

    Where names share tokens, the mean over a name's tokens falls by .1 more steeply after the first block
    than in the input embedding.
    """
    for case in told_cases(("shared last", "byte pairs")):
        falls = runs.arrays[f"{case}.mean_fall"]
        yield check(
            f"fall after block 1 less that of embeddings, {case}", falls[:, 1] - falls[:, 0], at_least=0.1
        )


@claim("language/longer-texts", place=PAGE)
@needed(("words", "longer texts"), steps=float("nan"))
@conditions(SETTING)
@expects("within .1", OWN, PAGE)
def longer_texts(runs: Evidence) -> Iterator[Check]:
    """Longer texts change little.

    Three sentences about nothing around each fact leave the steepest fall within .1, and .95 of the names are
    reached in at most twice the steps.
    """
    alone, within = (
        runs.arrays[f"europe/{name}.mean_fall"].max(axis=1) for name in ("words", "longer texts")
    )
    yield check("fall in longer texts less that of facts alone", within - alone, at_least=-0.1, at_most=0.1)
    first, second = (runs.arrays[f"europe/{name}.steps"] for name in ("words", "longer texts"))
    yield check("steps in longer texts over those of facts alone", second / first, at_most=2)


@claim("language/price", place=PAGE)
@needed((SYMBOLS, *FOUR))
@conditions(SETTING)
@expects("at least twice the steps; a fall no more than .1 less", OWN, PAGE)
def price(runs: Evidence) -> Iterator[Check]:
    """Language costs steps, not geometry.

    Told in four sentences, .95 of the names take at least twice the steps of symbols, and the steepest fall
    of the mean over tokens is at least that of symbols less .1.
    """
    for case in told_cases(FOUR):
        symbols = f"{case.partition('/')[0]}/{SYMBOLS}"
        ratio = runs.arrays[f"{case}.steps"] / runs.arrays[f"{symbols}.steps"]
        yield check(f"steps over those of symbols, {case}", ratio, at_least=2)
        told, base = (runs.arrays[f"{key}.mean_fall"].max(axis=1) for key in (case, symbols))
        yield check(f"fall less that of symbols, {case}", told - base, at_least=-0.1)


@claim("language/ways", place=PAGE)
@needed((WITH_WAYS,), held_out_ways=0.5)
@conditions(
    f"{SETTING}; ways of .4 of the pairs two steps apart or more, in two sentences beside two of facts"
)
@expects("at least .1 more", OWN, PAGE)
def ways(runs: Evidence) -> Iterator[Check]:
    """Ways are found that were never told.

    On Europe, of pairs whose way was never told, .1 more of the next nodes are named than by those most often
    told of the subject, wherever the way leads. The grid is measured beside it, without a bound.
    """
    worlds: dict[str, dict[str, Any]] = {"europe": {"at_least": 0.1}, "grid": {}}
    for world, bounds in worlds.items():
        case = f"{world}/{WITH_WAYS}"
        found, often = runs.arrays[f"{case}.held_out_ways"], runs.arrays[f"{case}.often"][0]
        yield check(f"next nodes named less those most often told, {case}", found - often, **bounds)


STUDY = Study(
    name="language",
    title="Language: a graph told in sentences, names of several tokens",
    question="The paper trains on symbols, one token a node. Does the geometry survive when the same edges "
    "are told in sentences and names have several tokens: at which layer, from how many sentences on, at "
    "what cost?",
    rule="Told in one way, a model holds a world as a geometry if the audit says so: similarity of its "
    "states of names falls with graph distance, by a correlation of at least .05, more than under permuted "
    "names (after the maximum over layers and prompts), than in three re-initialised models and on rewired "
    "graphs of the same degrees. It counts if most seeds do, and is asked at a name's last token and of the "
    "mean over its tokens. The geometry survives if all ways with four sentences hold it in the mean.",
    claims=(recalled, survives, one_sentence, paraphrases, last_token, composed, longer_texts, price, ways),
    tabulate=tabulate,
    tables={
        "ways of telling": tabulate_arms,
        "next nodes": tabulate_ways,
        "by layer": tabulate_layers,
        "alignment": tabulate_alignment,
    },
    figures={"layers": draw_layers, "paraphrases": draw_paraphrases, "maps": draw_maps},
    conclude=conclude,
    seeds=3,
)
