"""What models that were told a graph hold of its names: states at every layer, in prompts that end in a name.

Axis names: `template` (a sentence cut after its first name, or the name alone), `node`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float

from geomem.errors import InputError
from geomem.measure.uses.learning import follow
from geomem.models.model import initialize_parameters
from geomem.models.sequences import read_layers
from geomem.runs.run import VOCABULARY, Run
from geomem.runs.told import read_told_vocabulary
from geomem.training.sentences import answer_questions, grow_tree, score_names
from geomem.worlds.language.telling import Telling, Told, ask_ways, name_prompts, tell
from geomem.worlds.language.ways import every_next
from geomem.worlds.tasks import Examples

Position = Literal["last token", "mean of tokens"]
POSITIONS: tuple[Position, ...] = ("last token", "mean of tokens")
BARE = ""
"""The template of the name alone."""


@dataclass(frozen=True, eq=False)
class NameStates:
    """States of every name at one layer."""

    layer: str
    """"input embedding", "block 1", ... or "final norm"."""
    vectors: Mapping[Position, Float[np.ndarray, "run template node width"]]
    """Of its last token, and the mean over its tokens; the embedding has one template: none reaches it."""


def read_name_states(
    model: Any, parameters: Mapping[str, Any], told: Told, sentences: Sequence[str] = (BARE,)
) -> list[NameStates]:
    """States of the names of a told graph, layer by layer, in sentences cut after their first name.

    `parameters` are tensors or arrays [run, ...]. Raises `InputError` for a model whose blocks are not known.

    >>> from geomem.models.configuration import Transformer
    >>> from geomem.worlds.graphs.families import cycle
    >>> from geomem.worlds.language.telling import tell_in
    >>> told, model = tell(cycle(5), tell_in("graph")), Transformer(width=8, layers=2)
    >>> states = read_name_states(model, draw_weights(model, told, seeds=[0, 1]), told)
    >>> [(own.layer, own.vectors["last token"].shape) for own in states][1:3]
    [('block 1', (2, 1, 5, 8)), ('block 2', (2, 1, 5, 8))]
    """
    tensors = {name: torch.as_tensor(values) for name, values in parameters.items()}
    prompts, places = name_prompts(told, tuple(sentences))
    lengths = np.array([len(prompt) for prompt in prompts])
    found: dict[tuple[int, Position], np.ndarray] = {}
    with torch.no_grad():
        for length in np.unique(lengths).tolist():
            which = np.flatnonzero(lengths == length)
            tokens = torch.tensor([prompts[at] for at in which.tolist()])[None]
            for number, states in enumerate(read_layers(model, tensors, tokens)[1:]):
                for row, at in enumerate(which.tolist()):
                    own = states[:, row, slice(*places[at])].double().numpy()
                    for position, vector in zip(POSITIONS, (own[:, -1], own.mean(axis=1)), strict=True):
                        if (number, position) not in found:
                            shape = (len(own), len(prompts), own.shape[2])
                            found[number, position] = np.zeros(shape)
                        found[number, position][:, at] = vector
    table = tensors["token_embedding"].double().numpy()
    rows = [table[:, list(own)] for own in told.name_tokens]
    embedded = (np.stack([own[:, -1] for own in rows], 1), np.stack([own.mean(axis=1) for own in rows], 1))
    layers = [
        NameStates(
            "input embedding",
            {position: own[:, None] for position, own in zip(POSITIONS, embedded, strict=True)},
        )
    ]
    for number in range(model.layers + 1):
        name = f"block {number + 1}" if number < model.layers else "final norm"
        vectors: dict[Position, np.ndarray] = {
            position: found[number, position].reshape(len(table), len(sentences), told.node_count, -1)
            for position in POSITIONS
        }
        layers.append(NameStates(name, vectors))
    return layers


def read_symbol_states(model: Any, parameters: Mapping[str, Any], examples: Examples) -> list[NameStates]:
    """States of the last token of every prefix, a node's own symbol, as those of names of one token.

    Every node must be asked once, in order. Raises `InputError` as `read_name_states` does.
    """
    with torch.no_grad():
        layers = read_layers(model, dict(parameters), torch.tensor(examples.prefixes)[None])
    rows = [own[:, None, :, -1].double().numpy() for own in layers]
    rows[0] = parameters["token_embedding"][:, None, examples.prefixes[:, -1]].double().numpy()
    names = ["input embedding", *(f"block {at + 1}" for at in range(model.layers)), "final norm"]
    return [NameStates(name, dict.fromkeys(POSITIONS, own)) for name, own in zip(names, rows, strict=True)]


def recall_names(
    model: Any, parameters: Mapping[str, Any], told: Told
) -> dict[str, Float[np.ndarray, " run"]]:
    """Share of the names recalled in all questions, by part of `worlds.language.telling.PARTS`."""
    tree = grow_tree(told.name_tokens)
    with torch.no_grad():
        return {
            part: answer_questions(model, dict(parameters), questions, tree).recalled.mean(dim=1).numpy()
            for part, questions in told.questions.items()
        }


def follow_ways(
    model: Any, parameters: Mapping[str, Any], told: Told, sentence: str
) -> dict[str, Float[np.ndarray, " run"]]:
    """Of ways told and held out the share of which every answer is a right one, the next asked from each.

    All pairs are asked in one sentence; the last step, along an edge, is a fact and is not asked for. Raises
    `InputError` if no ways were told.

    >>> from geomem.models.configuration import Transformer
    >>> from geomem.worlds.graphs.families import cycle
    >>> from geomem.worlds.language.telling import tell_in
    >>> task, model = tell_in("graph", ways_share=0.5), Transformer(width=8)
    >>> told = tell(cycle(5), task)
    >>> found = follow_ways(model, draw_weights(model, told, seeds=[0, 1]), told, task.ways[0])
    >>> {part: shares.shape for part, shares in found.items()}
    {'ways': (2,), 'held_out_ways': (2,)}
    """
    if told.ways is None:
        raise InputError("This graph was told without ways; give --ways-share.")
    ways, tree = told.ways, grow_tree(told.name_tokens)
    pairs = np.concatenate([ways.told, ways.held_out])
    asked = ask_ways(ways, pairs, told.name_tokens, told.tokenizer, (sentence,))
    with torch.no_grad():
        given = score_names(model, dict(parameters), asked.prompts, tree).argmax(dim=-1).numpy()
    nodes, right = told.node_count, every_next(ways.distances)
    steps = np.zeros((len(given), nodes, nodes), dtype=np.int64)
    steps[:, pairs[:, 0], pairs[:, 1]] = given
    parts = {"ways": ways.told, "held_out_ways": ways.held_out}
    return {
        part: np.array([follow(own, right, some).mean() for own in steps])
        for part, some in parts.items()
        if len(some)
    }


def draw_weights(model: Any, told: Told, seeds: Sequence[int]) -> dict[str, Any]:
    """Weights of models that were told nothing, one per seed: re-initialised twins."""
    return dict(
        initialize_parameters(
            model,
            vocabulary_size=told.vocabulary_size,
            context_length=told.context_length,
            node_count=told.node_count,
            seeds=seeds,
        )
    )


def told_again(run: Run) -> Told:
    """What stored runs were told; raises `InputError` for other runs, and if its tokens come out differently.

    Byte pairs may, with another version of the library that learns them.
    """
    if not isinstance(run.task, Telling):
        raise InputError(f"The run {run.path} was not told a graph in sentences; give one of `geomem tell`.")
    told = tell(run.graph, run.task)
    kept = read_told_vocabulary(run.place / VOCABULARY, run.graph.node_count)
    if (told.tokenizer.tokens, told.name_tokens) != (kept.tokens, kept.names):
        raise InputError(
            f"The tokens of {run.path} come out differently here than when it was trained; install the "
            "version of tokenizers that it was trained with, or train it again."
        )
    return told


def cut_after_name(sentence: str) -> str:
    """A sentence as far as it is read, with `{}` for the name.

    >>> cut_after_name("Which country borders {subject}? It is {object}."), cut_after_name("")
    ('Which country borders {}', '{}')
    """
    names = [sentence.find(slot) for slot in ("{subject}", "{object}")]
    return sentence[: min(names)] + "{}" if sentence else "{}"
