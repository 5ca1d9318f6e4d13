"""Graphs told in sentences: templates of a person, names, tokens, texts and questions."""

import sys

import numpy as np
import pytest

from geomem.errors import InputError
from geomem.worlds.graphs.atlas import europe
from geomem.worlds.graphs.families import grid, path
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.language.names import made_up_names
from geomem.worlds.language.telling import find_names, tell, tell_in
from geomem.worlds.language.templates import BUILT_IN, find_templates
from geomem.worlds.language.tokens import learn_tokens


def permuted(graph: Graph, order: np.ndarray) -> Graph:
    """Node i of the graph becomes node `order[i]`, with its label."""
    labels = [""] * graph.node_count
    for node, new in enumerate(order):
        labels[new] = graph.labels[node]
    return Graph(graph.name, tuple(labels), order[graph.edges])


@pytest.mark.parametrize("tokens", ["words", "byte-pairs"])
@pytest.mark.parametrize("names", ["labels", "own-last", "shared-last"])
def test_read_gives_back_what_was_written(tokens, names):
    task = tell_in("borders", told=3, tokens=tokens, names=names, filler_count=1, vocabulary=300)
    told = tell(europe(), task)
    assert len(told.texts) == 3 * 2 * europe().edge_count
    called = find_names(europe(), task)
    source, target = sorted(map(tuple, [*europe().edges, *europe().edges[:, ::-1]]))[0]
    assert f"{called[source]} borders {called[target]}." in told.read(0)
    for text in (told.read(0), told.read(200), "Which country is next to"):
        assert told.tokenizer.read(told.tokenizer.write(f" {text}")) == f" {text}"
    # A name has the same tokens wherever it stands.
    for tokens_of, name in zip(told.name_tokens, called, strict=True):
        assert told.tokenizer.read(tokens_of) == f" {name}"


def test_relabelling_permutes_names_and_keeps_what_is_told():
    order = np.random.default_rng(0).permutation(42)
    task = tell_in("borders", names="shared-last")
    before, after = tell(europe(), task), tell(permuted(europe(), order), task)
    assert [after.names[order[node]] for node in range(42)] == list(before.names)
    said = [sorted(told.read(text) for text in range(len(told.texts))) for told in (before, after)]
    assert said[0] == said[1]


def test_arms_of_names_have_their_last_word_alone_or_share_it():
    labels = tuple(map(str, range(36)))
    own, shared = (made_up_names(labels, names, seed=3) for names in ("own-last", "shared-last"))
    assert len({name.split()[-1] for name in own}) == 36
    assert len({name.split()[-1] for name in shared}) == 6
    assert [" ".join(reversed(name.split())) for name in own] == list(shared)
    assert made_up_names(labels, "own-last", seed=4) != own


def test_questions_know_every_right_answer_and_those_two_steps_away():
    told = tell(path(4), tell_in("graph", told=4, held_out=2))
    first, two = told.questions["train"], told.questions["two_steps"]
    assert len(first.prompts) == 16
    assert first.right[1].tolist() == [True, False, True, False]
    assert two.right[two.given.tolist().index(0)].tolist() == [False, False, True, False]
    # What stands last is asked for: of "{object} is next to {subject}." the subject.
    one_way = tell(path(3), tell_in("graph", told=4, directions="forward")).questions["train"]
    reverse = [
        right for right, given in zip(one_way.right[-2:], one_way.given[-2:], strict=True) if given == 1
    ]
    assert reverse[0].tolist() == [True, False, False]


def test_loss_is_asked_of_everything_or_of_the_answer_alone():
    everything, answers = (
        tell(path(3), tell_in("graph", asked=asked)) for asked in ("everything", "answers")
    )
    assert (
        everything.weights.sum(axis=1) == (everything.texts != everything.texts.max()).sum(axis=1) - 1
    ).all()
    assert (answers.weights.sum(axis=1) == 2).all()
    row = np.flatnonzero(answers.weights[0]) + 1
    assert tuple(answers.texts[0, row]) == answers.name_tokens[1]


def test_facts_stand_within_longer_texts():
    alone, within = (tell(grid(3, 3), tell_in("graph", filler_count=count)) for count in (0, 2))
    assert within.texts.shape[1] > alone.texts.shape[1]
    assert alone.read(5) in within.read(5)
    assert within.read(5).count(".") == alone.read(5).count(".") + 2


def test_built_in_templates_can_be_edited_and_read_again(tmp_path):
    for name in BUILT_IN:
        assert len(find_templates(name).sentences) >= 10
    file = tmp_path / "mine.toml"
    file.write_text('sentences = ["{subject} sees {object}.", "{subject} is seen by {object}."]\n')
    assert tell(path(3), tell_in(file, told=1, held_out=1)).read(0).endswith(".")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sentences = [", "is not TOML"),
        ("sentence = []", "did you mean sentences"),
        ("sentences = 'a'", "is not a list"),
        ("about = ['a']", "is a list"),
        ("sentences = [5]", "give text in quotes"),
        ("sentences = []", "There is no sentence"),
        ("sentences = ['{subject} is near.']", "has no {object}"),
        ("sentences = ['{subject} {subject} {object}']", "2 times"),
        ("sentences = ['\"{subject}\" sees {object}.']", "follows no space"),
        ("sentences = ['{subject}s see {object}.']", "right after a name"),
        ("sentences = ['{subject} sees {object} {x}.']", "a brace"),
        ("sentences = ['{subject}  sees {object}.']", "spaces"),
        ("sentences = ['{subject} a {object}', '{subject} a {object}']", "twice"),
        ("sentences = ['{subject} a {object}']\nfillers = ['On {subject}.']", "The filler"),
        (f"sentences = ['{{subject}} {'a' * 600} {{object}}']", "characters"),
    ],
)
def test_what_is_wrong_with_a_file_of_templates_is_said_in_one_sentence(tmp_path, text, said):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        find_templates(file)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value)[-1] in ".?"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"templates": "border"}, "did you mean borders"),
        ({"told": 9}, "no more than there are"),
        ({"filler_count": 1, "fillers": ()}, "there is no filler"),
        ({"vocabulary": 100}, "vocabulary is 100"),
    ],
)
def test_what_cannot_be_told_is_said(settings, said):
    with pytest.raises(InputError, match=said):
        tell(path(3), tell_in(**settings))


def test_names_that_look_alike_and_words_never_told_are_refused():
    twins = Graph("twins", ("a b", "a  b"), np.array([[0, 1]]))
    with pytest.raises(InputError, match="are called 'a b'"):
        tell(twins, tell_in("graph"))
    with pytest.raises(InputError, match="'moon' was never told"):
        tell(path(3), tell_in("graph")).tokenizer.write(" is moon")


def test_byte_pairs_without_their_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"install geomem\[hf\]"):
        learn_tokens([" a"], "byte-pairs")
