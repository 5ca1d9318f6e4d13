"""Claims: chains of relations in trained models: chain of thought, hops and layers (A3, A4; E14; C6).

Here N counts entities that are subjects and objects at once. The paper's own multi-hop constants are not
available to us.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from geomem.claims.check import Check, Picture, check, draw_bands
from geomem.claims.claim import OWN, claim, conditions, expects, expects_each, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import experiment
from geomem.claims.factual_recall.chains import ENTITIES
from geomem.claims.factual_recall.settings import Request, request
from geomem.constructions.bounds import bijection_bits
from geomem.constructions.codes import binary_length
from geomem.constructions.hop_sizes import HopSize, deep_size, flat_size
from geomem.geometry.crossing import crossing
from geomem.models.configuration import Recall
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import random_bijections, random_permutations
from geomem.worlds.facts.hops import sample_chains
from geomem.worlds.facts.table import answers

CHAIN_WIDTHS = (6, 8)

TRAINED_RELATIONS = 3
SETTINGS: dict[str, Any] = {"relations": TRAINED_RELATIONS, "training": asdict(RecallTraining())}
QUICK_HOPS = {
    "compositions-1": (3, 4, 5, 6, 7, 8),
    "compositions-2": (7, 8, 9, 10, 11, 12, 14),
    "independent-2": (7, 8, 9, 10, 11, 12, 14, 16),
}
"""Widths tried by kind of facts and number of hops; `independent`: R^k relations, no compositions."""

FULL_HOPS = {
    "compositions-1": (4, 5, 6, 7, 8),
    "compositions-2": (10, 11, 12, 13, 14, 16),
    "independent-2": (10, 11, 12, 13, 14, 16, 18),
    "compositions-3": (22, 25, 28, 30, 33, 37),
    "independent-3": (26, 29, 32, 35, 39, 43),
}


def train_chains(
    settings: Mapping[str, Any],
    asked: Sequence[Int[np.ndarray, "subject chain"]],
    rates: Sequence[float],
    *,
    layers: int = 1,
    device: str,
    on_progress: Callable[[float], None],
) -> tuple[Float[np.ndarray, "rate run size"], Float[np.ndarray, " size"]]:
    """Final recall of models of all widths, trained as one fleet, and their numbers of trained weights.

    `asked` are the answers to every question, per seed.
    """
    from geomem.models.recall import RecallSize, count_trained
    from geomem.training.configuration import RecallRun, RunSettings
    from geomem.training.facts import train_recall

    training = RecallTraining(**settings["training"])
    size = RecallSize(settings["entities"], settings["relations"], settings["entities"])
    models = [
        Recall(width=width, mlp_width=4 * width, hops=settings["hops"], layers=layers)
        for width in settings["widths"]
    ]
    runs = [
        RecallRun(model, size, own, RunSettings(seed, rate, training.weight_decay))
        for rate in rates
        for seed, own in zip(settings["seeds"], asked, strict=True)
        for model in models
    ]
    trained = train_recall(
        runs, training, device=device, on_progress=lambda event: on_progress(event.step / event.steps)
    )
    recall = trained.metrics["recall"][-1].reshape(len(rates), len(asked), len(models))
    return recall, np.array([count_trained(model, size) for model in models], dtype=np.float64)


@experiment(version=1, name="geomem.claims.recall_hops.measure_hops")
def measure_hops(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """`recall` [run, size] of models trained on all questions of k hops, as one fleet; `widths` [size].

    `independent` facts answer every chain of relations by a bijection of its own instead of a composition.
    """
    from geomem.runs.facts import question_answers

    N, R, k = settings["entities"], settings["relations"], settings["hops"]
    asked = [
        answers(random_bijections(N, R**k, world_seed=seed))
        if settings["kind"] == "independent"
        else question_answers(random_permutations(N, R, world_seed=seed), k)
        for seed in settings["seeds"]
    ]
    rates = [settings["training"]["learning_rate"]]
    recall, _ = train_chains(settings, asked, rates, device=device, on_progress=on_progress)
    return {"recall": recall[0], "widths": np.array(settings["widths"], dtype=np.float64)}


@experiment(version=1, name="geomem.claims.recall_hops.measure_written_out")
def measure_written_out(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """`recall` [run, hop] of chains decoded greedily, answer by answer, by a memory trained on single hops.

    Every answer is the next subject asked about; a tie ends the chain.
    """
    from geomem.memories.answers import memory_answers
    from geomem.runs.facts import learn_facts

    table = random_permutations(settings["entities"], settings["relations"])
    memory = learn_facts(
        table,
        model=Recall(width=settings["width"], mlp_width=4 * settings["width"]),
        training=RecallTraining(**settings["training"]),
        seeds=settings["seeds"],
        directory=directory,
        device=device,
    )
    said = memory_answers(memory)
    following = np.where(said.leads > 0, said.objects, -1)
    chains = sample_chains(table, settings["hops"], settings["queries"])
    recall = np.zeros((len(memory.seeds), settings["hops"]))
    for run, own in enumerate(following):
        at = chains.subjects
        for hop in range(settings["hops"]):
            at = np.where(at >= 0, own[at, chains.relations[:, hop]], -1)
            recall[run, hop] = (at == chains.answers[:, hop]).mean()
    return {"recall": recall}


def request_hops(entities: int, tried: Mapping[str, tuple[int, ...]], seconds: float) -> Request:
    """What a claim `needs`: a fleet for every number of hops and kind of facts."""
    work = {}
    for key, widths in tried.items():
        kind, _, hops = key.partition("-")
        own = {**SETTINGS, "entities": entities, "hops": int(hops), "kind": kind, "widths": widths}
        # Questions are as many as chains.
        work[key] = (own, seconds * len(widths) * TRAINED_RELATIONS ** (int(hops) - 1))
    return request(measure_hops, work)


def threshold(runs: Evidence, key: str) -> float:
    """D1's d*: the smallest width at which the best seed recalls 99 %; infinite if there is none."""
    enough = runs.arrays[f"{key}.recall"].max(axis=0) >= 0.99
    return float(runs.arrays[f"{key}.widths"][enough.argmax()]) if enough.any() else np.inf


