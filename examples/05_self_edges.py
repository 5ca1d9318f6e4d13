"""
Self-edges remove the zig-zag
=============================

A model must not answer a node with itself, and embeddings that grow along neighbours also grow
along themselves. One way out is to put neighbours on opposite sides: a zig-zag. If every node is
also a neighbour of itself the conflict is gone, and the bilinear
network stores the grid as a grid.
"""

import matplotlib.pyplot as plt

import geomem

world = geomem.grid(rows=4, columns=4)
fleets = {
    "edges only": geomem.memorize(world, model="bilinear", seeds=5),
    "with self-edges": geomem.memorize(
        world, model="bilinear", task=geomem.EdgeMemorization(self_edges=True), seeds=5
    ),
}
portraits = {name: geomem.measure_fleet(fleet) for name, fleet in fleets.items()}
for name, portrait in portraits.items():
    level, second = portrait["geometric_level"], portrait["second_neighbour_cosine"]
    print(f"{name:16} neighbours {level.mean:5.2f}, two steps apart {second.mean:5.2f}: {portrait.reading}")

# %%
# Every seed is one line: mean cosine by distance in the grid.
figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
for axes, (name, portrait) in zip(panels, portraits.items(), strict=True):
    axes.plot(portrait.shell_distances, portrait.shells.T, color="tab:blue", marker="o", alpha=0.6)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(title=name, xlabel="distance in the graph")
panels[0].set_ylabel("mean cosine of embeddings")
plt.show()
