"""Tables, figures and answer of the study of why geometry wins."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from geomem.claims.evidence import Evidence, alignment
from geomem.geometry.landscape import barrier
from geomem.studies.why_geometry_ends import EXCESS, target_loss
from geomem.studies.why_geometry_needs import level_when_reached
from geomem.studies.why_geometry_ways import BUDGETS, WAYS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme

KINDS = ("written", "bilinear", "transformer")
AS_TRAINED = "bilinear, as trained"
LOOKUPS = {
    "written": "orthonormal rows",
    "bilinear": "lookup, balanced",
    AS_TRAINED: "lookup",
    "transformer": "lookup",
}
"""What the memories of a kind are multiples of."""
RELATIVE = {"cost": "cost", "margin at cost 100": "margin at equal cost", "map, nuclear": "nuclear norm of W"}
RELATIVE |= {"sharpness": "sharpness", "trace": "trace"}
SHOWN = {"price": "cost / least", "level": "level", "contrast": "contrast", "alignment": "alignment"}
SHOWN |= {"barrier, segment": "barrier, not turned", "barrier, turned": "barrier, turned"}
SHOWN_WAYS = {
    "gaussian, slow": "Gaussian, AdamW",
    "identity, slow": "identity, AdamW",
    "gaussian, descent": "Gaussian, descent",
    "identity, descent": "identity, descent",
    "lookup, descent": "lookup, descent",
    "lookup, descent, decay": "lookup, descent, decay .01",
}
WAY_CURVES = {"price": "cost / least", "level": "level", "contrast": "contrast", "alignment": "alignment"}
WAY_CURVES |= dict.fromkeys(("by_rows", "by_map", "toward_lookup", "toward_factored", "recall"), "")
"""What the table of trainings looks at; those with a title as they end."""
CURVES = {"alignment": "Fiedler alignment", "level": "level", "price": "cost / least cost"}


def tabulate(runs: Evidence) -> pl.DataFrame:
    """A row per world, kind, memory, quantity and seed; of curves and segments means over seeds by place.

    `place` is a step, or the number of a point on a segment; it is missing for what is one number.
    """
    rows = []
    for key, array in runs.arrays.items():
        kind, _, rest = key.partition("/")
        if kind == "way":
            world, _, rest = rest.partition("/")
            memory, _, quantity = rest.rpartition(".")
            if quantity != "steps":
                steps = runs.arrays[f"way/{world}/{memory}.steps"]
                rows += _curve(("way", world, memory, quantity), steps, array)
            continue
        world, _, rest = rest.partition(".")
        memory, _, quantity = rest.partition(".")
        kind = kind.removeprefix("ends-")
        if kind == "bilinear" and not memory.endswith("balanced"):
            kind = AS_TRAINED
        if array.ndim == 2:
            rows += _curve((kind, world, memory, quantity), np.arange(array.shape[1]), array.T)
            array, quantity = barrier(array), f"barrier, {quantity}"
        rows += [(kind, world, memory, quantity, run, None, float(value)) for run, value in enumerate(array)]
    for key, fleet in runs.fleets.items():
        memory, _, world = key.partition("/")
        for quantity, values in (
            ("level", level_when_reached(fleet, world)),
            ("level at the end", fleet.metrics["geometric_level"][-1]),
            ("alignment at the end", alignment(fleet)),
        ):
            places = enumerate(values.tolist())
            rows += [("stream", world, memory, quantity, run, None, value) for run, value in places]
    names = ("kind", "world", "memory", "quantity", "seed", "place", "value")
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


def _curve(labels: tuple[str, ...], places: np.ndarray, array: np.ndarray) -> list[tuple]:
    means = array.mean(axis=1).tolist()
    return [(*labels, None, int(place), mean) for place, mean in zip(places, means, strict=True)]


def _mean(table: pl.DataFrame, kind: str, world: str, memory: str, quantity: str) -> float:
    values = table.filter(
        pl.col("kind") == kind,
        pl.col("world") == world,
        pl.col("memory") == memory,
        pl.col("quantity") == quantity,
        pl.col("place").is_null(),
    )["value"]
    return float(values.to_numpy().mean()) if len(values) else float("nan")


def _names(table: pl.DataFrame, column: str, kind: str) -> list[str]:
    return table.filter(pl.col("kind") == kind)[column].unique(maintain_order=True).to_list()


def multiples(table: pl.DataFrame, kind: str, memory: str, quantity: str) -> list[float]:
    """A quantity as a multiple of the lookup table's, by world; of the Transformer squares for costs."""
    if kind == "transformer" and quantity == "cost":
        quantity = "squares"
    return [
        _mean(table, kind, world, memory, quantity) / _mean(table, kind, world, LOOKUPS[kind], quantity)
        for world in _names(table, "world", kind)
    ]