def imagine_hops(thresholds: Mapping[str, float]) -> Evidence:
    """Curves that cross at these widths, by key."""
    return imagine_arrays(
        {
            key: {"recall": [[0.5, 0.99, 1.0]] * 2, "widths": [width - 1, width, width + 1]}
            for key, width in thresholds.items()
        }
    )


for _scale, _alias, _entities, _tried, _seconds in (
    ("", "E14", 128, QUICK_HOPS, 1.0),
    ("-at-scale", "E14-full", 256, FULL_HOPS, 4.0),
):

    @claim(
        f"recall-hops/no-chain-of-thought{_scale}",
        _alias,
        place="A3, A4 [P/T]; C6, E14 [M]",
        full=bool(_scale),
    )
    @needs(
        request_hops(_entities, _tried, _seconds),
        counterexample=imagine_hops({key: 6.0 if key[0] == "c" else 14.0 for key in _tried}),
    )
    @conditions(
        f"one layer, a positional head per relation, R = {TRAINED_RELATIONS}, N = {_entities}; all N R^k "
        "questions, MLP of 4 d neurons, Adam, lr .01, 1,200 steps; against R^k independent bijections; d*: "
        "the smallest width at which the best seed recalls 99 % (D1)"
    )
    @expects("exponential", "paper", "A4 [T]")
    @expects(13 / 14, OWN, "C6, E14 [M]", "share of independent relations' d*, by k")
    @expects(13 / 6, OWN, "C6, E14 [M]", "growth of d* per hop")
    def no_chain_of_thought(runs):
        """Without chain of thought one layer needs as much as independent relations.

        A capacity-depth trade-off: without chain of thought the size has to grow exponentially with the hops.
        """
        depths = [k for k in (1, 2, 3) if f"compositions-{k}.recall" in runs.arrays]
        own = {k: threshold(runs, f"compositions-{k}") for k in depths}
        apart = {k: threshold(runs, f"independent-{k}") for k in depths[1:]}
        shares = [own[k] / apart[k] for k in depths[1:]]
        growth = [own[k] / own[k - 1] for k in depths[1:]]
        title = "share of independent relations' d*, by k"
        yield check(title, shares, at_least=0.75, at_most=1, over="everywhere")
        yield check("growth of d* per hop", growth, at_least=2, over="everywhere")
        for k, width in own.items():
            yield check(f"d*, k = {k}", width)
        for k, width in apart.items():
            yield check(f"d*, independent, k = {k}", width)
        for k in depths:
            widths, curves = (runs.arrays[f"compositions-{k}.{name}"] for name in ("widths", "recall"))
            crossings = np.array([crossing(widths, curve, 0.99) for curve in curves])
            if np.isfinite(crossings).all():
                yield check(f"crossing of each seed, k = {k}", crossings)
        keys = [f"{kind}-{k}" for k in depths for kind in ("compositions", "independent")]
        curves = [
            (key, runs.arrays[f"{key}.widths"], runs.arrays[f"{key}.recall"].T)
            for key in keys
            if f"{key}.recall" in runs.arrays
        ]
        yield draw_bands(curves, "width", "recall", series="facts")


