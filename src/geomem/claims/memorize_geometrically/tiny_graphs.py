"""The four tiny graphs and the published settings of the models trained on them, as requests for fleets.

Settings are those of the release's notebooks (notes B.3.1 to B.3.4) with three
differences: self-edges count once, associative runs have no positions, and at the quick scale what `FULL`
lists is trained for fewer steps or at a smaller width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from geomem.claims.claim import Decorator, Source, expects_each
from geomem.claims.need import FleetRequest, Needs, Scale
from geomem.models.configuration import Associative, Bilinear, Mamba, Model, Node2Vec, Transformer
from geomem.training.configuration import Training, default_training
from geomem.worlds.graphs.families import cycle, grid, irregular, path_star
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization

GRAPHS: dict[str, Graph] = {
    "star": path_star(arms=4, length=5),
    "grid": grid(rows=4, columns=4),
    "cycle": cycle(nodes=15),
    "irregular": irregular(),
}
"""The tiny graphs by the names the tables use."""

BOTH = EdgeMemorization()
FORWARD = EdgeMemorization(directions="forward")
BACKWARD = EdgeMemorization(directions="reverse")
WITH_SELF = EdgeMemorization(self_edges=True)


@dataclass(frozen=True)
class Setting:
    """How one model is trained on one graph."""

    model: Model
    training: Training
    task: EdgeMemorization = BOTH


def adamw(steps: int, learning_rate: float, *, decay: bool = True) -> Training:
    """The notebooks' optimizer: AdamW without weight decay, cosine to a tenth unless said otherwise."""
    return Training(steps=steps, learning_rate=learning_rate, schedule="cosine" if decay else "constant")


def closely_watched(learning_rate: float, *, steps: int = 300) -> Training:
    """A constant learning rate, measured at every step, with many snapshots of the first ones."""
    return Training(
        steps=steps, learning_rate=learning_rate, schedule="constant", metric_every=1, snapshots=60
    )


# With a constant learning rate a shorter training is the beginning of a longer one, number for number.
_WIDE_CYCLE = Setting(Bilinear(width=512), adamw(500, 0.01, decay=False))

SETTINGS: dict[str, Setting] = {
    "transformer/star": Setting(Transformer(), adamw(500, 0.01)),
    "transformer/grid": Setting(Transformer(), adamw(500, 0.01)),
    "transformer/cycle": Setting(Transformer(), adamw(700, 0.01)),
    "transformer/irregular": Setting(Transformer(), adamw(2500, 0.01)),
    "transformer-forward/star": Setting(Transformer(), adamw(500, 0.01), FORWARD),
    "transformer-forward/grid": Setting(Transformer(), adamw(1000, 0.01), FORWARD),
    "transformer-forward/cycle": Setting(Transformer(), adamw(700, 0.01), FORWARD),
    "transformer-forward/irregular": Setting(Transformer(width=48), adamw(2000, 0.01), FORWARD),
    "transformer-self/star": Setting(Transformer(), adamw(500, 0.01), WITH_SELF),
    "transformer-self/grid": Setting(Transformer(), adamw(500, 0.01), WITH_SELF),
    "transformer-self/cycle": Setting(Transformer(), adamw(700, 0.01), WITH_SELF),
    "transformer-self/irregular": Setting(Transformer(width=48), adamw(2000, 0.01), WITH_SELF),
    "bilinear/star": Setting(Bilinear(width=32), adamw(500, 0.01)),
    "bilinear/grid": Setting(Bilinear(width=32), adamw(500, 0.01)),
    "bilinear/cycle": _WIDE_CYCLE,
    "bilinear/irregular": Setting(Bilinear(width=16), adamw(1000, 0.005)),
    "bilinear-self/star": Setting(Bilinear(width=32), adamw(200, 0.05), WITH_SELF),
    "bilinear-self/grid": Setting(Bilinear(width=16), adamw(200, 0.1), WITH_SELF),
    "bilinear-self/cycle": replace(_WIDE_CYCLE, task=WITH_SELF),
    "bilinear-self/irregular": Setting(Bilinear(width=64), adamw(200, 0.05, decay=False), WITH_SELF),
    "associative/star": Setting(Associative(width=32), adamw(500, 0.2)),
    "associative/grid": Setting(Associative(width=32), adamw(500, 0.2)),
    "associative/cycle": Setting(Associative(width=15), adamw(5000, 10.0)),
    "associative/irregular": Setting(Associative(width=16), adamw(500, 2.0)),
    "associative-self/star": Setting(Associative(width=32), adamw(200, 1.0), WITH_SELF),
    "associative-self/grid": Setting(Associative(width=16), adamw(200, 15.0), WITH_SELF),
    "associative-self/cycle": Setting(Associative(width=15), adamw(200, 5.0), WITH_SELF),
    "associative-self/irregular": Setting(Associative(width=64), adamw(200, 0.5), WITH_SELF),
}
"""Model, training and task by "name/graph"."""

