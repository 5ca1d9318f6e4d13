"""
One graph, three memories
=========================

The same path-star, memorised by a model that can only build a lookup table (its embeddings are
frozen), by a one-layer Transformer and by Node2Vec. All three recall the edges. What differs is
what the embeddings know about nodes that were never shown together.
"""

import matplotlib.pyplot as plt

import geomem

world = geomem.path_star(arms=4, length=5)
fleets = {
    name: geomem.memorize(world, model=name, seeds=3) for name in ("associative", "transformer", "node2vec")
}
portraits = {name: geomem.measure_fleet(fleet) for name, fleet in fleets.items()}

# %%
# The geometric level is the mean cosine of neighbours. The reading is one word, by a stated rule.
print(f"{'model':12} {'edges recalled':>15} {'geometric level':>16}  reading of each seed")
for name, portrait in portraits.items():
    recalled, level = portrait["associative_accuracy"].mean, portrait["geometric_level"].mean
    print(f"{name:12} {recalled:15.0%} {level:z16.2f}  {', '.join(portrait.readings)}")

# %%
# Cosine by graph distance: a geometry falls with it, a lookup table is flat, a zig-zag alternates.
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, portrait in portraits.items():
    axes.plot(portrait.shell_distances, portrait.shells.mean(axis=0), marker="o", label=name)
axes.axhline(0, color="grey", linewidth=0.8)
axes.set(xlabel="distance in the graph", ylabel="mean cosine of embeddings")
axes.legend(frameon=False)
plt.show()
