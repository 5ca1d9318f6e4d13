"""Where states come from: a model's folder, a run that was told a graph, or a file of labelled vectors.

Of a folder torch and transformers are imported, of a run torch, and only then.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geomem.audit.behaviour import Answer, Behaviour
from geomem.audit.prompts import EDGE_TEMPLATES, TEMPLATES, Position, check_templates
from geomem.audit.states import Layer, States
from geomem.errors import InputError
from geomem.measure.vectors.aliases import Aliases, check_aliases, of_names
from geomem.measure.vectors.matching import VOCABULARY
from geomem.measure.vectors.reading import Multiword, listed, read_named_vectors
from geomem.runs.directory import DONE, MANIFEST
from geomem.runs.run import read_run
from geomem.worlds.graphs.graph import Graph, adjacency_matrix

if TYPE_CHECKING:
    from geomem.audit.looking import Checks
    from geomem.audit.opening import OpenedModel

MOST_MISSING = 0.5
"""A model or file that lacks more of the names than this share is refused."""

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Source:
    """States of names, and what else an audit asks of where they come from."""

    path: Path
    states: States
    notes: tuple[str, ...]
    """What was understood, checked and left out, one sentence each."""
    tokens: Mapping[str, tuple[int, ...]] | None = None
    """The tokens of every name; None of a file of vectors."""
    frequencies: Mapping[str, float] | None = None
    """How frequent every name is, up to a monotone map, where the file stands in that order."""
    model: "OpenedModel | None" = None
    checks: "Checks | None" = None
    spelt: Mapping[str, str] = field(default_factory=dict)
    """What a model reads in the place of names that have an alias."""
    draw: Callable[[int], States] | None = None
    """The states of a run's re-initialised twin, by its seed; None of what is not a run."""

    def written(self, names: Sequence[str]) -> list[str]:
        """Names as the model reads them."""
        return [self.spelt.get(name, name) for name in names]


@dataclass(frozen=True)
class Reading:
    """How names are looked up."""

    templates: tuple[str, ...] | None = None
    """The sentences in which a model reads the names; `TEMPLATES` if none are given."""
    position: Position = "last token"
    labels: Sequence[str] | str | os.PathLike[str] | None = None
    """What the rows of a file are called that does not say."""
    array: str | None = None
    """The name of the vectors in a file of several arrays."""
    multiword: Multiword = "whole"
    aliases: Aliases = field(default_factory=dict)
    """Of names: what else to look for, the first that is found, and what a model reads in their place."""
    device: str = "cpu"
    say: Progress = field(default=lambda sentence: None)
    """Told what is being done."""


def read_source(path: str | os.PathLike[str], names: Sequence[str], reading: Reading | None = None) -> Source:
    """What a folder of transformers, a run told in sentences or a file of labelled vectors holds of names.

    Names that it does not know are left out and listed. Raises `InputError` where it knows less than half of
    them, and for whatever `open_model` and `read_named_vectors` refuse.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vectors.txt"
    ...     _ = file.write_text("mali 1 2\\nchad 2 1\\n")
    ...     source = read_source(file, ("Chad", "Mali"))
    >>> source.states.entities, source.states.layers[0].vectors.tolist()
    (('Chad', 'Mali'), [[[2.0, 1.0], [1.0, 2.0]]])
    """
    reading = reading or Reading()
    path = Path(path)
    if is_run(path):
        source = _read_run(path, names, reading)
    else:
        source = _read_folder(path, names, reading) if path.is_dir() else _read_file(path, names, reading)
    known = set(source.states.entities)
    missing = [name for name in names if name not in known]
    if len(missing) > MOST_MISSING * len(names):
        means = "" if source.model else ", or `--multiword mean` for vectors of single words"
        raise InputError(
            f"{path} knows {len(known):,} of {len(names):,} names, and not {listed(missing[:3])}; give names "
            f"as it spells them{means}."
        )
    if missing:
        said = f"{len(missing):,} of {len(names):,} names are unknown to it and left out: {listed(missing)}."
        source = replace(source, notes=(*source.notes, said))
    return source


