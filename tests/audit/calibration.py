"""How often an audit says "geometry" where there is none, and where there is one.

`python tests/audit/calibration.py 200` prints the tables of docs/audit.md; the tests run a small form.
"""

import sys
from collections import Counter

import numpy as np
from random_models import FAMILIES, MISLEADING, random_facts, random_graph, random_states

from geomem.audit.facts import audit_facts
from geomem.audit.graph import audit_graph

NODES = (20, 30, 45)
TWINS = 3


def audit_random(number, *, misled="nothing", strength=0.0, nodes=None, permutations=199, rewirings=59):
    """The audit of the random model of that number, on a graph of one family after the other."""
    family = list(FAMILIES)[number % len(FAMILIES)]
    graph = random_graph(family, nodes or NODES[number % len(NODES)], number)
    states = random_states(graph, [7, number], misled=misled, strength=strength)
    twins = [random_states(graph, [8, number, twin], misled=misled, trained=False) for twin in range(TWINS)]
    return audit_graph(
        states, graph, twins=twins, permutations=permutations, rewirings=rewirings, seed=number
    )


def audit_random_facts(number, *, misled="nothing", strength=0.0, subjects=40, shuffles=99):
    """The audit of one relation of the random model of that number."""
    table, pairs = random_facts(number, subjects, misled=misled, strength=strength, twins=TWINS)
    (states, objects), *twins = pairs
    return audit_facts(states, table, objects, twins=twins, shuffles=shuffles, seed=number).relations[0]


def share_of_geometry(audits):
    """Share of audits that say "geometry", and of those that pass each trial."""
    audits = list(audits)
    words = Counter(audit.word for audit in audits)
    passed = np.mean([[trial.passed for trial in audit.trials] for audit in audits], axis=0)
    return words["geometry"] / len(audits), passed


def main(count):
    """Print the tables."""
    print("| misled by | geometry | permuted entities | twins | rewired graphs |\n|---|---|---|---|---|")
    for misled in MISLEADING:
        share, passed = share_of_geometry(audit_random(number, misled=misled) for number in range(count))
        print(
            f"| {misled} | {share:.3f} | " + " | ".join(f"{value:.3f}" for value in passed) + " |", flush=True
        )
    print("\n| strength | " + " | ".join(f"{nodes} entities" for nodes in NODES) + " |\n|---|---|---|---|")
    for strength in (0.25, 0.5, 0.75, 1.0):
        shares = [
            share_of_geometry(
                audit_random(number, strength=strength, nodes=nodes) for number in range(count // 4)
            )[0]
            for nodes in NODES
        ]
        print(f"| {strength} | " + " | ".join(f"{share:.2f}" for share in shares) + " |", flush=True)
    print("\n| facts | geometry | shuffled objects | twins |\n|---|---|---|---|")
    for misled in ("nothing", "shared tokens"):
        share, passed = share_of_geometry(
            audit_random_facts(number, misled=misled) for number in range(count)
        )
        print(
            f"| {misled} | {share:.3f} | " + " | ".join(f"{value:.3f}" for value in passed) + " |", flush=True
        )
    for strength in (0.5, 1.0, 2.0):
        share, _ = share_of_geometry(
            audit_random_facts(number, strength=strength) for number in range(count // 4)
        )
        print(f"| strength {strength} | {share:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
