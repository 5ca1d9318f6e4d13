"""
Facts written down
==================

No training: the facts of 195 countries, and who borders whom in Europe, become weights in closed
form. Every answer below comes from the weights, by one forward pass per question, and a chain of
two questions feeds the first answers back in. An edit and a forget change one row of one table.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from geomem.memories.ask import ask
from geomem.memories.construct import construct_memory
from geomem.memories.edit import edit_fact, forget_fact
from geomem.memories.opened import open_memory
from geomem.worlds.facts.countries import COUNTRY_RELATIONS, countries_with_borders

table = countries_with_borders()
memory = construct_memory(table, Path(tempfile.mkdtemp()) / "countries")
print(memory.manifest["recalled"])

# %%
# Every question with all its answers: neighbours are the answers of ``borders``, ``borders (2)``, ...
facts = {}
for x, r, y in table.facts.tolist():
    question = (table.subjects[x], table.relations[r].partition(" (")[0])
    facts.setdefault(question, set()).add(table.objects[y])
opened = open_memory(memory)
before = {question: ask(opened, *question).answers for question in facts}
right = sum(set(before[question]) == answers for question, answers in facts.items())
print(f"one hop: {right} of {len(facts)} questions")

# %%
# Two hops, from a country over its neighbours to a fact of each of them.
chains = {
    (country, "borders", relation): set().union(*(facts.get((other, relation), ()) for other in neighbours))
    for (country, borders), neighbours in facts.items()
    for relation in ("borders", *COUNTRY_RELATIONS)
    if borders == "borders"
}
right = sum(set(ask(opened, *chain).answers) == answers for chain, answers in chains.items())
print(f"two hops: {right} of {len(chains)} chains, among them France, borders, currency:")
print(ask(opened, "France", "borders", "currency").answers)

# %%
# One fact gets another object, one is forgotten. The effect on all other facts is measured.
print(edit_fact(memory, "Denmark", "currency", "EUR"))
print(forget_fact(memory, "France", "calling code"))
changed = open_memory(memory.path)
for question in facts:
    if (now := ask(changed, *question).answers) != before[question]:
        print(question, before[question], "->", now or "no answer")

# %%
# The vectors of Europe after that: ten numbers of two colours for every fact, white where there is none.
figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
vectors = changed.stored.weights()["subject_embedding"][0, :42, :150]
axes.imshow(vectors, cmap="RdBu", aspect="auto", interpolation="nearest")
axes.set(xlabel="coordinate", ylabel="country", xticks=range(0, 151, 10))
plt.show()
