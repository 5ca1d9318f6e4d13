"""Models over sequences: states at every position read, and decoding that never passes a token twice.

One walk serves the Transformer and Mamba. Each block passes a piece of every sequence and gives what it
remembers at the piece's end (`AttentionMemory`, `BlockMemory`), which the next piece goes on from. The tokens
that all sequences share are the first piece, passed once per run. In the last block only the positions read
are computed.
"""

from dataclasses import dataclass
from functools import singledispatch

from jaxtyping import Float, Int
from torch import Tensor

from geomem.errors import InputError
from geomem.models.configuration import Mamba, Transformer
from geomem.models.layers import look_up, read_out
from geomem.models.model import Parameters, compute_logits, count_shared
from geomem.models.networks import mamba, transformer

Memory = transformer.AttentionMemory | mamba.BlockMemory | None
"""What one block keeps of the tokens before; nothing without attention."""


@dataclass(frozen=True, eq=False)
class SequenceMemory:
    """What a model keeps of the tokens it has passed."""

    length: int
    """Number of tokens passed."""
    blocks: tuple[Memory, ...]


@singledispatch
def apply_block(
    model: Transformer | Mamba,
    parameters: Parameters,
    name: str,
    inputs: Float[Tensor, "run example seq width"],
    memory: Memory = None,
    *,
    first: int = 0,
) -> tuple[Float[Tensor, "run example out width"], Memory]:
    """One block on a piece of every sequence: its outputs from position `first` on, and what it remembers."""
    raise TypeError(f"{type(model).__name__} passes no sequences; give a Transformer or a Mamba.")


@singledispatch
def normalize_states(
    model: Transformer | Mamba, parameters: Parameters, states: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    """What comes between the last block and the read-out."""
    raise TypeError(f"{type(model).__name__} passes no sequences; give a Transformer or a Mamba.")


apply_block.register(Transformer, transformer.apply_block)
apply_block.register(Mamba, mamba.apply_block)
normalize_states.register(Transformer, transformer.normalize_states)
normalize_states.register(Mamba, mamba.normalize_states)


def read_states(
    model: Transformer | Mamba,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example seq"],
    *,
    first_read: int,
    shared: int = 1,
) -> Float[Tensor, "run example read width"]:
    """States before the read-out at positions `first_read` to the end, each from the tokens up to itself.

    The first `shared` tokens must be the same in every example and run; they are computed once per run.

    >>> import torch
    >>> from geomem.models.model import initialize_parameters
    >>> sizes = dict(vocabulary_size=11, context_length=4, node_count=2)
    >>> model = Transformer(layers=2, width=8)
    >>> parameters = initialize_parameters(model, **sizes, seeds=[0, 1])
    >>> tokens = torch.tensor([[[9, 0, 1, 1], [9, 1, 0, 0]]])
    >>> read_states(model, parameters, tokens, first_read=2).shape
    torch.Size([2, 2, 2, 8])
    """
    return _read(model, parameters, tokens, first_read, shared)[0]


def begin_sequence(
    model: Transformer | Mamba,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example seq"],
    *,
    shared: int = 1,
) -> tuple[Float[Tensor, "run example width"], SequenceMemory]:
    """The state before the read-out after the last token, and the memory to go on from."""
    states, memory = _read(model, parameters, tokens, tokens.shape[2] - 1, shared)
    return states[:, :, 0], memory


def advance_sequence(
    model: Transformer | Mamba,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example piece"],
    memory: SequenceMemory,
) -> tuple[Float[Tensor, "run example piece width"], SequenceMemory]:
    """States before the read-out after each of the next tokens, and the memory after them."""
    return _pass_piece(model, parameters, tokens, memory, first=0)


def read_out_table(model: Transformer | Mamba, parameters: Parameters) -> Float[Tensor, "run vocab width"]:
    """The table whose products with a state are the logits: the token embedding, if tied."""
    return parameters["token_embedding" if model.tied else "output_embedding"]


@compute_logits.register(Transformer)
@compute_logits.register(Mamba)
def compute_sequence_logits(
    model: Transformer | Mamba,
    parameters: Parameters,
    prefixes: Int[Tensor, "example seq"],
    *,
    shared: int | None = None,
) -> Float[Tensor, "run example vocab"]:
    """Logits after the last token of every prefix."""
    shared = count_shared(prefixes) if shared is None else shared
    states, _ = begin_sequence(model, parameters, prefixes[None], shared=shared)
    return read_out(states, read_out_table(model, parameters))


def _read(
    model: Transformer | Mamba,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example seq"],
    first_read: int,
    shared: int,
) -> tuple[Float[Tensor, "run example read width"], SequenceMemory]:
    """Whole sequences: the shared tokens first, then the others from their memory."""
    memory = SequenceMemory(0, (None,) * model.layers)
    passed = min(shared, first_read)
    if isinstance(model, Transformer) and not model.attention:
        # Without attention no token reaches another position.
        passed = first_read
        memory = SequenceMemory(passed, memory.blocks)
    elif passed:
        _, memory = _pass_piece(model, parameters, tokens[:1, :1, :passed], memory, first=passed)
    return _pass_piece(model, parameters, tokens[:, :, passed:], memory, first=first_read - passed)


def _pass_piece(
    model: Transformer | Mamba,
    parameters: Parameters,
    tokens: Int[Tensor, "run_or_1 example piece"],
    memory: SequenceMemory,
    *,
    first: int,
) -> tuple[Float[Tensor, "run example out width"], SequenceMemory]:
    states = _embed(parameters, tokens, memory.length)
    blocks = []
    for block in range(model.layers):
        # What nobody reads is not computed; in the blocks before, later positions still read it.
        from_here = first if block == model.layers - 1 else 0
        states, kept = apply_block(
            model, parameters, f"block_{block}", states, memory.blocks[block], first=from_here
        )
        blocks.append(kept)
    if states.shape[2]:
        states = normalize_states(model, parameters, states.flatten(1, 2)).view(states.shape)
    return states, SequenceMemory(memory.length + tokens.shape[2], tuple(blocks))


def _embed(
    parameters: Parameters, tokens: Int[Tensor, "run_or_1 example piece"], start: int
) -> Float[Tensor, "run example piece width"]:
    """Token embeddings, plus those of the positions from `start` on if the model has positions."""
    end = start + tokens.shape[2]
    rows = tokens[0].flatten() if len(tokens) == 1 else tokens.flatten(1)
    states = look_up(parameters["token_embedding"], rows).unflatten(1, tokens.shape[1:])
    positions = parameters.get("position_embedding")
    if positions is None:
        return states
    if end > positions.shape[1]:
        raise InputError(
            f"The sequence has {end} tokens and the model {positions.shape[1]} positions; "
            "give shorter sequences or a model made for longer ones."
        )
    return states + positions[:, None, start:end]
