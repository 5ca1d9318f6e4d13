"""The loss of a model on its examples as a function of all its trained numbers: slope, curvature, segments.

A *point* is every trained number of one run, flattened one tensor after the other in the order of
`trainable_names`. Axis names: `point`, `parameter`, `direction`, `run`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.errors import InputError
from geomem.geometry.landscape import estimate_trace, largest_curvature
from geomem.models.architecture import Model
from geomem.runs.run import Run
from geomem.worlds.tasks import EdgeMemorization, Examples, edge_examples

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 64
"""Points or directions at once."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """A loss in float64 as a function of points. It has no dropout."""

    model: Model
    examples: Examples
    fixed: Mapping[str, Float[np.ndarray, "..."]]
    """Tensors that are not trained, of one run."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of the trained ones, in the order in which a point has them."""

    @property
    def size(self) -> int:
        """Trained numbers of a run."""
        return sum(prod(shape) for shape in self.shapes.values())

    def join(self, weights: Mapping[str, np.ndarray]) -> Float[np.ndarray, " parameter"]:
        """The point of a run's tensors."""
        return np.concatenate([np.asarray(weights[name], np.float64).ravel() for name in self.shapes])

    def cut(self, point: Float[np.ndarray, " parameter"]) -> dict[str, np.ndarray]:
        """The tensors of a point, by name."""
        ends = np.cumsum([prod(shape) for shape in self.shapes.values()])[:-1]
        parts = np.split(point, ends)
        return {
            name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def losses(self, points: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        """The loss at every point."""
        import torch

        with torch.no_grad():
            return self._losses(torch.as_tensor(points)).numpy()

    def gradients(self, points: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, "point parameter"]:
        """The gradient at every point."""
        import torch

        leaves = torch.tensor(points, requires_grad=True)
        return torch.autograd.grad(self._losses(leaves).sum(), leaves)[0].numpy()

    def curve(
        self, point: Float[np.ndarray, " parameter"], directions: Float[np.ndarray, "direction parameter"]
    ) -> Float[np.ndarray, "direction parameter"]:
        """The Hessian at a point times every direction, by differentiating the slope along it."""
        import torch

        found = []
        for start in range(0, len(directions), BATCH):
            rows = torch.tensor(directions[start : start + BATCH])
            leaves = torch.tensor(point).expand(len(rows), -1).clone().requires_grad_()
            slopes = torch.autograd.grad(self._losses(leaves).sum(), leaves, create_graph=True)[0]
            found.append(torch.autograd.grad((slopes * rows).sum(), leaves)[0].numpy())
        return np.concatenate(found)

    def segment(
        self,
        start: Float[np.ndarray, " parameter"],
        end: Float[np.ndarray, " parameter"],
        *,
        points: int = 25,
    ) -> Float[np.ndarray, " point"]:
        """The loss at evenly spaced points from one to another, both included."""
        shares = np.linspace(0, 1, points)[:, None]
        return self.losses((1 - shares) * start + shares * end)

    def sharpness(self, point: Float[np.ndarray, " parameter"]) -> tuple[float, float]:
        """Largest eigenvalue and trace of the Hessian at a point; the trace is an estimate."""

        def product(directions: np.ndarray) -> np.ndarray:
            return self.curve(point, directions)

        return largest_curvature(product, self.size), estimate_trace(product, self.size)

    def _losses(self, points: "Tensor") -> "Tensor":
        import torch

        from geomem.models.model import compute_logits
        from geomem.models.objective import cross_entropy, put_examples

        examples = self.examples
        data = put_examples(examples, examples.vocabulary_size, device="cpu", dtype=torch.float64)
        parts = points.split([prod(shape) for shape in self.shapes.values()], dim=1)
        tensors = {
            name: part.unflatten(1, shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }
        for name, array in self.fixed.items():
            fixed = torch.tensor(array, dtype=torch.float64)
            tensors[name] = fixed.expand(len(points), *fixed.shape)
        return cross_entropy(compute_logits(self.model, tensors, data.prefixes, shared=data.shared), data)


def edge_landscape(model: Model, examples: Examples, weights: Mapping[str, np.ndarray]) -> Landscape:
    """The landscape of one run's tensors, by name: those that are trained are its points.

    Raises `InputError` for a model without logits over a vocabulary, such as Node2Vec.

    >>> from geomem.models.configuration import Bilinear
    >>> from geomem.worlds.graphs.families import path
    >>> examples = edge_examples(path(3), EdgeMemorization())
    >>> zeros = {"token_embedding": np.zeros((12, 2)), "weight": np.eye(2), "bias": np.zeros(2)}
    >>> landscape = edge_landscape(Bilinear(width=2), examples, zeros)
    >>> landscape.size, bool(np.isclose(landscape.losses(landscape.join(zeros)[None])[0], np.log(12)))
    (30, True)
    """
    from geomem.models.model import trainable_names

    if model.scores == "nodes":
        raise InputError("This model scores nodes alone; give one with logits over a vocabulary.")
    names = trainable_names(model)
    fixed = {name: array for name, array in weights.items() if name not in names}
    return Landscape(model, examples, fixed, {name: weights[name].shape for name in names})


def measure_sharpness(run: Run) -> pl.DataFrame:
    """Loss, largest eigenvalue and trace of its Hessian, of every run that memorised edges, by seed.

    Sharpness depends on how the weights are scaled where logits do not: compare runs of one model, from one
    kind of start, at the same loss. Raises `InputError` for runs that hold no edges.

    >>> import tempfile
    >>> from geomem.models.configuration import Bilinear
    >>> from geomem.runs.edges import memorize
    >>> from geomem.training.configuration import Training
    >>> from geomem.worlds.graphs.families import cycle
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     run = memorize(cycle(5), model=Bilinear(width=4), training=Training(steps=9), directory=directory)
    ...     measure_sharpness(run).columns
    ['seed', 'loss', 'sharpness', 'trace']
    """
    if not isinstance(run.task, EdgeMemorization):
        raise InputError(f"{run.path} does not memorise edges; give a run of `geomem memorize`.")
    rows, weights = [], run.weights()
    for number, seed in enumerate(run.seeds):
        own = {name: array[number] for name, array in weights.items()}
        landscape = edge_landscape(run.model, edge_examples(run.graph, run.task), own)
        point = landscape.join(own)
        largest, trace = landscape.sharpness(point)
        loss = float(landscape.losses(point[None])[0])
        rows.append({"seed": seed, "loss": loss, "sharpness": largest, "trace": trace})
    return pl.DataFrame(rows)
