"""What the study of language measures: worlds told in several ways, and what models hold of names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from geomem.audit.graph import audit_graph
from geomem.audit.pairs import entity_pairs
from geomem.audit.profile import describe_look
from geomem.audit.states import Layer, States
from geomem.audit.words import WORDS as AUDIT_WORDS
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.need import Needs, Scale
from geomem.geometry.alignment import fiedler_alignment, fit_to_map, map_coordinates
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.models.configuration import Transformer
from geomem.training.configuration import PathTraining, Training
from geomem.worlds.graphs.atlas import europe, united_states
from geomem.worlds.graphs.families import grid
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.language.telling import Questions, Telling, tell_in
from geomem.worlds.language.ways import Ways, every_next

if TYPE_CHECKING:
    from geomem.measure.told import NameStates, Position

PAGE = "docs/studies/language.md"
STEPS, EVERY, WARMUP, RATE = 640, 32, 20, 3e-3
MODEL = Transformer(layers=2, width=64, heads=4, position_scale=0.02)
TWINS, REWIRED = 3, 99
RECALLED = 0.95
WORDS = tuple(AUDIT_WORDS)
LAYERS = ("input embedding", "block 1", "block 2", "final norm")
POSITIONS: "dict[Position, str]" = {"last token": "last", "mean of tokens": "mean"}
"""Where states are read, and how the arrays of an experiment call it."""
SYMBOLS = "symbols"
"""The arm of one token per node and no sentence: `geomem memorize`."""
WITH_WAYS = "facts and ways"
"""The arm that is told ways too."""

WORLDS: dict[str, Graph] = {"europe": europe(), "grid": grid(6, 7), "states": united_states()}
"""42 countries, 42 nodes without names, and 48 states, which the full scale alone has."""


@dataclass(frozen=True)
class Arm:
    """One way to tell a world."""

    told: int = 4
    """Sentences; 0 for symbols."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    worlds: tuple[str, ...] = ("europe",)
    seconds: float = 15.0
    """About what a seed takes on one core."""

    def task(self, world: str) -> Telling:
        """What is told of a world."""
        templates = "borders" if world == "europe" else "graph"
        return tell_in(templates, told=self.told, held_out=2, **self.settings)


ARMS: dict[str, Arm] = {
    SYMBOLS: Arm(0, worlds=("europe", "grid"), seconds=2.0),
    "words, 1 sentence": Arm(1, seconds=6.0),
    "words, 2 sentences": Arm(2, seconds=9.0),
    "words": Arm(),
    "words, 8 sentences": Arm(8),
    "own last, 1 sentence": Arm(1, {"names": "own-last"}, ("grid",), seconds=6.0),
    "own last": Arm(4, {"names": "own-last"}, ("europe", "grid")),
    "shared last": Arm(4, {"names": "shared-last"}, ("europe", "grid"), seconds=19.0),
    "byte pairs": Arm(4, {"tokens": "byte-pairs", "vocabulary": 400}, seconds=38.0),
    "longer texts": Arm(4, {"filler_count": 3}, seconds=34.0),
    WITH_WAYS: Arm(2, {"ways_share": 0.4}, ("europe", "grid"), seconds=29.0),
}
"""Ways to tell the worlds; those without a number have four sentences."""
FOUR = ("words", "own last", "shared last", "byte pairs", "longer texts")
"""The arms of four sentences."""
FEW = ("words, 1 sentence", "words, 2 sentences", "words", "words, 8 sentences")
"""Words by the number of sentences."""


