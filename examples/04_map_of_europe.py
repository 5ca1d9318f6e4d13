"""
A map nobody drew
=================

The model is told only which countries border which. Does it place them as on the map? The
Procrustes correlation compares its first two principal directions with the true places of the
capitals, after the best shift, turn, mirror and scale; the null deals the same points to the
countries at random.
"""

import matplotlib.pyplot as plt
import numpy as np

import geomem
from geomem.geometry.alignment import fit_to_map, map_coordinates

world = geomem.europe()
fleets = {
    "node2vec": geomem.memorize(world, model="node2vec", seeds=3),
    "transformer": geomem.memorize(
        world, model="transformer", task=geomem.EdgeMemorization(self_edges=True), seeds=3
    ),
}
for name, fleet in fleets.items():
    fit = geomem.measure_fleet(fleet)["map_correlation"]
    print(f"{name:12} r = {fit.mean:.2f}, seeds {np.round(fit.values, 2)}", end=", ")
    print(f"97.5 % of permutations below {fit.null_high:.2f}, p = {fit.p_value:.3f}")

# %%
# The true map and the first seed of each model, laid over it.
maps = {"capitals": world.coordinates}
for name, fleet in fleets.items():
    learned = map_coordinates(fleet.embeddings()[0])
    maps[name] = fit_to_map(learned, world.coordinates).aligned
figure, panels = plt.subplots(1, 3, figsize=(11, 4), layout="constrained", sharex=True, sharey=True)
for axes, (name, places) in zip(panels, maps.items(), strict=True):
    for tail, head in world.edges:
        axes.plot(*places[[tail, head]].T, color="lightgrey", linewidth=0.8, zorder=0)
    axes.scatter(*places.T, c=world.coordinates[:, 0], cmap="viridis", s=18)
    axes.set(title=name, xticks=[], yticks=[], aspect="equal")
plt.show()
