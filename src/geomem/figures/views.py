"""What the pictures of a fleet show: node order, places in three dimensions, curves, heatmaps, spectra, maps.

A `FleetView` is computed once; every picture, in a file or on the report's page, is a function of it.
Axis names: `run`, `snapshot`, `node` (the shown ones, in display order), `row` (of a heatmap), `step`,
`eigenspace`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csgraph

from geomem.errors import InputError
from geomem.geometry.alignment import fit_to_map, map_coordinates
from geomem.geometry.dynamics import gradient_on_modes, mode_projections, target_distribution
from geomem.geometry.lowest_modes import lowest_modes
from geomem.geometry.projection import joint_pca
from geomem.geometry.similarity import cosine_similarity
from geomem.geometry.spectrum import distinct_eigenvalues, laplacian_spectrum
from geomem.measure.edges import Portrait, measure_fleet, sound_runs, stored_task
from geomem.measure.paths import (
    FIRST_PROMPT,
    PathDistances,
    path_distances,
    stored_path_task,
    unasked_metrics,
)
from geomem.models.configuration import MODELS
from geomem.runs.run import Run
from geomem.worlds.graphs.graph import Graph, adjacency_matrix, component_labels, node_degrees
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.tasks import edge_examples

DRAWN_NODES = 1200
"""Nodes drawn in three dimensions at most; of a larger graph a connected piece is drawn, and it is said."""
DRAWN_EDGES = 4000
HEATMAP_NODES = 120
"""Rows of a heatmap at most; of a larger graph every n-th node is shown."""
DENSE_NODES = 600
"""Largest graph for which the dynamics of every eigenspace are computed."""
CURVE_ROWS = 300
SNAPSHOT_NUMBERS = 30_000_000
"""Numbers of snapshots taken into memory at most; of more, evenly chosen snapshots are shown."""


@dataclass(frozen=True, eq=False)
class Dynamics:
    """How one-hop Node2Vec moves along each eigenspace of the Laplacian while it trains."""

    eigenvalues: Float[np.ndarray, " eigenspace"]
    multiplicities: Int[np.ndarray, " eigenspace"]
    projections: Float[np.ndarray, "run snapshot eigenspace"]
    """Root mean square over the eigenspace's modes of ‖Vᵀ e_i‖, which no choice of basis changes."""
    gradients: Float[np.ndarray, "run snapshot eigenspace"] | None
    """The same of ‖C e_i‖; for tied tables only, for which C is defined."""


@dataclass(frozen=True, eq=False)
class FleetView:
    """Everything the pictures of one fleet show."""

    fleet: Run
    portrait: Portrait
    model: str
    nodes: Int[np.ndarray, " node"]
    """The shown nodes' ids in the graph, in display order."""
    order: str
    """How they are ordered, in words."""
    branches: list[int] | None
    """Branch of each shown node, -1 for the root; only for trees with a root."""
    edges: Int[np.ndarray, "edge 2"]
    """The drawn edges as places in `nodes`."""
    steps: Int[np.ndarray, " snapshot"]
    places: Float[np.ndarray, "run snapshot node 3"]
    """Joint principal components, each snapshot scaled to fit the unit ball."""
    spreads: Float[np.ndarray, "run snapshot"]
    """Root mean square distance of all nodes from their centre, in the embedding's own unit."""
    explained: Float[np.ndarray, "run snapshot"]
    """Share of each snapshot's variance that the three axes show."""
    modes: Float[np.ndarray, "run snapshot node 3"] | None
    """The three smoothest modes, each stretched by the embedding's share on it; None if not listable."""
    heatmap_nodes: Int[np.ndarray, " row"]
    """Places in `nodes` of the heatmaps' rows."""
    cosines: Float[np.ndarray, "run snapshot row row"]
    distances: Float[np.ndarray, "row row"]
    curve_steps: Int[np.ndarray, " step"]
    curves: dict[str, Float[np.ndarray, "step run"]]
    dynamics: Dynamics | None
    learned_maps: Float[np.ndarray, "run node 2"] | None
    """Learned places of the shown nodes laid over the true ones, where the world has coordinates."""
    map_correlations: Float[np.ndarray, " run"] | None
    paths: PathDistances | None
    """Cosine distances of held-out paths; of fleets that find paths in their weights."""
    omissions: tuple[str, ...]
    """What the pictures leave out because the graph is large, one sentence each."""

    @property
    def graph(self) -> Graph:
        """The world."""
        return self.fleet.graph

    @property
    def labels(self) -> list[str]:
        """Labels of the shown nodes."""
        return [self.graph.labels[node] for node in self.nodes]

    @property
    def title(self) -> str:
        """World and model in one line."""
        return f"{self.graph.name} · {self.model}"

    @property
    def root(self) -> int | None:
        """Place of the root among the shown nodes."""
        found = np.flatnonzero(self.nodes == self.graph.root) if self.graph.root is not None else []
        return int(found[0]) if len(found) else None


