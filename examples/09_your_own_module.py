"""
A module of your own
====================

Whatever maps tokens to logits can be trained here: a function from sizes to a ``torch.nn.Module``
takes the place of an architecture. All seeds train as one fleet; what is measured and reported is
what is measured of our own models. Here is an LSTM on the cycle, beside the Transformer.
"""

import matplotlib.pyplot as plt
from torch import nn

import geomem


class Lstm(nn.Module):
    def __init__(self, vocabulary, width=32):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        return self.head(self.lstm(self.embed(tokens))[0])


def factory(sizes):
    return Lstm(sizes.vocabulary_size)


world = geomem.cycle(15)
fleets = {
    "Transformer": geomem.memorize(world, seeds=3),
    "LSTM of your own": geomem.memorize(world, model=factory, seeds=3),
}
for name, fleet in fleets.items():
    portrait = geomem.measure_fleet(fleet)
    recall = portrait["associative_accuracy"].mean
    print(f"{name:16}  recalls {recall:.0%} of the edges; its embedding reads {portrait.reading}")

# %%
# Mean cosine of neighbours while they train, a line for each seed.
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for colour, (name, fleet) in zip(("tab:blue", "tab:orange"), fleets.items(), strict=True):
    lines = axes.plot(fleet.steps, fleet.curves()["geometric_level"], color=colour)
    lines[0].set_label(name)
axes.set(xlabel="step", ylabel="mean cosine of neighbours")
axes.legend()
plt.show()
