"""Ways told in sentences: right answers, what is told and held out, and runs that learn them."""

import networkx
import numpy as np
import pytest
import torch

from geomem.cli import main
from geomem.errors import InputError
from geomem.fields import describe_fields
from geomem.measure.told import follow_ways, recall_names, told_again
from geomem.models.configuration import Transformer
from geomem.runs.sentences import sentence_job, tell_graph
from geomem.training.configuration import PathTraining
from geomem.training.path_batches import make_batches, streams_of
from geomem.worlds.graphs.families import complete, cycle, grid, path, tree_star
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.language.telling import tell, tell_in
from geomem.worlds.language.templates import Templates, check_templates, find_templates
from geomem.worlds.language.ways import draw_ways, next_nodes

TWO_PIECES = Graph("two pieces", tuple("abcdefg"), np.array([[0, 1], [1, 2], [2, 3], [0, 3], [4, 5], [5, 6]]))


@pytest.mark.parametrize("graph", [grid(3, 4), tree_star(3, 2), TWO_PIECES], ids=lambda graph: graph.name)
def test_next_nodes_are_those_of_all_shortest_paths(graph):
    ways = draw_ways(graph, 0.5, seed=1)
    known = networkx.Graph(graph.edges.tolist())
    pairs = np.concatenate([ways.told, ways.held_out])
    expected = {
        (source, target): {found[1] for found in networkx.all_shortest_paths(known, source, target)}
        for source, lengths in networkx.all_pairs_shortest_path_length(known)
        for target, length in lengths.items()
        if length >= 2
    }
    assert sorted(map(tuple, pairs.tolist())) == sorted(expected)
    for pair, right in zip(pairs.tolist(), next_nodes(ways.distances, pairs), strict=True):
        assert set(np.flatnonzero(right).tolist()) == expected[tuple(pair)]
    assert {tuple(step) for step in ways.steps.tolist()} == {
        (*pair, node) for pair in map(tuple, ways.told.tolist()) for node in expected[pair]
    }


def test_a_larger_share_tells_the_same_pairs_and_more():
    few, many = (draw_ways(grid(3, 4), share, seed=3) for share in (0.2, 0.6))
    assert set(map(tuple, few.told)) < set(map(tuple, many.told))
    assert not set(map(tuple, many.told)) & set(map(tuple, many.held_out))
    assert draw_ways(grid(3, 4), 1.0, seed=3).held_out.size == 0


def test_ways_follow_facts_and_are_asked_in_their_sentences():
    facts, both = (tell(grid(3, 4), tell_in("graph", ways_share=share)) for share in (0.0, 0.4))
    assert both.fact_texts == len(facts.texts)
    assert [both.read(text) for text in (0, 50)] == [facts.read(text) for text in (0, 50)]
    assert both.ways is not None
    subject, thing, following = both.ways.steps[0]
    said = f"From {both.names[subject]} towards {both.names[thing]}, the next is {both.names[following]}."
    assert both.read(both.fact_texts) == said
    asked = both.questions["held_out_ways"]
    assert both.tokenizer.read(asked.prompts[1]).startswith(" Who goes from")
    told = {both.read(text) for text in range(len(both.texts))}
    for prompt, right in zip(asked.prompts, asked.right, strict=True):
        for node in np.flatnonzero(right):
            assert both.tokenizer.read((*prompt, *both.name_tokens[node])).strip() + "." not in told


def test_relabelling_keeps_the_ways_told():
    graph, order = grid(3, 4), np.random.default_rng(0).permutation(12)
    labels = [""] * 12
    for node, new in enumerate(order):
        labels[new] = graph.labels[node]
    turned = Graph(graph.name, tuple(labels), order[graph.edges])
    task = tell_in("graph", ways_share=0.3)
    before, after = (tell(world, task) for world in (graph, turned))
    said = [sorted(told.read(text) for text in range(len(told.texts))) for told in (before, after)]
    assert said[0] == said[1]
    asked = [
        set(map(told.tokenizer.read, told.questions["held_out_ways"].prompts)) for told in (before, after)
    ]
    assert asked[0] == asked[1]


