"""Draw the figures on factual recall: `python docs/recall_pictures.py RUNS CAPACITY` writes docs/images.

RUNS is the directory of `geomem reproduce 'recall*' --quick --directory RUNS`, whose memories and
measurements are read, never trained again; CAPACITY that of `geomem capacity --directory CAPACITY`. Each
figure is an SVG with its data as CSV. Constructions are written down anew, which takes some seconds.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from geomem.claims.experiment import read_experiment
from geomem.claims.factual_recall.settings import SUBJECTS, TWO_RELATIONS, request_memories
from geomem.claims.need import Scale
from geomem.constructions.answering import recall_every_fact
from geomem.constructions.dense import dense_superposition
from geomem.constructions.one_hop import SUBJECTS as SUBJECT_TABLE
from geomem.constructions.one_hop import Weights, block_superposition
from geomem.errors import InputError
from geomem.fields import read_fields
from geomem.figures.bits_drawing import draw_bits, tabulate_bits
from geomem.figures.drawing import save_figure
from geomem.figures.memory_drawing import draw_selector, draw_subject, tabulate_selector, tabulate_subject
from geomem.figures.portrait_drawing import PORTRAITS, draw_portraits, tabulate_portraits
from geomem.figures.recall_drawing import (
    draw_bits_per_weight,
    draw_surface,
    tabulate_capacity,
    tabulate_surface,
)
from geomem.figures.tradeoff_drawing import draw_trade_off, tabulate_trade_off
from geomem.geometry.selector import map_cosines, read_out_cosines
from geomem.geometry.superposition import fit_superposition
from geomem.measure.facts import recall_with
from geomem.measure.probes import RecallNetwork, load_network, measure_gate_rates, summarize_network_jacobians
from geomem.models.configuration import Recall
from geomem.runs.directory import is_finished
from geomem.runs.run import Run, holds_facts, read_run
from geomem.sweep.thresholds import fit_thresholds
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.table import FactTable, answers, entropy_bits

IMAGES = Path(__file__).parent / "images"
SCALE = Scale("quick", (0, 1, 2))

Drawn = tuple[str, pl.DataFrame, Callable[[pl.DataFrame], Figure]]
"""The file's name, its data, and the function that draws them."""


def save(name: str, table: pl.DataFrame, figure: Figure) -> None:
    """Write SVG and CSV; the PDF stays out of the documentation."""
    with TemporaryDirectory() as directory:
        _, svg, csv = save_figure(figure, table, Path(directory) / f"recall-{name}")
        for path in (svg, csv):
            (IMAGES / path.name).write_bytes(path.read_bytes())
            print(path.name, f"{path.stat().st_size:,} bytes")


def trade_off() -> Iterator[Drawn]:
    """Sizes of all constructions for chains of 1 to 8 relations."""
    yield "trade-off", tabulate_trade_off(4096, 2, 8), draw_trade_off


def recall_of_table(facts: FactTable, weights: Weights) -> float:
    """Share of the facts that the weights answer."""
    return recall_every_fact(weights, facts).recall


def rounded(memories: dict[str, Run]) -> Iterator[Drawn]:
    """Constructions of three seeds, and the trained memories, with their subject tables rounded."""
    parts = []
    for seed in SCALE.seeds:
        facts = random_bijections(256, 4, world_seed=seed)
        made = {"block, binary words": block_superposition(facts)}
        made |= {f"dense sum, d = {d}": dense_superposition(facts, d, seed=seed) for d in (150, 86, 64)}
        made["dense optimised, d = 28"] = dense_superposition(facts, 28, quality="optimised", seed=seed)
        for name, memory in made.items():
            parts.append(
                tabulate_bits(
                    *(memory.weights, partial(recall_of_table, facts)),
                    memory=name,
                    facts_bits=entropy_bits(facts),
                    seed=seed,
                )
            )
    for key in ("d16", "d64", "d208"):
        memory = memories[key]
        for run, seed in enumerate(memory.seeds):
            weights = {name: values[run] for name, values in memory.weights().items()}
            others = sum(array.size for name, array in weights.items() if name != SUBJECT_TABLE)
            parts.append(
                tabulate_bits(
                    *(weights, partial(recall_with, memory)),
                    memory=f"trained, d = {memory.model.width}",
                    facts_bits=entropy_bits(memory.table),
                    other_bits=32.0 * others,
                    seed=seed,
                )
            )
    yield "bits", pl.concat(parts), draw_bits


