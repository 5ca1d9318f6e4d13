"""A graph told in sentences: every fact in every template, names of several tokens, questions at the end.

Axis names: `text`, `seq` (tokens of a text, padded), `prompt`, `node`.
"""

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Bool, Float, Int

from geomem.errors import InputError
from geomem.fields import LATER, Share, WholeNumber, check_fields
from geomem.worlds.graphs.graph import Graph, adjacency_matrix
from geomem.worlds.language.names import made_up_names
from geomem.worlds.language.templates import (
    WAY,
    Slots,
    Templates,
    check_templates,
    choose_sentences,
    find_templates,
    take_apart,
)
from geomem.worlds.language.tokens import BOUNDARY, BYTES, PADDING, SPECIALS, Kind, Tokenizer, learn_tokens
from geomem.worlds.language.ways import Ways, draw_ways, next_nodes
from geomem.worlds.tasks import EdgeMemorization, directed_facts

TEXT_STREAM = 8
"""Second number of the seed that draws the fillers of texts."""
MOST_TOKENS = 20_000_000
"""Tokens of all texts together."""
MOST_FILLERS = 64
PARTS = ("train", "held_out", "two_steps", "ways", "held_out_ways")
"""Questions in the sentences told, in paraphrases, over two steps, and about ways told and held out."""
MOST_ASKED = 300
"""Ways that are asked about, of those told and of those held out."""


@dataclass(frozen=True)
class Telling:
    """Memorise the edges of a graph told in sentences."""

    sentences: tuple[str, ...] = ()
    """What is told of every edge, with {subject} and {object}; `tell_in` takes them from templates."""
    paraphrases: tuple[str, ...] = ()
    """Sentences that are never told, and asked all the same."""
    two_steps: tuple[str, ...] = ()
    """Questions about a neighbour's neighbour, never told."""
    fillers: tuple[str, ...] = ()
    """Sentences about nothing that may stand around a fact."""
    filler_count: Annotated[WholeNumber, Le(MOST_FILLERS)] = 0
    """How many of them stand around every fact, before and after it."""
    text_seed: WholeNumber = 0
    """Which of them stand where; the same for all runs of a fleet."""
    names: Literal["auto", "labels", "own-last", "shared-last"] = "auto"
    """Labels, or made-up names of two words of which the last is the name's own or shared; auto: labels,
    unless they have no letter."""
    name_seed: WholeNumber = 0
    """Which names are made up."""
    tokens: Kind = "words"
    """What a token is: a word, or a byte pair learned from the texts."""
    vocabulary: Annotated[int, Ge(BYTES + len(SPECIALS) + 1), Le(100_000)] = 400
    """Byte pairs at most, single bytes and special tokens included."""
    directions: Literal["both", "forward", "reverse"] = "both"
    """Which directions of every edge are facts."""
    asked: Literal["everything", "answers"] = "everything"
    """Tokens that are in the loss: all, or those of the name that a sentence ends in."""
    ways: tuple[str, ...] = field(default=(), metadata=LATER)
    """What is told of the next node on a shortest path, with {subject}, {object} and, last, {next}."""
    ways_share: Share = field(default=0.0, metadata=LATER)
    """Share of the ordered pairs two steps apart or more that ways are told of; the others are held out."""


def tell_in(
    templates: Templates | str | os.PathLike[str] = "graph",
    *,
    told: int = 4,
    held_out: int = 2,
    **settings: Any,
) -> Telling:
    """The task of telling in templates: a built-in name ("graph", "borders") or a TOML file.

    Of their sentences the first `told` are told and the last `held_out` are held out; `settings` are other
    fields of `Telling`. Raises `InputError` as `find_templates` and `choose_sentences` do.

    >>> tell_in("borders", told=1, held_out=1).paraphrases
    ('A country that borders {subject} is {object}.',)
    """
    found = templates if isinstance(templates, Templates) else find_templates(templates)
    check_templates(found)
    sentences, paraphrases = choose_sentences(found.sentences, told, held_out)
    given: dict[str, Any] = {"two_steps": found.two_steps, "fillers": found.fillers}
    # What is not told is not part of the task, whose hash it would change.
    given["ways"] = found.ways if settings.get("ways_share") else ()
    return Telling(sentences, paraphrases, **(given | settings))