def view_fleet(fleet: Run, portrait: Portrait | None = None) -> FleetView:
    """Everything the pictures of a stored fleet show; its `Portrait` is measured unless given.

    Runs that diverged to NaN or infinity are not shown; the portrait's signatures tell of them.
    """
    graph, configuration = fleet.graph, fleet.manifest["configuration"]
    portrait = measure_fleet(fleet) if portrait is None else portrait
    if not fleet.model.width:
        raise InputError(
            f"{fleet.path} is of a module whose embedding is not known, so there is nothing to draw; train "
            "it with its embedding named (--embedding NAME), or use geomem measure."
        )
    fleet = sound_runs(fleet)  # numbers that are none have no place in a picture
    nodes, order = display_order(graph)
    omissions = []
    if isinstance(stored_path_task(fleet), InContextPathFinding):
        omissions.append(FIRST_PROMPT)
    if graph.node_count > DRAWN_NODES:
        kept = _connected_piece(graph, DRAWN_NODES)
        nodes = nodes[np.isin(nodes, kept)]
        omissions.append(
            f"The 3-D views draw {len(nodes):,} of {graph.node_count:,} nodes: those nearest to the "
            f"{'root' if graph.root is not None else 'node with the most neighbours'}."
        )
    places_of = np.full(graph.node_count, -1)
    places_of[nodes] = np.arange(len(nodes))
    edges = places_of[graph.edges]
    edges = edges[(edges >= 0).all(axis=1)]
    if len(edges) > DRAWN_EDGES:
        omissions.append(f"The 3-D views draw {DRAWN_EDGES:,} of {graph.edge_count:,} edges, evenly chosen.")
        edges = edges[np.linspace(0, len(edges) - 1, DRAWN_EDGES).astype(np.int64)]
    rows = np.arange(len(nodes))
    if len(nodes) > HEATMAP_NODES:
        rows = np.unique(np.linspace(0, len(nodes) - 1, HEATMAP_NODES).astype(np.int64))
        omissions.append(f"The heatmaps show {len(rows):,} of {graph.node_count:,} nodes, evenly chosen.")

    steps, stacked = fleet.snapshots()
    if stacked.size > SNAPSHOT_NUMBERS:
        count = max(2, len(steps) * SNAPSHOT_NUMBERS // stacked.size)
        kept = np.linspace(0, len(steps) - 1, count).astype(np.int64)
        omissions.append(f"The slider stops at {count} of the {len(steps)} snapshots.")
        steps, stacked = steps[kept], stacked[kept]
    snapshots = np.asarray(stacked, dtype=np.float64).swapaxes(0, 1)
    places, explained = _fitted_places(snapshots, nodes)
    centred = snapshots - snapshots.mean(axis=2, keepdims=True)
    curve_steps, curves = _curves(fleet)
    shown = nodes[rows]
    learned_maps, map_correlations = _maps(fleet, nodes)
    return FleetView(
        fleet=fleet,
        portrait=portrait,
        model=describe_model(configuration),
        nodes=nodes,
        order=order,
        branches=_branches(graph, nodes),
        edges=edges,
        steps=steps,
        places=places,
        spreads=np.sqrt((centred**2).sum(axis=-1).mean(axis=-1)),
        explained=explained,
        modes=_stretched_modes(graph, snapshots, nodes),
        heatmap_nodes=rows,
        cosines=cosine_similarity(snapshots[:, :, shown]),
        distances=_distances_between(graph, shown),
        curve_steps=curve_steps,
        curves=curves,
        dynamics=_dynamics(fleet, snapshots),
        learned_maps=learned_maps,
        map_correlations=map_correlations,
        paths=path_distances(fleet),
        omissions=tuple(omissions),
    )


def describe_model(configuration: Mapping[str, Any]) -> str:
    """A run's model, task and treatment in a few words: the kind, and what differs from the plain form.

    >>> model = {"kind": "node2vec", "width": 100, "tied": False}
    >>> task, treatment = {"self_edges": True, "noise_share": 0.5}, {"dirichlet": 0.1}
    >>> describe_model({"model": model, "task": task, "treatment": treatment})
    'Node2Vec, width 100, untied, self-edges, noise share 0.5, dirichlet 0.1'
    >>> task = {"kind": "path-finding", "target": "first-hop", "path_weight": 1.0, "edge_weight": 0.0}
    >>> describe_model({"model": {"kind": "mamba", "width": 64}, "task": task})
    'Mamba, width 64, first hops, paths alone'
    """
    model, task = configuration["model"], configuration["task"]
    kind = MODELS.get(model["kind"])
    words = [kind.title if kind else str(model.get("source", model["kind"]))]
    if "layers" in model:
        words.append(f"{model['layers']} layer{'s' if model['layers'] != 1 else ''}")
    words.append(f"width {model.get('width', '?')}")
    remarks = kind.remarks if kind else {}
    words += [said[model[name]] for name, said in remarks.items() if model.get(name) in said]
    if task.get("directions", "both") != "both":
        words.append(f"{task['directions']} edges only")
    if task.get("self_edges"):
        words.append("self-edges")
    dials = [name for name in ("reverse_share", "zipf_exponent", "noise_share") if name in task]
    words += [f"{name.replace('_', ' ')} {task[name]}" for name in dials]
    treatment = configuration.get("treatment", {})
    words += _path_words(task)
    return ", ".join([*words, *(f"{name.replace('_', ' ')} {value}" for name, value in treatment.items())])


def _path_words(task: dict[str, Any]) -> list[str]:
    """What is asked of a fleet that finds paths, and what is left out of its training."""
    if "target" not in task:
        return []
    targets = {"path": "paths", "first-hop": "first hops", "reverse": "reversed paths"}
    words = [targets.get(task["target"], f"{task['target']} paths")]
    if task.get("kind") == "in-context-path-finding":
        words.append("in context")
    words += ["edges alone"] if task.get("path_weight") == 0 else []
    words += ["paths alone"] if task.get("edge_weight") == 0 else []
    words += [f"{task['pauses']} pauses"] if "pauses" in task else []
    words += ["whole subtrees held out"] if task.get("split") == "first-hop" else []
    return words


def display_order(graph: Graph) -> tuple[Int[np.ndarray, " node"], str]:
    """Order of the nodes in heatmaps and colours, and that order in words.

    A graph with a root: the root, then branch after branch. Labels that are numbers: as numbered. Otherwise
    along the Fiedler vector of every connected component, which brings neighbours close together.

    >>> from geomem.worlds.graphs.families import path_star
    >>> graph = path_star(arms=2, length=3)
    >>> [graph.labels[node] for node in display_order(graph)[0]]
    ['root', '1.1', '1.2', '2.1', '2.2']
    """
    if graph.root is not None:
        return np.array(_depth_first(graph), dtype=np.int64), "root first, then branch after branch"
    if all(label.isdecimal() for label in graph.labels):
        numbers = np.array([float(label) for label in graph.labels])
        return np.argsort(numbers, kind="stable"), "as numbered"
    if graph.node_count > DRAWN_NODES or (node_degrees(graph) == 0).any():
        return np.arange(graph.node_count), "as given"
    spectrum = laplacian_spectrum(graph, "combinatorial")  # its Fiedler vector is monotone on a path
    components = component_labels(graph)
    heights = np.zeros(graph.node_count)
    for component in np.unique(components):
        own = np.flatnonzero(spectrum.components == component)
        if len(own) > 1:
            heights += spectrum.eigenvectors[:, own[1]]
    return np.lexsort(
        (heights, components)
    ), "along the graph's Fiedler vector, so that neighbours stand close"


def _natural_key(label: str) -> tuple[tuple[int, float, str], ...]:
    return tuple((0, float(part), "") if part.isdecimal() else (1, 0.0, part) for part in label.split("."))


def _depth_first(graph: Graph) -> list[int]:
    neighbours: list[list[int]] = [[] for _ in graph.labels]
    for tail, head in graph.edges.tolist():
        neighbours[tail].append(head)
        neighbours[head].append(tail)
    for row in neighbours:
        row.sort(key=lambda node: _natural_key(graph.labels[node]), reverse=True)
    seen, order = set(), []
    starts = [graph.root, *range(graph.node_count)]
    for start in starts:
        stack = [start]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                order.append(node)
                stack.extend(neighbours[node])
    return order


def _branches(graph: Graph, nodes: Int[np.ndarray, " node"]) -> list[int] | None:
    """Connected component of every node once the root is taken out, numbered as met in display order."""
    if graph.root is None:
        return None
    kept = adjacency_matrix(graph).tolil()
    kept[graph.root, :] = 0
    kept[:, graph.root] = 0
    pieces = csgraph.connected_components(kept.tocsr(), directed=False)[1]
    numbers: dict[int, int] = {}
    return [-1 if n == graph.root else numbers.setdefault(int(pieces[n]), len(numbers)) for n in nodes]


def _connected_piece(graph: Graph, count: int) -> Int[np.ndarray, " node"]:
    start = graph.root if graph.root is not None else int(node_degrees(graph).argmax())
    reached = csgraph.breadth_first_order(adjacency_matrix(graph), start, directed=False)[0]
    return reached[:count]


def _distances_between(graph: Graph, nodes: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row row"]:
    distances = csgraph.shortest_path(adjacency_matrix(graph), method="D", unweighted=True, indices=nodes)
    return distances[:, nodes]


def _fitted_places(
    snapshots: Float[np.ndarray, "run snapshot all width"], nodes: Int[np.ndarray, " node"]
) -> tuple[Float[np.ndarray, "run snapshot node 3"], Float[np.ndarray, "run snapshot"]]:
    """Joint principal components of snapshots that are each centred and brought to the same size first.

    Without that, the widest snapshot, often the random start, would choose the axes for all.
    """
    centred = snapshots - snapshots.mean(axis=2, keepdims=True)
    sizes = np.sqrt((centred**2).sum(axis=(2, 3), keepdims=True))
    shapes = np.divide(centred, sizes, out=np.zeros_like(centred), where=sizes > 0)
    places = np.stack([joint_pca(run).coordinates for run in shapes])
    explained = (places**2).sum(axis=(2, 3))
    places = places[:, :, nodes]
    reach = np.linalg.norm(places, axis=-1).max(axis=-1)[..., None, None]
    return np.divide(places, reach, out=np.zeros_like(places), where=reach > 0), explained


def _stretched_modes(
    graph: Graph, snapshots: Float[np.ndarray, "run snapshot all width"], nodes: Int[np.ndarray, " node"]
) -> Float[np.ndarray, "run snapshot node 3"] | None:
    """Laplacian coordinates, each axis stretched by sqrt(energy of its eigenspace / (dimension · ‖V‖²))."""
    count = min(4, graph.node_count)
    try:
        spectrum = lowest_modes(graph, count)
    except InputError:
        return None  # the eigenspace at the cut is too large to list
    groups = spectrum.eigenspaces
    sizes = np.bincount(groups)
    energies = mode_projections(snapshots, spectrum.eigenvectors) ** 2
    total = (snapshots**2).sum(axis=(2, 3))[..., None]
    shares = np.divide(energies, total, out=np.zeros_like(energies), where=total > 0)
    per_group = np.stack([shares[..., groups == group].sum(axis=-1) for group in range(len(sizes))], axis=-1)
    stretch = np.sqrt(per_group / sizes)[..., groups]
    coordinates = np.zeros((*snapshots.shape[:2], len(nodes), 3))
    stretched = stretch[..., None, 1:count] * spectrum.eigenvectors[nodes, 1:count]
    coordinates[..., : count - 1] = stretched
    reach = np.linalg.norm(coordinates, axis=-1).max(axis=(1, 2))[:, None, None, None]
    return np.divide(coordinates, reach, out=np.zeros_like(coordinates), where=reach > 0)


def _curves(fleet: Run) -> tuple[Int[np.ndarray, " step"], dict[str, Float[np.ndarray, "step run"]]]:
    steps, rows = fleet.steps, np.arange(len(fleet.steps))
    if len(steps) > CURVE_ROWS:
        # Half of the rows evenly, half by ratio, so that neither a linear nor a logarithmic axis has holes.
        even = np.linspace(0, len(steps) - 1, CURVE_ROWS // 2)
        ratios = np.geomspace(1, len(steps), CURVE_ROWS // 2) - 1
        rows = np.unique(np.concatenate([even, ratios]).astype(np.int64))
    unasked = unasked_metrics(fleet)
    return steps[rows], {name: curve[rows] for name, curve in fleet.curves().items() if name not in unasked}


def _dynamics(fleet: Run, snapshots: Float[np.ndarray, "run snapshot node width"]) -> Dynamics | None:
    configuration = fleet.manifest["configuration"]
    graph = fleet.graph
    if configuration["model"].get("kind") != "node2vec" or graph.node_count > DENSE_NODES:
        return None
    task = stored_task(fleet)
    spectrum = laplacian_spectrum(graph, self_edges=task.self_edges)
    eigenvalues, multiplicities = distinct_eigenvalues(spectrum)

    def per_eigenspace(
        values: Float[np.ndarray, "run snapshot mode"],
    ) -> Float[np.ndarray, "run snapshot eigenspace"]:
        starts = np.concatenate([[0], np.cumsum(multiplicities)[:-1]])
        return np.sqrt(np.add.reduceat(values**2, starts, axis=-1) / multiplicities)

    gradients = None
    if configuration["model"].get("tied", True):
        targets = target_distribution(edge_examples(graph, task), graph.node_count)
        gradients = np.stack([gradient_on_modes(run, targets, spectrum.eigenvectors) for run in snapshots])
        gradients = per_eigenspace(gradients)
    projections = per_eigenspace(mode_projections(snapshots, spectrum.eigenvectors))
    return Dynamics(eigenvalues, multiplicities, projections, gradients)


def _maps(
    fleet: Run, nodes: Int[np.ndarray, " node"]
) -> tuple[Float[np.ndarray, "run node 2"] | None, Float[np.ndarray, " run"] | None]:
    true = fleet.graph.coordinates
    if true is None:
        return None, None
    fits = [fit_to_map(learned, true) for learned in map_coordinates(fleet.embeddings())]
    return np.stack([fit.aligned[nodes] for fit in fits]), np.array([fit.correlation for fit in fits])
