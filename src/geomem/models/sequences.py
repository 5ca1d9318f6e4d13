"""Models over sequences: states at every position read, and decoding that never passes a token twice.

One walk serves every architecture. Each block passes a piece of every sequence and gives what it keeps at the
piece's end (its cache), which the next piece goes on from. The tokens that all sequences share are the first
piece, passed once per run; sequences of several lengths pass together, piece beside piece. In the last block
only the positions read are computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.errors import InputError
from geomem.models.architecture import Model
from geomem.models.layers import Parameters, embed, unembed
from geomem.models.networks import network_of
from geomem.models.pieces import Piece, join_rows, split_rows

BlockCache = Any
"""What one block keeps of the tokens before, of its network's own type; None before the first token.

Of a network without blocks the tokens themselves are kept, and pass it again.
"""


@dataclass(frozen=True, eq=False)
class SequenceCache:
    """What a model keeps of the tokens it has passed."""

    length: int
    """Number of tokens passed."""
    blocks: tuple[BlockCache, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """Sequences of one length, and the positions at which their states are read."""

    tokens: Int[Tensor, "run_or_1 example seq"]
    first_read: int
    shared: int = 1
    """Leading tokens that are the same in every example and run."""


def read_states(
    model: Model,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example seq"],
    *,
    first_read: int,
    shared: int = 1,
) -> Float[Tensor, "run example read width"]:
    """States before the read-out at positions `first_read` to the end, each from the tokens up to itself.

    The first `shared` tokens must be the same in every example and run; they are computed once per run.

    >>> import torch
    >>> from geomem.models.configuration import Transformer
    >>> from geomem.models.model import initialize_parameters
    >>> sizes = dict(vocabulary_size=11, context_length=4, node_count=2)
    >>> model = Transformer(layers=2, width=8)
    >>> parameters = initialize_parameters(model, **sizes, seeds=[0, 1])
    >>> tokens = torch.tensor([[[9, 0, 1, 1], [9, 1, 0, 0]]])
    >>> read_states(model, parameters, tokens, first_read=2).shape
    torch.Size([2, 2, 2, 8])
    """
    return _read(model, parameters, [Reading(tokens, first_read, shared)])[0][0]


def read_layers(
    model: Model, parameters: Parameters, tokens: Int[Tensor, "run_or_1 example seq"]
) -> list[Float[Tensor, "run example seq width"]]:
    """States at every position: the embeddings, then after every block, then as the read-out takes them.

    Raises `InputError` for a model whose blocks are not known.

    >>> from geomem.models.configuration import Transformer
    >>> from geomem.models.model import initialize_parameters
    >>> model, sizes = Transformer(width=8), dict(vocabulary_size=11, context_length=4, node_count=2)
    >>> parameters = initialize_parameters(model, **sizes, seeds=[0])
    >>> layers = read_layers(model, parameters, torch.tensor([[[9, 1]]]))
    >>> len(layers), layers[0].shape
    (3, torch.Size([1, 1, 2, 8]))
    """
    if reads_whole(model) or not model.reads_past:
        raise InputError(
            f"The layers of a {model.name} are not known; give a model that reads sequences in blocks."
        )
    network = network_of(model)
    passing = _Passing(tokens, SequenceCache(0, ()), first=0)
    rows, shape = _embed(parameters, [passing]), passing.shape
    layers = [rows]
    for block in range(model.layers):
        rows, _ = _block_function(network)(model, parameters, f"block_{block}", rows, [Piece(shape)])
        layers.append(rows)
    layers.append(network.normalize_states(model, parameters, rows))
    return [states.unflatten(1, shape) for states in layers]


def begin_sequence(
    model: Model, parameters: Parameters, tokens: Int[Tensor, "run_or_1 example seq"], *, shared: int = 1
) -> tuple[Float[Tensor, "run example width"], SequenceCache]:
    """The state before the read-out after the last token, and the cache to go on from."""
    ((states, cache),) = _read(model, parameters, [Reading(tokens, tokens.shape[2] - 1, shared)])
    return states[:, :, 0], cache


def advance_sequence(
    model: Model, parameters: Parameters, tokens: Int[Tensor, "run_or_1 example piece"], cache: SequenceCache
) -> tuple[Float[Tensor, "run example piece width"], SequenceCache]:
    """States before the read-out after each of the next tokens, and the cache after them."""
    passing = _Passing(tokens, cache, first=0)
    if reads_whole(model):
        return _pass_whole(model, parameters, passing)
    return _pass_pieces(model, parameters, [passing])[0]


def count_shared(prefixes: Int[Tensor, "example seq"]) -> int:
    """Number of leading tokens, never the last, that all prefixes have in common.

    >>> import torch
    >>> count_shared(torch.tensor([[9, 1], [9, 2]]))
    1
    """
    differs = (prefixes != prefixes[:1]).any(dim=0)[:-1].tolist()
    return differs.index(True) if True in differs else len(differs)


def read_out_table(model: Model, parameters: Parameters) -> Float[Tensor, "run vocab width"] | None:
    """The table whose products with a state are the logits: the token embedding, if tied.

    None if the states of the model are its logits.
    """
    if reads_whole(model):
        return None
    return parameters["token_embedding" if model.tied else "output_embedding"]


def reads_whole(model: Model) -> bool:
    """Whether a network gives logits for whole sequences, and no states of blocks."""
    return hasattr(network_of(model), "read_whole")


def compute_sequence_logits(
    model: Model, parameters: Parameters, prefixes: Int[Tensor, "example seq"], *, shared: int | None = None
) -> Float[Tensor, "run example vocab"]:
    """Logits after the last token of every prefix."""
    shared = count_shared(prefixes) if shared is None else shared
    states, _ = begin_sequence(model, parameters, prefixes[None], shared=shared)
    return unembed(states, read_out_table(model, parameters))


def read_together(
    model: Model, parameters: Parameters, readings: Sequence[Reading]
) -> list[Float[Tensor, "run _ _ width"]]:
    """What `read_states` gives of every reading, all of them passed together: fewer, larger operations."""
    return [states for states, _ in _read(model, parameters, readings)]


def _read(
    model: Model, parameters: Parameters, readings: Sequence[Reading]
) -> list[tuple[Float[Tensor, "run _ _ width"], SequenceCache]]:
    """Whole sequences: the shared tokens are a piece of their own, which the others go on from.

    All pieces pass together where that is faster: on a GPU always, on a CPU only for several readings (a
    fleet of 64 on one kind of fact spends a sixth more on taking the rows apart than it gains).
    """
    if reads_whole(model):
        return [
            _pass_whole(model, parameters, _Passing(one.tokens, SequenceCache(0, ()), one.first_read))
            for one in readings
        ]
    pieces_at_once = hasattr(network_of(model), "apply_pieces")
    together = pieces_at_once and (len(readings) > 1 or readings[0].tokens.device.type != "cpu")
    given, ends, found = [], [], []
    for reading in readings:
        tokens, passed = reading.tokens, min(reading.shared, reading.first_read)
        cache = SequenceCache(0, (None,) * model.layers)
        if not model.reads_past:
            passed = reading.first_read
            cache = SequenceCache(passed, cache.blocks)
        elif passed:
            beginning = _Passing(tokens[:1, :1, :passed], cache, first=passed)
            if together:
                given.append(beginning)
                cache = SequenceCache(passed, cache.blocks)
            else:
                ((_, cache),) = _pass_pieces(model, parameters, [beginning])
        follows = together and model.reads_past and passed > 0
        rest = _Passing(tokens[:, :, passed:], cache, reading.first_read - passed, follows)
        if together:
            ends.append(len(given))
            given.append(rest)
        else:
            found += _pass_pieces(model, parameters, [rest])
    if not together:
        return found
    passed_all = _pass_pieces(model, parameters, given)
    return [passed_all[end] for end in ends]


@dataclass(frozen=True, eq=False)
class _Passing:
    """The next tokens of some sequences."""

    tokens: Int[Tensor, "run_or_1 example piece"]
    cache: SequenceCache
    first: int
    """States are wanted from here on."""
    follows: bool = False
    """Whether what the blocks keep of the tokens before is what they keep of the piece before."""

    @property
    def shape(self) -> tuple[int, int]:
        """Examples and tokens."""
        return self.tokens.shape[1], self.tokens.shape[2]


def _pass_whole(
    model: Model, parameters: Parameters, given: _Passing
) -> tuple[Float[Tensor, "run example _ vocab"], SequenceCache]:
    """The logits of a network without blocks; the tokens before pass it again."""
    tokens = given.tokens
    for before in given.cache.blocks:
        tokens = torch.cat([before.expand(len(tokens), -1, -1), tokens], dim=2)
    logits = network_of(model).read_whole(
        model, parameters, tokens, first_read=given.cache.length + given.first
    )
    return logits, SequenceCache(tokens.shape[2], (tokens,))


def _pass_pieces(
    model: Model, parameters: Parameters, given: Sequence[_Passing]
) -> list[tuple[Float[Tensor, "run _ _ width"], SequenceCache]]:
    network = network_of(model)
    apply_pieces = _block_function(network)
    rows, kept = _embed(parameters, given), []
    for block in range(model.layers):
        # What nobody reads is not computed; in the blocks before, later positions still read it.
        last = block == model.layers - 1
        pieces = [
            Piece(one.shape, one.first if last else 0, one.cache.blocks[block], one.follows) for one in given
        ]
        rows, caches = apply_pieces(model, parameters, f"block_{block}", rows, pieces)
        kept.append(caches)
    if rows.shape[1]:
        rows = network.normalize_states(model, parameters, rows)
    states = split_rows(rows, [(one.shape[0], one.shape[1] - one.first) for one in given])
    return [
        (part, SequenceCache(one.cache.length + one.shape[1], blocks))
        for part, one, blocks in zip(states, given, zip(*kept, strict=True), strict=True)
    ]


def _block_function(network: ModuleType) -> Any:
    """What applies one block to pieces: the network's own function, or its one for a piece alone."""
    return getattr(network, "apply_pieces", None) or partial(_apply_alone, network)