@claim("recall-hops/written-out", place="A4 [P/T]; C6 [M]")
@needs(
    request(
        measure_written_out,
        {
            f"d{width}": ({**SETTINGS, "entities": ENTITIES, "width": width, "hops": 8, "queries": 2000}, 5.0)
            for width in CHAIN_WIDTHS
        },
    ),
    counterexample=imagine_arrays(
        {f"d{width}": {"recall": [np.linspace(1, 0.6, 8)] * 2} for width in CHAIN_WIDTHS}
    ),
)
@conditions(
    f"N = {ENTITIES}, R = {TRAINED_RELATIONS}, d = 6 and, just above the single-hop threshold, 8; "
    "trained on single hops, Adam, lr .01, 1,200 steps; 2,000 chains of 8 hops decoded greedily"
)
@expects_each((1.0, OWN, "C6 [M]", f"recall after 8 hops, d = {width}") for width in CHAIN_WIDTHS[::-1])
def written_out(runs):
    """A memory of single hops follows chains when it writes them out.

    Chain of thought avoids exponential growth: the trained single-hop model is enough.
    """
    recalls = {width: runs.arrays[f"d{width}.recall"] for width in CHAIN_WIDTHS}
    narrow, wide = CHAIN_WIDTHS
    yield check(f"recall after 8 hops, d = {wide}", recalls[wide][:, -1], exactly=1)
    yield check(f"recall after 8 hops, d = {narrow}", recalls[narrow][:, -1])
    for width, recall in recalls.items():
        yield check(f"recall after 1 hop, d = {width}", recall[:, 0])
    hops = np.arange(1, recalls[wide].shape[1] + 1)
    curves = [(f"d = {width}", hops, recall.T) for width, recall in recalls.items()]
    yield draw_bands(curves, "hops", "recall", series="width")


# Layers.

# With another seed, of .003, .01 and .02 the last recalled most near the threshold at L = 1, 2 and 4.
QUICK_RATES, FULL_RATES = (0.02,), (0.01, 0.02)
QUICK_DEPTHS = {1: (7, 8, 9), 2: (6, 7, 8), 3: (5, 6, 7), 4: (5, 6, 7)}
"""Widths tried by number of layers."""

FULL_DEPTHS = {
    1: (22, 25, 28, 30, 33, 37),
    2: (10, 12, 14, 16, 19, 22, 26),
    3: (8, 10, 12, 14, 16, 19, 22),
    4: (8, 10, 12, 14, 16, 19, 22),
}