def test_an_epoch_has_no_more_ways_than_facts():
    told = tell(grid(3, 4), tell_in("graph", ways_share=0.9))
    facts, ways = streams_of(told)
    assert facts.drawn == ways.drawn == told.fact_texts < len(ways.tokens)
    padding = told.tokenizer.numbers["[PAD]"]
    for stream in (facts, ways):
        assert (stream.tokens[:, -1] != padding).any()
        assert stream.tokens.shape[1] == stream.weights.shape[1]
    draw = make_batches(told, PathTraining(batches=4), [0], device="cpu", dtype=torch.float32)
    seen: list[set[tuple[int, ...]]] = []
    for epoch in range(2):
        steps = [draw(4 * epoch + step) for step in range(4)]
        assert {part.tokens.shape[1] for ((_, part),) in steps} == {told.fact_texts // 4}
        assert {part.tokens.shape[1] for ((part, _),) in steps} == {told.fact_texts // 4}
        seen.append({tuple(row) for ((_, part),) in steps for row in part.tokens[0].tolist()})
        assert len(seen[-1]) == told.fact_texts
    assert seen[0] != seen[1]
    few = tell(path(3), tell_in("graph", ways_share=0.5))
    assert [stream.drawn for stream in streams_of(few)] == [16, 2]
    with pytest.raises(InputError, match="only 2 texts"):
        sentence_job(path(3), task=tell_in("graph", ways_share=0.5), training=PathTraining(batches=4))


def test_without_a_share_nothing_changes():
    for name in ("graph", "borders"):
        assert len(find_templates(name).ways) == 2
        assert not {"ways", "ways_share"} & describe_fields(tell_in(name)).keys()
    assert sentence_job("cycle", seeds=1).path().name.endswith("-59e95788cbc3")
    told = tell(cycle(5), tell_in("graph", ways_share=0.0))
    assert told.ways is None
    assert list(told.questions) == ["train", "held_out", "two_steps"]


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("{subject} to {object}.", "has no {next}; write {subject}, {object} and {next} once each"),
        ("From {subject} to {next} for {object}.", "does not end in {next}"),
        ("From {subject} to {object} by{next}.", "follows no space"),
    ],
)
def test_a_way_says_where_its_names_stand(way, said):
    with pytest.raises(InputError) as error:
        check_templates(Templates("", ("{subject} sees {object}.",), ways=(way,)))
    assert said in str(error.value)


def test_what_cannot_be_told_of_ways_is_said(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="stands in ways alone"):
        check_templates(Templates("", ("{subject} sees {object} by {next}.",)))
    with pytest.raises(InputError, match="there is no sentence about ways"):
        tell(path(3), tell_in("graph", ways_share=0.5, ways=()))
    with pytest.raises(InputError, match="No two nodes of 'complete-4'"):
        tell(complete(4), tell_in("graph", ways_share=0.5))
    with pytest.raises(InputError, match="ways_share is 2"):
        tell(path(3), tell_in("graph", ways_share=2.0))
    monkeypatch.setattr("geomem.worlds.language.ways.MOST_NUMBERS", 200)
    with pytest.raises(InputError, match="smaller ways_share"):
        tell(grid(3, 4), tell_in("graph", ways_share=0.5))
    assert main(["tell", "grid", "--rows", "3", "--ways-share", ".5", "--show", "2"]) == 2
    assert "smaller ways_share" in capsys.readouterr().err


def test_ways_are_learned_and_followed(tmp_path):
    training = PathTraining(
        epochs=60, batches=1, learning_rate=0.02, metric_every=20, warmup_steps=5, stop_at=0.99
    )
    model = Transformer(layers=1, width=16, heads=2, position_scale=0.02)
    task = tell_in("graph", told=2, ways_share=0.5)
    fleet = tell_graph(path(4), task=task, model=model, training=training, seeds=2, directory=tmp_path)
    final = fleet.final()
    assert final["ways.names_recalled"].min() >= 0.99
    assert {"held_out_ways.names_recalled", "held_out_ways.first_name"} <= final.keys()
    told = told_again(fleet)
    weights = {name: torch.tensor(values) for name, values in fleet.weights().items()}
    recalled = recall_names(fleet.model, weights, told)
    np.testing.assert_allclose(recalled["held_out_ways"], final["held_out_ways.names_recalled"])
    followed = follow_ways(fleet.model, weights, told, task.ways[0])
    assert followed["ways"].shape == (2,)
    assert (followed["held_out_ways"] <= recalled["held_out_ways"] + 0.5).all()