def twins(source: Source, count: int, *, seed: int = 0, say: Progress = print) -> Iterator[Source]:
    """The same architecture with weights drawn anew, one at a time; nothing for a file."""
    if source.draw is not None:
        for twin in range(count):
            say(f"Re-initialised twin {twin + 1} of {count}.")
            yield replace(source, states=source.draw(seed + twin))
        return
    if source.model is None or source.checks is None:
        return
    from geomem.audit.looking import collect_states
    from geomem.audit.opening import reinitialized

    for twin in range(count):
        say(f"Re-initialised twin {twin + 1} of {count}.")
        model = reinitialized(source.model, seed=seed + twin)
        states = collect_states(
            model,
            source.written(source.states.entities),
            templates=source.states.templates,
            position=source.states.position,  # type: ignore[arg-type]
            shares_prefix=source.checks.shares_prefix,
        )
        states = replace(states, entities=source.states.entities)
        yield replace(source, model=model, states=states)


def object_states(source: Source, names: Sequence[str], reading: Reading) -> tuple[States, tuple[str, ...]]:
    """Vectors of answers, and notes: a model's embeddings of their first tokens, or a file's rows."""
    if source.draw is not None:
        raise InputError(f"{source.path} was told a graph and holds no facts; give --graph.")
    if source.model is None:
        found = _read_file(source.path, names, reading)
        return found.states, found.notes
    from geomem.audit.looking import first_token_states

    check_aliases(of_names(reading.aliases, names), names)
    written = source.written(names)
    states = first_token_states(source.model, written, source.states.templates[0])
    named = dict(zip(written, names, strict=True))
    return replace(states, entities=tuple(named[entity] for entity in states.entities)), ()


def is_run(path: Path) -> bool:
    """Whether a path is a run directory of ours."""
    return path.is_dir() and (path / DONE).exists() and (path / MANIFEST).exists()


def _read_run(path: Path, names: Sequence[str], reading: Reading) -> Source:
    if reading.labels is not None or reading.array is not None or reading.multiword != "whole":
        raise InputError(
            f"--labels, --array and --multiword are about files of vectors, and {path} is a run; leave them "
            "out."
        )
    if reading.aliases:
        raise InputError(f"--aliases is about other people's names, and {path} is a run; leave it out.")
    from geomem.measure.told import BARE, cut_after_name, draw_weights, read_name_states, told_again

    run = read_run(path, holding="graph")
    told = told_again(run)
    # Sentences that begin with the name are the name alone.
    by_prompt = {cut_after_name(sentence): sentence for sentence in (*run.task.sentences, BARE)}
    sentences = tuple(by_prompt.values())
    if reading.templates is not None:
        # What follows the name is not read.
        cut = [template.partition("{}")[0] for template in check_templates(reading.templates)]
        sentences = tuple(f"{before.rstrip()} {{subject}} {{object}}" for before in cut)
    row = {label: at for at, label in enumerate(run.graph.labels)}
    known = [name for name in names if name in row]
    which = [row[name] for name in known]

    def states(weights: Mapping[str, object]) -> States:
        layers = tuple(
            Layer(own.layer, own.vectors[reading.position][0][:, which].astype(np.float32))
            for own in read_name_states(run.model, weights, told, sentences)
        )
        return States(tuple(known), tuple(map(cut_after_name, sentences)), reading.position, layers)

    found = states(run.weights())
    layers = f"{len(found.layers)} layers of width {run.model.width:,}"
    prompts = "; ".join(repr(template) for template in found.templates)
    said = (
        f"A {run.model.name} that was told {run.graph.name!r} in sentences, seed {run.seeds[0]}, {layers}; "
        f"{reading.position} of each name in {prompts}."
    )
    return Source(
        path,
        found,
        (said,),
        tokens={name: told.name_tokens[row[name]] for name in known},
        draw=lambda seed: states(draw_weights(run.model, told, [seed])),
    )


def _read_file(path: Path, names: Sequence[str], reading: Reading) -> Source:
    read = read_named_vectors(
        path,
        names,
        labels=reading.labels,
        array=reading.array,
        multiword=reading.multiword,
        aliases=of_names(reading.aliases, names),
    )
    entities = tuple(names[int(at)] for at in read.found)
    runs = tuple(f"run {run}" for run in range(len(read.vectors))) if len(read.vectors) > 1 else ("",)
    states = States(entities, runs, "row of a file", (Layer("vectors", read.vectors.astype(np.float32)),))
    is_vocabulary = read.match is not None and read.match.row_count >= VOCABULARY * len(names)
    frequencies = dict(zip(entities, (1 / (1.0 + read.row)).tolist(), strict=True)) if is_vocabulary else None
    return Source(path, states, read.notes, frequencies=frequencies)