@experiment(version=1, name="geomem.claims.recall_depth.measure_depth")
def measure_depth(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """`recall` [rate, run, size] of models of L layers trained on all questions of k hops, as one fleet.

    Besides `widths` and `weights`, the trained numbers of a run, both [size].
    """
    from geomem.runs.facts import question_answers

    N, R, k, layers = (settings[name] for name in ("entities", "relations", "hops", "layers"))
    asked = [question_answers(random_permutations(N, R, world_seed=seed), k) for seed in settings["seeds"]]
    recall, weights = train_chains(
        settings, asked, settings["rates"], layers=layers, device=device, on_progress=on_progress
    )
    return {"recall": recall, "widths": np.array(settings["widths"], dtype=np.float64), "weights": weights}


def request_depth(
    entities: int, hops: int, tried: Mapping[int, tuple[int, ...]], rates: tuple[float, ...], seconds: float
) -> Request:
    """What a claim `needs`: a fleet per depth; `seconds` is the time of one run of one layer."""
    own = {**SETTINGS, "entities": entities, "hops": hops, "rates": rates}
    work = {}
    for layers, widths in tried.items():
        # All blocks but the last carry every relation's token on.
        cost = seconds * len(rates) * len(widths) * (1 + 1.2 * (layers - 1))
        work[f"layers-{layers}"] = ({**own, "layers": layers, "widths": widths}, cost)
    return request(measure_depth, work)


def written_size(entities: int, hops: int, layers: int) -> HopSize:
    """Size of A4's model with so many layers: flat for one, deep from two on."""
    N, R, m = entities, TRAINED_RELATIONS, binary_length(entities)
    return flat_size(N, R, N, m, hops) if layers == 1 else deep_size(N, R, N, m, hops, layers=layers)


def own_crossings(runs: Evidence, layers: int) -> tuple[Float[np.ndarray, " run"], Float[np.ndarray, " run"]]:
    """Width at which every seed crosses 99 % at the better rate, and the trained weights there.

    Infinite where a seed never does.
    """
    widths, weights, recalls = (
        runs.arrays[f"layers-{layers}.{name}"] for name in ("widths", "weights", "recall")
    )
    own = np.array([[crossing(widths, curve, 0.99) for curve in rate] for rate in np.nan_to_num(recalls)])
    own = np.where(np.isfinite(own), own, np.inf).min(axis=0)
    return own, np.where(np.isfinite(own), np.interp(own, widths, weights), np.inf)


def check_depth(runs: Evidence, entities: int, hops: int) -> Iterator[Check | Picture]:
    """That layers save dimensions and weights, as A4's deep models do against the flat one."""
    bits = bijection_bits(entities, TRAINED_RELATIONS)
    depths = sorted(int(name.split(".")[0].split("-")[1]) for name in runs.arrays if ".recall" in name)
    crossings = {layers: own_crossings(runs, layers) for layers in depths}
    with np.errstate(invalid="ignore"):
        for layers in (layers for layers in depths if layers >= hops):
            saved, shares = (own / flat for own, flat in zip(crossings[layers], crossings[1], strict=True))
            # A4's fact numbers no longer fall beyond L = k, while every trained block has weights of its own.
            fewer = 1 if layers == hops else None
            yield check(f"trained weights over one layer's, L = {layers}", shares, below=fewer)
            yield check(f"d* over one layer's, L = {layers}", saved, below=1)
    curves: list[tuple[str, list[int], np.ndarray]] = []
    for layers, (width, weights) in crossings.items():
        written = float(written_size(entities, hops, layers).fact_numbers)
        yield check(f"d*, L = {layers}", width)
        yield check(f"trained weights, L = {layers}", weights)
        yield check(f"bits of the permutations per weight, L = {layers}", bits / weights)
        yield check(f"trained weights over A4's fact numbers, L = {layers}", weights / written)
        numbers = {"trained weights": weights, "A4's fact numbers": written, "bits of the permutations": bits}
        curves += [
            (label, [layers], np.atleast_2d(values))
            for label, values in numbers.items()
            if np.isfinite(values).all()
        ]
    yield draw_bands(curves, "layers", "numbers")


def imagine_depth(thresholds: Mapping[int, float]) -> Evidence:
    """Curves that cross at these widths, by layers, in models of 100 weights per layer and dimension."""
    return imagine_arrays(
        {
            f"layers-{layers}": {
                "recall": [[[0.5, 0.99, 1.0]] * 2],
                "widths": [width - 1, width, width + 1],
                "weights": [100 * layers * (width + more) for more in (-1, 0, 1)],
            }
            for layers, width in thresholds.items()
        }
    )


# The small one takes a minute and a half of one core, which `recall*` with --quick, ten minutes on two, does
# not have left.
for _name, _entities, _hops, _tried, _rates, _seconds in (
    ("depth", 64, 2, QUICK_DEPTHS, QUICK_RATES, 1.5),
    ("depth-at-scale", 256, 3, FULL_DEPTHS, FULL_RATES, 36.0),
):
    _flat, _deep = (written_size(_entities, _hops, layers) for layers in (1, _hops))

    @claim(f"recall-hops/{_name}", place="A4 [P/T]; A3, L2 [D]", full=True)
    @needs(
        request_depth(_entities, _hops, _tried, _rates, _seconds),
        # Layers that are memory and nothing else: as many weights at any depth, in thinner ones.
        counterexample=imagine_depth({layers: 24.0 / layers for layers in _tried}),
    )
    @conditions(
        f"k = {_hops}, L = {', '.join(map(str, _tried))}, N = {_entities}, "
        f"R = {TRAINED_RELATIONS}; all N R^k questions, in every layer a positional head per relation and an "
        f"MLP of 4 d neurons, Adam, 1,200 steps, lr {' or '.join(f'{rate:g}' for rate in _rates)}, for each "
        "seed the better of several; at the threshold of 99 %; our rule, after A4, before the measurement"
    )
    @expects("no exponential growth", "paper", "A4 [T]")
    @expects_each(
        (share, "derived", "A4 [D]", f"{what} over one layer's, L = {_hops}")
        for what, share in (
            ("trained weights", _deep.fact_numbers / _flat.fact_numbers),
            ("d*", _deep.residual_size / _flat.residual_size),
        )
    )
    def _layers(runs, entities=_entities, hops=_hops):
        """Layers save dimensions and weights without chain of thought.

        A capacity-depth trade-off: with as many layers as hops the size no longer grows exponentially
        with the hops.
        """
        yield from check_depth(runs, entities, hops)