@experiment(version=2)
def measure_telling(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """One world told in one way, and what the models hold of its names at every layer.

    By seed: `recall`, `paraphrases`, `two_steps` (shares of names), `steps` to a recall of .95 (NaN if
    never), and, with "last" or "mean" before them, `word` (its place in `WORDS`) and by layer `fall` (minus
    the correlation of similarity and distance, mean over prompts), `bare` (the same, name alone), `level`
    (cosine of neighbours as it is), `alignment` (of centred rows); of re-initialised twins `twin_fall`,
    `twin_alignment`. Where ways are told, `ways` and `held_out_ways` (shares of right next names), `paths`
    and `held_out_paths` (shares of whole paths that are right), and `often`, these two, held out, of the next
    nodes most often told of the subject, wherever the way leads. `numbers` are trained parameters, tokens of
    a text, tokens of a name; `map` are the states of the first seed along two directions, laid over the true
    map, by layer.
    """
    world, arm = WORLDS[settings["world"]], ARMS[settings["arm"]]
    seeds, steps = list(settings["seeds"]), settings["steps"]
    measure = _hold_symbols if settings["arm"] == SYMBOLS else _hold_sentences
    found, layers, twins, templates = measure(settings["world"], arm, seeds, steps, device)
    on_progress(0.8)
    for position in POSITIONS:
        found |= _judge(world, layers, twins, templates, position, len(seeds))
    coordinates = world.coordinates
    if coordinates is not None:
        maps = []
        for own in layers:
            rows = own.vectors["mean of tokens"][0]
            centred = rows - rows.mean(axis=1, keepdims=True)
            # Of what it holds in sentences the mean over them.
            held = (centred[1:] if len(rows) > 1 else centred).mean(axis=0)
            maps.append(fit_to_map(map_coordinates(held), coordinates).aligned)
        found["map"] = np.stack(maps)
    return found


def _hold_sentences(
    name: str, arm: Arm, seeds: list[int], steps: int, device: str
) -> "tuple[dict[str, np.ndarray], list[NameStates], list[NameStates], tuple[str, ...]]":
    from geomem.measure.told import (
        BARE,
        cut_after_name,
        draw_weights,
        follow_ways,
        read_name_states,
        recall_names,
    )
    from geomem.runs.sentences import sentence_job
    from geomem.worlds.language.telling import tell

    task = arm.task(name)
    training = PathTraining(
        learning_rate=RATE,
        weight_decay=0.0,
        warmup_steps=min(WARMUP, steps - 1),
        batches=2 * arm.told,
        epochs=max(1, steps // (2 * arm.told)),
        metric_every=max(1, EVERY // (2 * arm.told)),
        stop_at=0.0,
        snapshots=2,
    )
    trained = sentence_job(WORLDS[name], task=task, model=MODEL, training=training, seeds=seeds).train(
        device=device
    )
    told = tell(WORLDS[name], task)
    answers = recall_names(MODEL, trained.parameters, told)
    parts = {"recall": "train", "paraphrases": "held_out", "two_steps": "two_steps"}
    if told.ways:
        parts |= {"ways": "ways", "held_out_ways": "held_out_ways"}
    found = {name: answers[part] for name, part in parts.items()}
    if told.ways:
        whole = follow_ways(MODEL, trained.parameters, told, task.ways[0])
        found |= {"paths": whole["ways"], "held_out_paths": whole["held_out_ways"]}
        found["often"] = _often_told(told.ways, told.questions["held_out_ways"])
    found["steps"] = _steps_to(trained.metrics["train.names_recalled"], trained.metric_steps)
    sizes = [sum(tensor[0].numel() for tensor in trained.parameters.values())]
    sizes += [int(told.weights.sum(axis=1).mean()), float(np.mean([len(own) for own in told.name_tokens]))]
    found["numbers"] = np.array(sizes)
    sentences = (BARE, *task.sentences)
    twins = read_name_states(
        MODEL, draw_weights(MODEL, told, [1000 + number for number in range(TWINS)]), told, sentences
    )
    layers = read_name_states(MODEL, trained.parameters, told, sentences)
    return found, layers, twins, tuple(cut_after_name(sentence) for sentence in sentences)


def _hold_symbols(
    name: str, arm: Arm, seeds: list[int], steps: int, device: str
) -> "tuple[dict[str, np.ndarray], list[NameStates], list[NameStates], tuple[str, ...]]":
    from geomem.measure.told import read_symbol_states
    from geomem.models.model import initialize_parameters
    from geomem.runs.edges import edge_job
    from geomem.worlds.tasks import EdgeMemorization, edge_examples

    training = Training(
        learning_rate=RATE, warmup_steps=min(WARMUP, steps - 1), steps=steps, metric_every=EVERY, snapshots=2
    )
    trained = edge_job(WORLDS[name], model=MODEL, training=training, seeds=seeds).train(device=device)
    examples = edge_examples(WORLDS[name], EdgeMemorization())

    drawn = initialize_parameters(
        MODEL,
        vocabulary_size=examples.vocabulary_size,
        context_length=examples.prefixes.shape[1],
        node_count=WORLDS[name].node_count,
        seeds=[1000 + number for number in range(TWINS)],
    )
    recall = trained.metrics["associative_accuracy"]
    nothing = np.full(len(seeds), np.nan)
    sizes = [sum(tensor[0].numel() for tensor in trained.parameters.values()), 2.0, 1.0]
    found = {"recall": recall[-1], "paraphrases": nothing, "two_steps": nothing}
    found |= {"steps": _steps_to(recall, trained.metric_steps), "numbers": np.array(sizes)}
    layers, twins = (read_symbol_states(MODEL, own, examples) for own in (trained.parameters, drawn))
    return found, layers, twins, ("[EDGE] {}",)


def _often_told(ways: Ways, asked: Questions) -> np.ndarray:
    """Shares of next names and of whole paths that are right if those most often told of a subject are given.

    It needs no map and no object: what a table of subjects would answer.
    """
    from geomem.measure.uses.learning import follow

    often = np.zeros(ways.distances.shape)
    np.add.at(often, (ways.steps[:, 0], ways.steps[:, 2]), 1)
    counts = asked.right.sum(axis=1, keepdims=True)
    given = (-often).argsort(axis=1, kind="stable").argsort(axis=1)[asked.given] < counts
    steps = np.repeat(often.argmax(axis=1)[:, None], len(often), axis=1)
    followed = follow(steps, every_next(ways.distances), ways.held_out)
    return np.array([((given & asked.right).sum(axis=1) / counts[:, 0]).mean(), followed.mean()])


def _steps_to(curve: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The first row of each run in which it recalls enough; NaN if there is none."""
    enough = curve >= RECALLED
    return np.where(enough.any(axis=0), steps[enough.argmax(axis=0)].astype(float), np.nan)


def _judge(
    world: Graph,
    layers: "Sequence[NameStates]",
    twins: "Sequence[NameStates]",
    templates: tuple[str, ...],
    position: "Position",
    runs: int,
) -> dict[str, np.ndarray]:
    """The word of every run, and the profile of every layer, of the states at one position."""
    prefix, words = POSITIONS[position], []
    for run in range(runs):
        audit = audit_graph(
            _states(world, layers, templates, position, run),
            world,
            twins=(_states(world, twins, templates, position, twin) for twin in range(TWINS)),
            rewirings=REWIRED,
        )
        words.append(WORDS.index(audit.word))
    found = {f"{prefix}_word": np.array(words)}
    for name, own in (("", layers), ("twin_", twins)):
        count = len(own[0].vectors[position])
        profiles = np.array(
            [[_profile(world, layer.vectors[position][run]) for layer in own] for run in range(count)]
        )
        for number, part in enumerate(("fall", "bare", "level", "alignment")):
            found[f"{prefix}_{name}{part}"] = profiles[:, :, number]
    return found


def _states(
    world: Graph, layers: "Sequence[NameStates]", templates: tuple[str, ...], position: "Position", run: int
) -> States:
    places = tuple(Layer(own.layer, own.vectors[position][run].astype(np.float32)) for own in layers)
    return States(world.labels, templates, position, places)


def _profile(world: Graph, vectors: np.ndarray) -> tuple[float, float, float, float]:
    """Fall, mean over sentences; fall of the name alone; level and alignment, of [template, node, width]."""
    sample, spectrum = entity_pairs(world), laplacian_spectrum(world)
    looks = [describe_look(rows, world, sample)[0] for rows in vectors]
    told = looks[1:] or looks
    # Centred: what all names share would otherwise be the main direction, and is not the trivial mode.
    aligned = [float(fiedler_alignment(rows - rows.mean(axis=0), spectrum)) for rows in vectors]
    return (
        -float(np.mean([look.mantel for look in told])),
        -looks[0].mantel,
        float(np.mean([look.raw_shells[0] for look in told])),
        float(np.mean(aligned[1:] or aligned)),
    )


def tellings(arms: Sequence[str] = tuple(ARMS), worlds: Sequence[str] = ("europe", "grid")) -> Needs:
    """The needs of arms on those of their worlds that are asked for; the key is "world/arm"."""

    def request(scale: Scale) -> tuple[Experiment, ...]:
        full = scale.name == "full"
        steps = 4 * STEPS if full else STEPS
        return tuple(
            Experiment(
                f"{world}/{name}",
                measure_telling,
                {"world": world, "arm": name, "seeds": list(scale.seeds), "steps": steps},
                seconds=(3.0 + ARMS[name].seconds * steps / STEPS) * len(scale.seeds),
            )
            for world in (*worlds, *(["states"] if full else []))
            for name in arms
            if world in ARMS[name].worlds or full
        )

    return request