def by_memory(table: pl.DataFrame) -> pl.DataFrame:
    """A row per memory at one loss, means over worlds: multiples of the lookup table, and what it shows."""
    rows = []
    for kind in KINDS:
        worlds = _names(table, "world", kind)
        for memory in _names(table, "memory", kind):
            plain = memory.removesuffix(", balanced")
            row: dict[str, object] = {"memory": f"{plain} ({kind})"}
            for quantity, title in RELATIVE.items():
                row[title] = float(np.mean(multiples(table, kind, memory, quantity)))
            for quantity in ("sharpness", "trace"):
                found = multiples(table, AS_TRAINED, plain, quantity) if kind == "bilinear" else [np.nan]
                row[f"{quantity} as trained"] = float(np.mean(found))
            for quantity, title in SHOWN.items():
                row[title] = float(np.mean([_mean(table, kind, world, memory, quantity) for world in worlds]))
            rows.append(row)
    return pl.DataFrame(rows)


def by_world(table: pl.DataFrame) -> pl.DataFrame:
    """Cost (of the Transformer all squares) and curvature of every memory, world by world."""
    rows = []
    for kind in KINDS:
        for world in _names(table, "world", kind):
            for memory in _names(table, "memory", kind):
                row: dict[str, object] = {"world": world}
                row["memory"] = f"{memory.removesuffix(', balanced')} ({kind})"
                for title in ("cost", "sharpness", "trace"):
                    quantity = "squares" if (kind, title) == ("transformer", "cost") else title
                    row[title] = _mean(table, kind, world, memory, quantity)
                rows.append(row)
    return pl.DataFrame(rows).sort("world", maintain_order=True)