def _apply_alone(
    network: ModuleType,
    model: Model,
    parameters: Parameters,
    name: str,
    rows: Float[Tensor, "run row width"],
    pieces: Sequence[Piece],
) -> tuple[Float[Tensor, "run kept width"], list[BlockCache]]:
    """The only piece, for a network that takes no more at once."""
    (piece,) = pieces
    inputs = rows.unflatten(1, piece.shape)
    states, cache = network.apply_block(model, parameters, name, inputs, piece.past, first=piece.first)
    return states.flatten(1, 2), [cache]


def _embed(parameters: Parameters, given: Sequence[_Passing]) -> Float[Tensor, "run row width"]:
    """Token embeddings, plus those of the positions if the model has positions."""
    table, positions = parameters["token_embedding"], parameters.get("position_embedding")
    alike = all(len(one.tokens) == 1 for one in given)
    rows = [one.tokens.expand(1 if alike else len(table), -1, -1).flatten(1) for one in given]
    places = torch.cat(rows, dim=1) if len(rows) > 1 else rows[0]
    states = embed(table, places[0] if alike else places)
    if positions is None:
        return states
    parts = split_rows(states, [one.shape for one in given])
    placed = []
    for part, one in zip(parts, given, strict=True):
        start = one.cache.length
        end = start + one.shape[1]
        if end > positions.shape[1]:
            raise InputError(
                f"The sequence has {end} tokens and the model {positions.shape[1]} positions; "
                "give shorter sequences or a model made for longer ones."
            )
        placed.append(part + positions[:, None, start:end])
    return join_rows(placed)