def _read_folder(path: Path, names: Sequence[str], reading: Reading) -> Source:
    if reading.labels is not None or reading.array is not None or reading.multiword != "whole":
        raise InputError(
            f"--labels, --array and --multiword are about files of vectors, and {path} is a folder; leave "
            "them out."
        )
    from geomem.audit.folder import check_folder

    check_folder(path)
    reading.say(f"Opening {path}.")
    from geomem.audit.looking import check_model, collect_states, name_tokens
    from geomem.audit.opening import open_model

    model = open_model(path, device=reading.device)
    usual = EDGE_TEMPLATES if "[EDGE]" in model.tokenizer.get_vocab() else TEMPLATES
    templates = check_templates(reading.templates or usual)
    check_aliases(of_names(reading.aliases, names), names)
    spelt = {
        name: known[0]
        for name, given in reading.aliases.items()
        if (known := list(name_tokens(model, given, templates[0])))
    }
    written = {spelt.get(name, name): name for name in names}
    checks = check_model(model, list(written), templates[0])
    states = collect_states(
        model,
        list(written),
        templates=templates,
        position=reading.position,
        shares_prefix=checks.shares_prefix,
        say=reading.say,
    )
    layers = f"{len(states.layers)} layers of width {states.layers[0].vectors.shape[2]:,}"
    understood = (
        f"{type(model.network).__name__}, {layers}; {reading.position} of each name in "
        + "; ".join(repr(template) for template in templates)
        + "."
    )
    tokens = name_tokens(model, states.entities, templates[0])
    tokens = {written[entity]: own for entity, own in tokens.items()}
    states = replace(states, entities=tuple(tokens))
    notes = [understood, *checks.sentences]
    if spelt:
        told = ", ".join(f"{alias[:80]!r} for {name[:80]!r}" for name, alias in spelt.items())
        notes.append(f"Names read by an alias: {told}.")
    return Source(path, states, tuple(notes), tokens, None, model, checks, spelt)


def graph_behaviour(source: Source, graph: Graph, question: str) -> Behaviour:
    """How a model answers a question such as `A country that borders {} is {}` for every node.

    Right is the most probable node if it is a neighbour. By chance: always saying the node that is right most
    often.
    """
    from geomem.audit.answering import answer_questions

    model = answering_model(source)
    names = source.states.entities
    node = {label: at for at, label in enumerate(graph.labels)}
    rows = np.array([node[name] for name in names])
    near = adjacency_matrix(graph).toarray()[np.ix_(rows, rows)] > 0
    written = source.written(names)
    answers = answer_questions(model, question, written, written)
    # A name stands for all that begin with the same token.
    right = np.zeros_like(near)
    np.logical_or.at(right.T, answers.same_first, near.T)
    asked = np.arange(len(names))
    first = right[asked, answers.top] & (answers.top >= 0)
    said = tuple(
        Answer(name, names[given], tuple(names[at] for at in np.flatnonzero(own)), bool(hit))
        for name, given, own, hit in zip(names, answers.among, near, right[asked, answers.among], strict=True)
    )
    return Behaviour(
        asked=len(names),
        right=int(right[asked, answers.among].sum()),
        chance=float(right.mean(axis=0).max()),
        first=float(first.mean()),
        answers=said,
    )


def answering_model(source: Source) -> "OpenedModel":
    """The model of a source; `InputError` for a file of vectors, and a model without a head that answers."""
    if source.draw is not None:
        raise InputError(
            f"What {source.path} answers stands in its metrics (`geomem measure`); leave out --question."
        )
    if source.model is None:
        raise InputError(
            f"{source.path} is a file of vectors, and answers no question; leave out --question and --causal."
        )
    if not source.model.answers:
        raise InputError(
            f"The model in {source.path} has no head that answers; leave out --question and --causal."
        )
    return source.model