@dataclass(frozen=True, eq=False)
class Questions:
    """Prompts that end where a name is asked for, and which names are right."""

    prompts: tuple[tuple[int, ...], ...]
    """Tokens, from the boundary on."""
    given: Int[np.ndarray, " prompt"]
    """The node that the prompt names, of a way its subject."""
    right: Bool[np.ndarray, "prompt node"]


@dataclass(frozen=True, eq=False)
class Told:
    """All that training on a told graph reads and asks, as arrays."""

    names: tuple[str, ...]
    """How each node is called."""
    tokenizer: Tokenizer
    name_tokens: tuple[tuple[int, ...], ...]
    """The tokens of every name as it stands in a sentence, after a space."""
    texts: Int[np.ndarray, "text seq"]
    """Boundary, sentences, boundary, padding; those of facts first, then those of ways."""
    fact_texts: int
    """How many of them tell facts."""
    weights: Float[np.ndarray, "text next"]
    """1 where the next token is in the loss, else 0."""
    questions: dict[str, Questions]
    """By part: those of `PARTS` that there are."""
    ways: Ways | None = None
    """The pairs of nodes that ways are told and asked of."""

    @property
    def node_count(self) -> int:
        """Number of names."""
        return len(self.names)

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens."""
        return len(self.tokenizer.tokens)

    @property
    def drawn_ways(self) -> int:
        """Texts of ways in an epoch: all, or as many drawn anew as tell facts, where there are more."""
        return min(len(self.texts) - self.fact_texts, self.fact_texts)

    @property
    def context_length(self) -> int:
        """Tokens of the longest text or question with its answer."""
        longest = max(len(prompt) for own in self.questions.values() for prompt in own.prompts)
        return max(self.texts.shape[1] - 1, longest + max(map(len, self.name_tokens)))

    def read(self, text: int) -> str:
        """What a text says.

        >>> from geomem.worlds.graphs.families import cycle
        >>> tell(cycle(4), tell_in("graph")).read(0)
        'Lesu Ruta is linked to Suga Sabi.'
        """
        return self.tokenizer.read(self.texts[text].tolist()).removeprefix(" ")


def tell(graph: Graph, task: Telling) -> Told:
    """A graph in sentences: each fact in each sentence, a text each, sorted by sentence, then by fact.

    With a share of ways, each right next node of each told pair in each of `ways` follows, a text each.

    Texts are put together from the tokens of the text between names and those of names, so that a name has
    the same tokens wherever it stands. Raises `InputError` if a sentence does not say where its names stand,
    if there are fewer fillers than wanted or more tokens than `MOST_TOKENS`, or if two nodes have one name,
    and as `draw_ways` does.

    >>> from geomem.worlds.graphs.families import cycle
    >>> told = tell(cycle(4), tell_in("graph", told=2))
    >>> told.texts.shape, told.vocabulary_size, told.name_tokens[0]
    ((16, 11), 23, (0, 1))
    """
    check_telling(task)
    names = find_names(graph, task)
    facts = directed_facts(graph, EdgeMemorization(directions=task.directions))
    said = [(take_apart(sentence), facts) for sentence in task.sentences]
    tokenizer = learn_tokens(_learned_from(names, said, task), task.tokens, vocabulary=task.vocabulary)
    name_tokens = tuple(tokenizer.write(f" {name}") for name in names)
    ways = draw_ways(graph, task.ways_share, seed=task.text_seed) if task.ways_share else None
    if ways:
        steps = ways.steps
        said += [(take_apart(sentence, WAY), steps) for sentence in task.ways]
    _check_tokens(graph, task, said, 6)
    rows, asked = _write_texts(said, name_tokens, tokenizer, task)
    length = max(map(len, rows))
    _check_tokens(graph, task, said, length)
    texts = np.full((len(rows), length), tokenizer.numbers[PADDING], dtype=np.int64)
    weights = np.zeros((len(rows), length - 1))
    for number, (row, (first, last)) in enumerate(zip(rows, asked, strict=True)):
        texts[number, : len(row)] = row
        begin, end = (0, len(row) - 1) if task.asked == "everything" else (first - 1, last - 1)
        weights[number, begin:end] = 1.0
    questions = _ask(graph, facts, name_tokens, tokenizer, task)
    if ways:
        for part, pairs in (("ways", ways.told), ("held_out_ways", ways.held_out)):
            if len(pairs):
                questions[part] = ask_ways(ways, pairs[:MOST_ASKED], name_tokens, tokenizer, task.ways)
    return Told(
        names,
        tokenizer,
        name_tokens,
        texts,
        fact_texts=len(task.sentences) * len(facts),
        weights=weights,
        questions=questions,
        ways=ways,
    )


def _check_tokens(
    graph: Graph, task: Telling, said: list[tuple[Slots, Int[np.ndarray, "text name"]]], length: int
) -> None:
    """Raise `InputError` if texts of so many tokens are too many."""
    tokens = length * sum(len(facts) for _, facts in said)
    if tokens > MOST_TOKENS:
        less = "a smaller ways_share" if task.ways_share else "fewer fillers"
        raise InputError(
            f"{graph.name!r} told in {len(said)} sentences has {tokens:,} tokens or more; give at most "
            f"{MOST_TOKENS:,}: fewer sentences, {less} or a smaller graph."
        )


def check_telling(task: Telling) -> None:
    """Raise `InputError` if a field is out of its bounds, or a sentence cannot be told.

    >>> check_telling(Telling())
    Traceback (most recent call last):
    geomem.errors.InputError: There is no sentence; write sentences = ["{subject} is next to {object}."].
    """
    check_fields(task)
    check_templates(Templates("", task.sentences, task.two_steps, task.ways, task.fillers))
    for sentence in task.paraphrases:
        take_apart(sentence)
    if not task.paraphrases or set(task.paraphrases) & set(task.sentences):
        raise InputError("No paraphrase is held out, or one is told as well; hold out at least one sentence.")
    if task.filler_count and not task.fillers:
        raise InputError(
            f"filler_count is {task.filler_count} and there is no filler; write fillers = [...] in the "
            "templates."
        )
    if task.ways_share and not task.ways:
        raise InputError(
            f"ways_share is {task.ways_share} and there is no sentence about ways; write ways = [...] in the "
            "templates."
        )


def find_names(graph: Graph, task: Telling) -> tuple[str, ...]:
    """How the nodes of a graph are called in sentences; raises `InputError` if two are called the same.

    >>> from geomem.worlds.graphs.atlas import europe
    >>> find_names(europe(), Telling())[:2]
    ('Albania', 'Andorra')
    """
    kind = task.names
    if kind == "auto":
        spoken = any(letter.isalpha() for label in graph.labels for letter in label)
        kind = "labels" if spoken else "own-last"
    names = made_up_names(graph.labels, kind, seed=task.name_seed)
    names = tuple(" ".join(name.split()) for name in names)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"Two nodes of {graph.name!r} are called {twice!r}; give --names own-last.")
    return names


def _learned_from(
    names: tuple[str, ...], said: list[tuple[Slots, Int[np.ndarray, "text name"]]], task: Telling
) -> list[str]:
    """The texts that tokens are learned from: the facts told, and the words of all else, once each.

    Of fillers, ways and questions no pair is counted more often than they are written.
    """
    texts = []
    for slots, facts in said:
        for nodes in facts[:, slots.columns].tolist():
            parts = [f"{text} {names[node]}" for text, node in zip(slots.texts, nodes, strict=False)]
            texts.append("".join(parts) + slots.texts[-1])
    texts += [f" {name}" for name in names]
    for sentence in (*task.paraphrases, *task.two_steps):
        texts += take_apart(sentence).texts
    for sentence in task.ways if task.ways_share else ():
        texts += take_apart(sentence, WAY).texts
    return texts + [f" {filler}" for filler in (task.fillers if task.filler_count else ())]


def _write_texts(
    said: list[tuple[Slots, Int[np.ndarray, "text name"]]],
    name_tokens: tuple[tuple[int, ...], ...],
    tokenizer: Tokenizer,
    task: Telling,
) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Tokens of every text, and where in it the name stands that its sentence ends in."""
    boundary = tokenizer.numbers[BOUNDARY]
    fillers = [tokenizer.write(f" {filler}") for filler in task.fillers] if task.filler_count else []
    generator = np.random.default_rng([task.text_seed, TEXT_STREAM])
    rows, asked = [], []
    for slots, facts in said:
        texts = [tokenizer.write(text) for text in slots.texts]
        for nodes in facts[:, slots.columns].tolist():
            row = [boundary]
            drawn = generator.integers(len(fillers), size=task.filler_count).tolist() if fillers else []
            place = int(generator.integers(len(drawn) + 1)) if fillers else 0
            for filler in drawn[:place]:
                row += fillers[filler]
            for text, node in zip(texts, nodes, strict=False):
                row += [*text, *name_tokens[node]]
            asked.append((len(row) - len(name_tokens[nodes[-1]]), len(row)))
            row += texts[-1]
            for filler in drawn[place:]:
                row += fillers[filler]
            rows.append([*row, boundary])
    return rows, asked


