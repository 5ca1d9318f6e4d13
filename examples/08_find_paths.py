"""
Finding paths in the weights
============================

A path-star with 250 arms of four nodes. The model is told every edge, one at a time, and the paths to three
quarters of the leaves. Then it is asked for the others: it is given a leaf that it never saw at the end of a
path and must name the first step from the root, one of 250, although that step is three edges away.
"""

import matplotlib.pyplot as plt

import geomem
from geomem.figures.path_tables import tabulate_paths
from geomem.measure.paths import path_distances
from geomem.runs.paths import find_paths
from geomem.training.configuration import PathTraining
from geomem.worlds.path_finding import PathFinding

fleet = find_paths(
    geomem.path_star(arms=250, length=4),
    model=geomem.Transformer(layers=2, width=64, heads=4, position_scale=0.02),
    task=PathFinding(edge_weight=5.0),
    training=PathTraining(learning_rate=2e-3, weight_decay=0.4),
    seeds=1,
)
portrait = geomem.measure_fleet(fleet, permutations=99)
for name in ("held_out_first_hop", "held_out_exact_match", "edge_recall", "retrieval"):
    print(f"{portrait[name].title}: {portrait[name].mean:.3f}")

# %%
# The geometry comes first and the planning after it. Training ends by itself once the held-out first hops
# are found.
curves = tabulate_paths({"": fleet})
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for metric in ("edge_recall", "retrieval", "held_out.first_hop", "held_out.exact_match"):
    rows = curves.filter(metric=metric)
    left.plot(rows["epoch"], rows["mean"], label=metric)
left.set(xlabel="epoch", ylabel="share right")
left.legend(frameon=False)

# %%
# Why it can: the leaf of a path that was never trained lies next to the first node of that path.
image = right.imshow(path_distances(fleet).leaf_first[0], cmap="viridis")
right.set(xlabel="first hop of a held-out path", ylabel="leaf of a held-out path")
figure.colorbar(image, label="cosine distance")
plt.show()