FULL: dict[str, Setting] = {
    "bilinear/cycle": replace(_WIDE_CYCLE, training=adamw(10_000, 0.01, decay=False)),
    "bilinear-self/cycle": replace(_WIDE_CYCLE, training=adamw(10_000, 0.01, decay=False), task=WITH_SELF),
}
"""What the full scale trains instead: the published length, the published width."""

for _graph in GRAPHS:
    _steps = SETTINGS[f"transformer/{_graph}"].training.steps
    _backward = SETTINGS[f"transformer-forward/{_graph}"]
    SETTINGS |= {
        f"transformer-backward/{_graph}": replace(_backward, task=BACKWARD),
        f"transformer-untied/{_graph}": Setting(Transformer(tied=False), adamw(_steps, 0.01)),
        f"transformer-frozen/{_graph}": Setting(Transformer(frozen_embeddings=True), adamw(2000, 0.01)),
        f"mamba/{_graph}": Setting(Mamba(), adamw(500, 0.01)),
        f"node2vec/{_graph}": Setting(Node2Vec(), default_training(Node2Vec())),
        f"node2vec-untied/{_graph}": Setting(
            Node2Vec(tied=False, embedding_scale=0.1),
            replace(default_training(Node2Vec()), learning_rate=0.05),
        ),
        f"associative-fast/{_graph}": Setting(
            Associative(width=512), Training(steps=10, learning_rate=0.1, schedule="constant", metric_every=1)
        ),
        f"identity-start/{_graph}": Setting(
            Bilinear(width=512, initialization="identity"), closely_watched(0.001, steps=100)
        ),
    }
    for _width in (64, 128, 256):
        SETTINGS[f"associative-{_width}/{_graph}"] = Setting(Associative(width=_width), closely_watched(0.1))
    for _rate in (0.001, 0.01, 0.1):
        SETTINGS[f"learnable-{_rate}/{_graph}"] = Setting(Bilinear(width=512), closely_watched(_rate))
    for _rate in (0.01, 0.1):
        SETTINGS[f"descent-{_rate}/{_graph}"] = Setting(
            Bilinear(width=32),
            Training(
                steps=2000,
                learning_rate=_rate,
                schedule="constant",
                optimizer="gradient-descent",
                metric_every=20,
            ),
        )

# The knobs of table B.3.4, all on the cycle at width 512, published with 10,000 steps: fewer at the quick
# scale. Only dropout is slow enough to need them all, and is trained at width 128 there.
_UNIT = Bilinear(width=512, initialization="unit-normal")
KNOBS: dict[str, tuple[Setting, int]] = {
    "2a": (Setting(Bilinear(width=512), adamw(10_000, 1e-2, decay=False)), 2000),
    "2b": (Setting(Bilinear(width=512), adamw(10_000, 1e-4, decay=False)), 2000),
    "3a": (Setting(_UNIT, adamw(10_000, 1e-4, decay=False)), 1000),
    "3b": (Setting(_UNIT, adamw(10_000, 1e-1)), 2000),
    "3c": (Setting(_UNIT, replace(adamw(10_000, 1e-4, decay=False), weight_decay=10.0)), 4000),
    "3d": (Setting(replace(_UNIT, dropout=0.4), adamw(10_000, 1e-3, decay=False)), 10_000),
}
"""Published settings by the row of the table, and the steps of the quick scale."""

for _row, (_published, _steps) in KNOBS.items():
    # A row of the metrics every 50 steps is plenty for trainings this long.
    _published = replace(_published, training=replace(_published.training, metric_every=50))
    FULL[f"knob-{_row}/cycle"] = _published
    SETTINGS[f"knob-{_row}/cycle"] = replace(
        _published,
        model=replace(_published.model, width=128) if _row == "3d" else _published.model,
        training=replace(_published.training, steps=_steps),
    )
SETTINGS["knob-1/cycle"] = Setting(Bilinear(width=512), closely_watched(0.01, steps=100), WITH_SELF)


def tiny_graphs(*names: str, graphs: Sequence[str] = tuple(GRAPHS)) -> Needs:
    """The need of the settings of those names on those graphs; keys "name/graph".

    >>> [need.key for need in tiny_graphs("mamba", graphs=("star", "grid"))(Scale("quick", (0, 1)))]
    ['mamba/star', 'mamba/grid']
    """

    keys = [(f"{name}/{graph}", GRAPHS[graph]) for name in names for graph in graphs]

    def request(scale: Scale) -> tuple[FleetRequest, ...]:
        settings = SETTINGS | FULL if scale.name == "full" else SETTINGS
        return tuple(
            FleetRequest(key, world, own.model, own.training, scale.seeds, own.task)
            for key, world in keys
            for own in [settings[key]]
        )

    return request


def expects_by_graph(
    quantity: str, values: Iterable[float | str], source: Source, place: str, tolerance: str = ""
) -> Decorator:
    """`expects` of "quantity, graph", the values in the order of `GRAPHS`."""
    named = zip(values, GRAPHS, strict=True)
    return expects_each((value, source, place, f"{quantity}, {graph}", tolerance) for value, graph in named)
