"""
Your own edge list
==================

Any text file with one edge per line will do; here we write one. Labels may be in any script, and
what the reader found and accepted on the way stands in the notes of the graph.
"""

from pathlib import Path

import matplotlib.pyplot as plt

import geomem
from geomem.geometry.projection import pca

EDGES = """# who shares an office with whom
Łucja\tBen
Ben\tΧλόη
Χλόη\tDai
Dai\tEmre
Emre\t藤
藤\tGrete
Grete\tŁucja
Grete\tBen
Ben\tGrete
"""
Path("offices.tsv").write_text(EDGES, encoding="utf-8")
world = geomem.read_graph("offices.tsv")
print(f"{world.node_count} nodes, {world.edge_count} edges", *world.notes, sep="\n")

# %%
# Five seeds of Node2Vec, trained together.
fleet = geomem.memorize(world, model="node2vec", seeds=5)
for measurement in geomem.measure_fleet(fleet).measurements:
    print(f"{measurement.title:40} {measurement.mean:7.3f}  [{measurement.low:.3f}, {measurement.high:.3f}]")

# %%
# The first seed, seen along its two main directions.
places = pca(fleet.embeddings()[0], dimensions=2).coordinates
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
for tail, head in world.edges:
    axes.plot(*places[[tail, head]].T, color="lightgrey", zorder=0)
axes.scatter(*places.T)
for node, place in enumerate(places):
    # Matplotlib's own font lacks Chinese characters, so the picture counts the nodes instead.
    axes.annotate(str(node), place, xytext=(5, 5), textcoords="offset points")
axes.set(xticks=[], yticks=[], aspect="equal")
plt.show()