def _ask(
    graph: Graph,
    facts: Int[np.ndarray, "fact 2"],
    name_tokens: tuple[tuple[int, ...], ...],
    tokenizer: Tokenizer,
    task: Telling,
) -> dict[str, Questions]:
    nodes = graph.node_count
    told = np.zeros((nodes, nodes), dtype=bool)
    told[facts[:, 0], facts[:, 1]] = True
    adjacency = adjacency_matrix(graph)
    near = adjacency.toarray()
    apart = (adjacency @ near > 0) & (near == 0) & ~np.eye(nodes, dtype=bool)
    boundary, found = tokenizer.numbers[BOUNDARY], {}
    for part, sentences in zip(PARTS, (task.sentences, task.paraphrases, task.two_steps), strict=False):
        prompts, given, right = [], [], []
        for sentence in sentences:
            slots = take_apart(sentence)
            before, between = map(tokenizer.write, slots.texts[:2])
            asks_object = slots.columns[-1] == WAY.index("object")
            answers = apart if part == "two_steps" else told if asks_object else told.T
            for node in np.flatnonzero(answers.any(axis=1)).tolist():
                prompts.append((boundary, *before, *name_tokens[node], *between))
                given.append(node)
                right.append(answers[node])
        if prompts:
            found[part] = Questions(tuple(prompts), np.array(given), np.array(right))
    return found


