"""
Measure an embedding you already have
=====================================

No training and no PyTorch: a matrix with one row per node and the graph are enough. Here three
matrices for one ring of fifteen nodes: its true circle, its zig-zag, and noise.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import geomem

world = geomem.cycle(nodes=15)
angles = 2 * np.pi * np.arange(15) / 15
noise = 0.1 * np.random.default_rng(0).standard_normal((15, 8))


def wave(frequency: int) -> np.ndarray:
    """The nodes on a circle, each `frequency` fifteenths of a turn after the one before."""
    embedding = noise.copy()
    embedding[:, :2] += np.stack([np.cos(frequency * angles), np.sin(frequency * angles)], axis=1)
    return embedding


embeddings = {"circle": wave(1), "zig-zag": wave(7), "noise": noise}
portraits = {name: geomem.measure_embeddings(matrix, world) for name, matrix in embeddings.items()}

# %%
# The p-value says how often the same rows, dealt to the nodes at random, look as extreme.
for name, portrait in portraits.items():
    level, fiedler = portrait["geometric_level"], portrait["fiedler_alignment"]
    print(f"{name:8} geometric level {level.mean:5.2f} (p {level.p_value:.3f})", end="  ")
    print(f"Fiedler alignment {fiedler.mean:.2f} (p {fiedler.p_value:.3f})  reading: {portrait.reading}")
print("torch was imported:", "torch" in sys.modules)

# %%
figure, panels = plt.subplots(1, 3, figsize=(8, 3), layout="constrained")
for axes, (name, matrix) in zip(panels, embeddings.items(), strict=True):
    axes.plot(*matrix[[*range(15), 0], :2].T, marker="o", color="tab:blue", linewidth=0.8)
    axes.set(title=f"{name}: {portraits[name].reading}", xticks=[], yticks=[], aspect="equal")
plt.show()