def curve(table: pl.DataFrame, world: str, way: str, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and means over seeds of one curve."""
    own = table.filter(
        pl.col("kind") == "way",
        pl.col("world") == world,
        pl.col("memory") == way,
        pl.col("quantity") == quantity,
    )
    return own["place"].to_numpy(), own["value"].to_numpy()


def by_way(table: pl.DataFrame) -> pl.DataFrame:
    """How every training that is followed goes and ends, means over worlds and seeds.

    The lowest recall is that from the loss of comparison on, or that at the end where it is never reached.
    The embeddings' share is that of the first-order decrease until the loss of comparison; cosines of the
    first ten updates are those with the direction to either memory.
    """
    rows = []
    for name, way in WAYS.items():
        found: dict[str, list[float]] = {}
        for world in _names(table, "world", "way"):
            curves = {key: curve(table, world, name, key)[1] for key in WAY_CURVES}
            steps, losses = curve(table, world, name, "loss")
            above = losses - target_loss(world) + EXCESS
            row = int((above <= EXCESS + 1e-6).argmax())
            gained = curves["by_rows"][row] + curves["by_map"][row]
            numbers = {"embeddings' share": curves["by_rows"][row] / gained if row and gained else np.nan}
            for key in ("lookup", "factored"):
                numbers[f"cosine to {key}"] = curves[f"toward_{key}"][steps < 10].mean()
            reached = above[row] <= EXCESS + 1e-6
            held = curves["recall"][row if reached else -1 :]
            numbers |= {"nats above lowest": above[-1], "lowest recall": held.min()}
            ends = {title: curves[key][-1] for key, title in WAY_CURVES.items() if title}
            for title, value in (numbers | ends).items():
                found.setdefault(title, []).append(float(value))
        means = {title: float(np.mean(values)) for title, values in found.items()}
        rows.append({"training": name, "steps": way.steps, **means})
    return pl.DataFrame(rows)


def by_crossing(table: pl.DataFrame) -> pl.DataFrame:
    """Fiedler alignment of the mean run: its peak, when, and after 1, 6 and 40 times the paper's budget."""
    rows = []
    for name in ("gaussian, slow", "identity, slow", "gaussian, descent", "identity, descent"):
        for world in _names(table, "world", "way"):
            steps, values = curve(table, world, name, "alignment")
            row: dict[str, object] = {"training": name, "world": world, "peak": float(values.max())}
            row["at step"] = int(steps[values.argmax()])
            for budget in BUDGETS:
                found = values[steps == budget]
                row[f"at {budget:,}"] = float(found[0]) if len(found) else None
            rows.append(row | {"at the end": float(values[-1])})
    return pl.DataFrame(rows)


def by_stream(table: pl.DataFrame) -> pl.DataFrame:
    """The level of Transformers with and without residual stream and attention, when the loss is reached."""
    rows = []
    for memory in _names(table, "memory", "stream"):
        row: dict[str, object] = {"transformer": memory}
        worlds = _names(table, "world", "stream")
        row |= {world: _mean(table, "stream", world, memory, "level") for world in worlds}
        for quantity in ("level at the end", "alignment at the end"):
            found = [_mean(table, "stream", world, memory, quantity) for world in worlds]
            row[quantity] = float(np.mean(found))
        rows.append(row)
    return pl.DataFrame(rows)


def draw_memories(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Cost, sharpness and trace as multiples of the lookup table's: a row per memory, a mark per world."""
    from geomem.figures.drawing import dressed_axes, new_figure

    shown = [
        (kind, memory)
        for kind in KINDS
        for memory in _names(table, "memory", kind)
        if memory != LOOKUPS[kind]
    ][::-1]
    figure = new_figure(8.6, 3.6, theme)
    for panel, quantity in enumerate(("cost", "sharpness", "trace")):
        axes = dressed_axes(figure, theme, 1, 3, panel + 1)
        axes.axvline(1, color=theme.line, linewidth=1)
        for place, (kind, memory) in enumerate(shown):
            worlds = _names(table, "world", kind)
            for number, (world, value) in enumerate(
                zip(worlds, multiples(table, kind, memory, quantity), strict=True)
            ):
                height = place + 0.12 * (len(worlds) / 2 - 0.5 - number)
                label = world if place == 0 else None
                axes.plot([value], [height], "o", color=theme.branches[number], markersize=3.5, label=label)
        names = [f"{memory.removesuffix(', balanced')} ({kind})" for kind, memory in shown]
        axes.set_yticks(range(len(shown)), [""] * len(shown) if panel else names)
        axes.set_xscale("log")
        axes.set_xticks([0.25, 0.5, 1, 2], ["¼", "½", "1", "2"])
        axes.minorticks_off()
        axes.set_title(quantity, fontsize=9)
        axes.set_xlabel("multiple of the lookup table's")
    _legend(figure, theme)
    return figure


def draw_ways(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Alignment, level and cost along six trainings: a column per world; means over seeds."""
    from geomem.figures.drawing import dressed_axes, new_figure

    worlds = _names(table, "world", "way")
    figure = new_figure(2.1 * len(worlds), 6.2, theme)
    for line, (quantity, title) in enumerate(CURVES.items()):
        for column, world in enumerate(worlds):
            axes = dressed_axes(figure, theme, len(CURVES), len(worlds), line * len(worlds) + column + 1)
            for number, (way, label) in enumerate(SHOWN_WAYS.items()):
                steps, values = curve(table, world, way, quantity)
                style = "--" if "descent" in way else "-"
                colour = theme.branches[(0, 1, 0, 1, 2, 3)[number]]
                axes.plot(steps[1:], values[1:], style, color=colour, linewidth=1.3, label=label)
            axes.set_xscale("log")
            axes.set_xticks([1, 100, 10_000], ["1", "100", "10,000"])
            axes.minorticks_off()
            if quantity != "price":
                axes.set_ylim(-0.6 if quantity == "level" else 0, 1.02)
            else:
                axes.set_ylim(0.95, 2.05)
            if column == 0:
                axes.set_ylabel(title)
            if line == 0:
                axes.set_title(world, fontsize=9)
            if line == len(CURVES) - 1:
                axes.set_xlabel("step")
    _legend(figure, theme, columns=3)
    return figure


def draw_segments(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """The loss above the lowest from the lookup table to a geometry: a panel per world; means over seeds."""
    from geomem.figures.drawing import dressed_axes, new_figure

    worlds = _names(table, "world", "bilinear")
    figure = new_figure(2.1 * len(worlds), 2.6, theme)
    for column, world in enumerate(worlds):
        axes = dressed_axes(figure, theme, 1, len(worlds), column + 1)
        for number, end in enumerate(("gaussian", "identity")):
            for way, style in (("turned", "-"), ("segment", ":")):
                own = table.filter(
                    pl.col("kind") == "bilinear",
                    pl.col("world") == world,
                    pl.col("memory") == f"{end}, balanced",
                    pl.col("quantity") == way,
                )
                losses = own["value"].to_numpy() - target_loss(world) + EXCESS
                label = f"to {end}, {'turned' if way == 'turned' else 'not turned'}"
                shares = np.linspace(0, 1, len(losses))
                axes.plot(shares, losses, style, color=theme.branches[number], linewidth=1.4, label=label)
        axes.set_title(world, fontsize=9)
        axes.set_xlabel("share of the way")
        axes.set_ylim(0, None)
        if column == 0:
            axes.set_ylabel("nats above the lowest loss")
    _legend(figure, theme)
    return figure


def _legend(figure: "Figure", theme: "Theme", columns: int = 5) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    where, ink = "outside lower center", theme.ink
    figure.legend(handles, labels, loc=where, ncols=columns, frameon=False, labelcolor=ink)


def conclude(table: pl.DataFrame) -> tuple[str, ...]:
    """What is cheaper, flatter, nearer, and what the start leads to."""

    def span(values: list[float]) -> str:
        return f"{min(values):.2f} to {max(values):.2f}"

    worlds = _names(table, "world", "way")

    def ends(way: str, quantity: str) -> list[float]:
        return [float(curve(table, world, way, quantity)[1][-1]) for world in worlds]

    costs = {
        end: multiples(table, "bilinear", f"{end}, balanced", "cost") for end in ("gaussian", "identity")
    }
    sharp = {end: multiples(table, "bilinear", f"{end}, balanced", "sharpness") for end in costs}
    streams = {
        memory: np.array([_mean(table, "stream", world, memory, "level") for world in worlds])
        for memory in _names(table, "memory", "stream")
    }
    with_stream, without = (span(streams[memory].tolist()) for memory in ("whole", "no residual"))
    barriers = [
        _mean(table, "bilinear", world, f"{end}, balanced", "barrier, turned")
        for end in costs
        for world in worlds
    ]
    return (
        "Cheaper: written down with the same logits, the factored memory costs "
        f"{span(multiples(table, 'written', 'factored', 'cost'))} of the lookup table over orthonormal rows; "
        f"trained to one loss, a Gaussian start {span(costs['gaussian'])} and the identity "
        f"{span(costs['identity'])} of the trained lookup table.",
        "Flatter: the factored memory's largest eigenvalue is "
        f"{span(multiples(table, 'written', 'factored', 'sharpness'))} of the lookup table's, a Gaussian "
        f"start's {span(sharp['gaussian'])}, the identity's {span(sharp['identity'])}.",
        f"Nearer: turned alike, the loss rises by {span(barriers)} nats between lookup table and geometry.",
        "The start: gradient descent from a small Gaussian start ends at "
        f"{span(ends('gaussian, descent', 'price'))} of the least cost for its logits, with a level of "
        f"{span(ends('gaussian, descent', 'level'))}; from the identity at a level of "
        f"{span(ends('identity, descent', 'level'))}.",
        "Leaving a lookup table: without decay its cost stays at "
        f"{span(ends('lookup, descent', 'price'))} of the least, with decay .01 it falls to "
        f"{span(ends('lookup, descent, decay', 'price'))}.",
        f"The Transformer: with a residual stream it reaches the loss at a level of {with_stream}, without "
        f"at {without}.",
    )