def ask_ways(
    ways: Ways,
    pairs: Int[np.ndarray, "pair 2"],
    name_tokens: tuple[tuple[int, ...], ...],
    tokenizer: Tokenizer,
    sentences: tuple[str, ...],
) -> Questions:
    """Questions about the next node on the way of each pair, in one sentence after the other.

    >>> from geomem.worlds.graphs.families import path
    >>> task = tell_in("graph", ways_share=0.5)
    >>> told = tell(path(3), task)
    >>> asked = ask_ways(told.ways, np.array([[0, 2]]), told.name_tokens, told.tokenizer, task.ways)
    >>> told.tokenizer.read(asked.prompts[0]), asked.right.tolist()
    (' From Zata Ruta towards Lesu Munu, the next is', [[False, True, False]])
    """
    prompts, boundary = [], tokenizer.numbers[BOUNDARY]
    forms = [take_apart(sentence, WAY) for sentence in sentences]
    written = [[tokenizer.write(text) for text in slots.texts] for slots in forms]
    for number, pair in enumerate(pairs.tolist()):
        slots, texts = forms[number % len(forms)], written[number % len(forms)]
        first, second = (name_tokens[pair[column]] for column in slots.columns[:2])
        prompts.append((boundary, *texts[0], *first, *texts[1], *second, *texts[2]))
    return Questions(tuple(prompts), pairs[:, 0], next_nodes(ways.distances, pairs))


def name_prompts(
    told: Told, sentences: tuple[str, ...]
) -> tuple[list[tuple[int, ...]], list[tuple[int, int]]]:
    """Prompts that end in a name, of every sentence and node, and where the name's tokens stand.

    A sentence is cut after its first name; an empty one is the name alone.

    >>> from geomem.worlds.graphs.families import cycle
    >>> told = tell(cycle(3), tell_in("graph", told=2))
    >>> prompts, places = name_prompts(told, ("", "Who is linked to {subject}? The answer is {object}."))
    >>> told.tokenizer.read(prompts[3]), places[0], places[3]
    (' Who is linked to Zata Ruta', (1, 3), (5, 7))
    """
    boundary = told.tokenizer.numbers[BOUNDARY]
    prompts, places = [], []
    for sentence in sentences:
        before = told.tokenizer.write(take_apart(sentence).texts[0]) if sentence else ()
        for tokens in told.name_tokens:
            first = 1 + len(before)
            prompts.append((boundary, *before, *tokens))
            places.append((first, first + len(tokens)))
    return prompts, places
