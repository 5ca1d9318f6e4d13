"""
What survives in Node2Vec
=========================

Gradient descent on the full-softmax Node2Vec objective moves the embeddings by C V, where the
matrix C depends on the graph and on the current softmax. Along the bottom of the graph's spectrum
it shrinks them, and only the slowest eigenvectors survive: nobody asked for few dimensions, and the
width (100) exceeds the number of nodes.
"""

import matplotlib.pyplot as plt
import numpy as np

import geomem
from geomem.geometry.alignment import mode_energies
from geomem.geometry.spectrum import distinct_eigenvalues, laplacian_spectrum

world = geomem.cycle(nodes=15)
fleet = geomem.memorize(world, model="node2vec", seeds=3)
steps, snapshots = fleet.snapshots()

# %%
# The length of the embedding along each eigenspace, over training. Eigenvalues come in pairs on a ring, and
# only the whole eigenspace has a meaning.
spectrum = laplacian_spectrum(world)
starts = np.unique(spectrum.eigenspaces, return_index=True)[1]
energies = np.add.reduceat(mode_energies(snapshots, spectrum), starts, axis=-1)
lengths = np.sqrt(energies).mean(axis=1)
eigenvalues, multiplicities = distinct_eigenvalues(spectrum)
print("eigenvalue  dimensions  length at the start  at the end")
for row in zip(eigenvalues, multiplicities, lengths[0], lengths[-1], strict=True):
    print("{:10.3f}  {:10d}  {:19.2f}  {:10.2f}".format(*row))

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
colours = plt.colormaps["viridis"](np.linspace(0, 0.95, len(eigenvalues)))
for length, eigenvalue, colour in zip(lengths.T, eigenvalues, colours, strict=True):
    axes.plot(steps, length, color=colour, label=f"{eigenvalue:.2f}")
axes.set(xscale="symlog", xlabel="step", ylabel="length along the eigenspace", xlim=(0, None))
axes.legend(title="eigenvalue", frameon=False, ncols=2)
plt.show()
