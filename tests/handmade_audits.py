"""Audits of made-up states, whose names try to be markup, script, template or formula."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from geomem.audit.behaviour import Answer, Behaviour
from geomem.audit.causal import Causes, RelationCauses
from geomem.audit.facts import audit_facts
from geomem.audit.graph import audit_graph
from geomem.audit.model import ModelAudit
from geomem.audit.source import Source
from geomem.audit.states import Layer, States
from geomem.audit.words import WORDS
from geomem.worlds.facts.reader import facts_from
from handmade_fleets import HOSTILE_LABELS, hostile_graph

TEMPLATES = ("<u>{}</u>", "All about {}")


def made_up_states(names, places, *, seed=0, noise=0.2):
    """An embedding and a block under two templates, both near some places."""
    generator = np.random.default_rng(seed)
    rows = places + noise * generator.normal(size=(3, *places.shape))
    return States(names, TEMPLATES, "last token", (Layer("<b>0</b>", rows[:1]), Layer("block 1", rows[1:])))


def whole(states, world, audit):
    """The audit as `audit_model` gives it."""
    settings = {"model": "<i>model</i>", "template 1": TEMPLATES[0], "versions": {"geomem": "0"}}
    source = Source(Path("<i>model"), states, ("<s>understood</s>",))
    return ModelAudit(source, world, audit, (*source.notes, *audit.notes), settings)


def graph_audit(world=None):
    """Of a ring that lacks one node, with twins, baseline and answers; and with the longest of the words."""
    world = world or hostile_graph()
    names = world.labels[:-1]
    angles = 2 * np.pi * np.arange(len(names)) / world.node_count
    places = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    states = made_up_states(names, places)
    twin, baseline = (made_up_states(names, 0 * places, seed=seed) for seed in (1, 2))
    said = tuple(Answer(name, names[0], names[1:3], name == names[2]) for name in names)
    audit = audit_graph(
        states,
        world,
        twins=[twin],
        baseline=baseline,
        known=Behaviour(len(names), 6, 0.1, 0.5, said),
        permutations=99,
        rewirings=9,
    )
    return whole(states, world, replace(audit, word=max(WORDS, key=len)))


def facts_audit(*, answers=True):
    """Of three relations, the last of which has too few facts."""
    subjects = [f"{label} {number}" for number in range(3) for label in HOSTILE_LABELS]
    facts = [(name, "<em>first</em>", f"{name}!") for name in subjects]
    facts += [(name, "second", HOSTILE_LABELS[at % 4]) for at, name in enumerate(subjects)]
    facts += [(name, "third", "one") for name in subjects[:3]]
    table = facts_from(facts, name="<i>facts</i>")
    codes = np.random.default_rng(3).normal(size=(table.object_count, 6))
    first = {subject: thing for subject, relation, thing in table.facts.tolist() if relation == 0}
    rows = np.stack([codes[first[subject]] for subject in range(table.subject_count)])
    states = made_up_states(table.subjects, rows)
    objects = States(table.objects, ("",), "mean", (Layer("vectors", codes[None]),))
    said = tuple(Answer(name, HOSTILE_LABELS[1], (f"{name}!",), False) for name in table.subjects)
    known = {table.relations[0]: Behaviour(24, 6, 0.05, 0.2, said)} if answers else {}
    twin = replace(states, layers=tuple(Layer(own.name, own.vectors[:, ::-1]) for own in states.layers))
    audit = audit_facts(states, table, objects, behaviours=known, twins=[(twin, objects)], shuffles=19)
    gains = np.array([0.0, 1.0])
    causes = Causes(8, 1.0, 0.9, gains, moved=gains / 2, random=0 * gains, p=0.03)
    moved = (RelationCauses(table.relations[0], "block 1", causes),) if answers else ()
    return whole(states, table, replace(audit, causes=moved))