def capacity(directory: Path) -> Iterator[Drawn]:
    """The surface with its law, and all curves over bits per weight."""
    curves, thresholds = (pl.read_csv(directory / f"{name}.csv") for name in ("curves", "thresholds"))
    fit = fit_thresholds(thresholds)
    law = fit.at if fit else None
    yield "surface", tabulate_surface(thresholds, law), lambda _: draw_surface(curves, thresholds, law)
    table = tabulate_capacity(curves, thresholds, law)
    yield "bits-per-weight", table, lambda _: draw_bits_per_weight(curves, thresholds)


def portraits(runs: Path) -> Iterator[Drawn]:
    """What the memories of the claims became, over their dimensions to spare."""
    found = [read_experiment(own, runs) for own in request_memories(TWO_RELATIONS.settings)(SCALE)]
    rows = pl.concat(
        pl.DataFrame(
            {name: values for name, values in arrays.items() if values.shape == arrays["recall"].shape}
        )
        for arrays in found
    )
    for name, picture in PORTRAITS.items():
        yield name, tabulate_portraits(rows, picture), partial(draw_portraits, picture=picture)


def subject(memory: Run) -> Iterator[Drawn]:
    """A subject of the first seed's memory taken apart."""
    network, vectors, facts = first_run(memory)
    fit = fit_superposition(vectors, network.unembedding, facts)
    yield "subject", tabulate_subject(fit, vectors, facts, relations=memory.table.relations), draw_subject


def gates(memory: Run) -> Iterator[Drawn]:
    """Maps and gates of the first seed's memory."""
    network, vectors, facts = first_run(memory)
    maps = summarize_network_jacobians(network, vectors, facts >= 0).means
    table = tabulate_selector(
        map_cosines(maps),
        read_out_cosines(maps, network.unembedding),
        measure_gate_rates(network, vectors, facts >= 0),
        relations=memory.table.relations,
    )
    yield f"gates-d{memory.model.width}", table, draw_selector


def first_run(memory: Run) -> tuple[RecallNetwork, np.ndarray, np.ndarray]:
    """Network, subject vectors and facts of a memory's first run."""
    weights = {name: values[0] for name, values in memory.weights().items()}
    return load_network(memory.model, weights), weights[SUBJECT_TABLE], answers(memory.table)


def find_memories(runs: Path) -> dict[str, Run]:
    """The memories behind the portraits, by the key of their settings."""
    settings = TWO_RELATIONS.settings(SCALE)
    found = {}
    for path in sorted(runs.glob(f"random-bijections-{SUBJECTS}-*")):
        if holds_facts(path) and is_finished(path):
            memory = read_run(path)
            steps = memory.manifest["configuration"]["training"]["steps"]
            found |= {
                key: memory
                for key, own in settings.items()
                if read_fields(Recall, own["model"]) == memory.model and own["training"]["steps"] == steps
            }
    if missing := sorted(settings.keys() - found.keys()):
        raise InputError(
            f"{runs} lacks the memories {', '.join(missing)}; run the recall claims there first."
        )
    return found


def main(runs: Path, capacities: Path) -> None:
    """Draw everything."""
    memories = find_memories(runs)
    (swept,) = (path.parent for path in capacities.glob("recall-capacity-width-*/thresholds.csv"))
    figures = chain(
        trade_off(),
        rounded(memories),
        capacity(swept),
        portraits(runs),
        subject(memories["d64"]),
        gates(memories["d16"]),
        gates(memories["d208"]),
    )
    for name, table, draw in figures:
        save(name, table, draw(table))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
