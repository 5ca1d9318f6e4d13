"""What a module of a person's own computes: all runs at once by `torch.func`, or one after another.

The module is made once per run for its first weights; one of them then computes for all, with the weights of
each run in place of its own. It is tried before anything is trained: whether it can be made, gives logits of
the right shape, draws nothing and keeps nothing between calls, and treats each example by itself.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from geomem.errors import InputError
from geomem.models.architecture import Sizes
from geomem.models.layers import Parameters, count_runs
from geomem.models.own import FROZEN, OwnModule
from geomem.models.randomness import generator_for
from geomem.models.written_out import write_out

TRIED_EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class Tried:
    """A module that does what is asked of it, and what is known of it."""

    module: nn.Module
    """One that was made; its weights stand for nothing."""
    together: nn.Module | None
    """One that computes all runs at once; None if only one run after another can be computed."""
    embedding: str
    width: int
    described: tuple[str, ...]
    by_position: bool
    """Whether logits at a position are given, and follow from the tokens up to it alone."""
    kept_numbers: int
    """Numbers that the backward pass needs of a position."""


def read_whole(
    model: OwnModule, parameters: Parameters, tokens: Int[Tensor, "run_or_1 example seq"], *, first_read: int
) -> Float[Tensor, "run example read vocab"]:
    """Logits at the positions from `first_read` on, each from the tokens up to itself.

    Where the module gives the last position alone, or looks ahead, every prefix passes it by itself.
    """
    tried, length = try_module(model.given), tokens.shape[2]
    if tried.by_position or first_read == length - 1:
        return _compute(model, tried, parameters, tokens)[:, :, -(length - first_read) :]
    ends = range(first_read + 1, length + 1)
    return torch.cat(
        [_compute(model, tried, parameters, tokens[:, :, :end])[:, :, -1:] for end in ends], dim=2
    )


def answer_questions(
    model: OwnModule,
    parameters: Parameters,
    paths: Int[Tensor, "path hop"],
    objects: Int[Tensor, " object"],
    *,
    subjects: Int[Tensor, "run_or_1 subject"] | None = None,
) -> Float[Tensor, "run subject path object"]:
    """The score of every object after every question, a subject and a path of relations, the last one read.

    Tokens are those of `geomem.worlds.facts.table.object_tokens`, which `objects` are.
    """
    first_relation = model.sizes[2]
    if subjects is None:
        subjects = torch.arange(first_relation, device=paths.device)[None]
    (runs, count), (path_count, hops) = subjects.shape, paths.shape
    tokens = torch.cat(
        [
            subjects[:, :, None, None].expand(-1, -1, path_count, 1),
            (paths + first_relation).expand(runs, count, -1, -1),
        ],
        dim=3,
    )
    logits = read_whole(model, parameters, tokens.flatten(1, 2), first_read=hops)[:, :, -1]
    return logits.index_select(2, objects).unflatten(1, (count, path_count))


def _compute(
    model: OwnModule, tried: Tried, parameters: Parameters, tokens: Int[Tensor, "run_or_1 example seq"]
) -> Float[Tensor, "run example some vocab"]:
    """The module's logits of all runs, at all positions that it gives."""
    names = [line.split(" ", 1)[0] for line in tried.described]
    weights = {name: parameters[model.kept_name(name)] for name in names}
    own = len(tokens) > 1
    if tried.together is not None:
        module = _on_device(tried.together, tokens.device)
        logits = _compute_together(module, weights, tokens if own else tokens[0])
    else:
        module = _on_device(tried.module, tokens.device)
        runs = [
            {name: tensor[run] for name, tensor in weights.items()} for run in range(count_runs(parameters))
        ]
        given = tokens.expand(len(runs), -1, -1)
        logits = torch.stack(
            [functional_call(module, run, (one,)) for run, one in zip(runs, given, strict=True)]
        )
    return logits[:, :, None] if logits.ndim == 3 else logits


def _compute_together(module: nn.Module, weights: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
    def compute(own: dict[str, Tensor], given: Tensor) -> Tensor:
        return functional_call(module, own, (given,))

    # Fused attention would be computed for one run after another.
    with sdpa_kernel(SDPBackend.MATH):
        return vmap(compute, in_dims=(0, 0 if tokens.ndim == 3 else None))(dict(weights), tokens)


def _on_device(module: nn.Module, device: torch.device) -> nn.Module:
    """The module there; what training changes is given at every call, so only its constants matter."""
    return module if next(module.parameters()).device == device else module.to(device)


def draw_parameters(model: OwnModule, sizes: Sizes, seeds: Sequence[int]) -> list[dict[str, Tensor]]:
    """The first weights of each run, by the names that they are kept under, from a stream of its own."""
    found = []
    for seed in seeds:
        tensors = _kept_tensors(_make(model, sizes, seed))
        found.append({model.kept_name(name): tensor.detach().clone() for name, tensor in tensors.items()})
    return found


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's generator on the CPU begins the stream of a run, and afterwards goes on where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_for(seed, "own module").initial_seed())
        yield


def _make(model: OwnModule, sizes: Sizes, seed: int) -> nn.Module:
    """The module with the weights that a seed begins with."""
    factory = model.factory()
    try:
        with _seeded(seed):
            module = factory(sizes)
    except Exception as error:
        raise InputError(
            f"The factory {model.source} raised {_say(error)}; it is called with sizes, which has "
            "vocabulary_size, context_length and node_count, and returns a torch.nn.Module."
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(
            f"The factory {model.source} returned a {type(module).__name__}; let it return a torch.nn.Module."
        )
    return module


def _kept_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, then buffers of float32: what differs between runs, or could."""
    buffers = {name: each for name, each in module.named_buffers() if each.dtype == torch.float32}
    return dict(module.named_parameters()) | buffers


@lru_cache(maxsize=16)
def try_module(model: OwnModule) -> Tried:
    """Make a module and try it; `model` has its sizes, and nothing that follows from it.

    Raises `InputError`, one sentence, for the first thing that is wrong.
    """
    sizes = Sizes(*model.sizes)
    module, other = _make(model, sizes, 0), _make(model, sizes, 1)
    tensors = _kept_tensors(module)
    _check_tensors(model, module, tensors)
    again = _kept_tensors(_make(model, sizes, 0))
    if any(not torch.equal(tensor, again[name]) for name, tensor in tensors.items()):
        raise InputError(
            f"The factory {model.source} makes other weights the second time, from the same seed of torch; "
            "draw them from torch's generator alone."
        )
    lengths = sorted({min(2, sizes.context_length), sizes.context_length})
    tokens = [_draw_tokens(sizes, length) for length in lengths]
    logits = [_check_logits(model, module, given, sizes.vocabulary_size) for given in tokens]
    by_position = all(_gives_positions(module, *pair) for pair in zip(tokens, logits, strict=True))
    embedding = _find_embedding(model, module, sizes)
    together, why = _put_together(model, sizes, (module, other), tokens[-1])
    if together is None:
        logging.getLogger(__name__).warning(
            "The runs of %s are computed one after another, which takes longer and changes nothing else: %s.",
            *(model.source, why),
        )
    if not embedding:
        logging.getLogger(__name__).warning(
            "The module %s has not just one nn.Embedding with a row for each of %d tokens: no geometry is "
            "measured; name its embedding to have it measured.",
            *(model.source, sizes.vocabulary_size),
        )
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return Tried(
        module=module,
        together=together,
        embedding=embedding,
        width=tensors[embedding].shape[1] if embedding else 0,
        described=tuple(
            " ".join([name, "x".join(map(str, tensor.shape)), *([] if name in trained else [FROZEN])])
            for name, tensor in tensors.items()
        ),
        by_position=by_position,
        kept_numbers=_count_kept(module, tokens[-1]),
    )


def _draw_tokens(sizes: Sizes, length: int) -> Int[Tensor, "example seq"]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(sizes.vocabulary_size, (TRIED_EXAMPLES, length), generator=generator)


def _check_tensors(model: OwnModule, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError(
            f"The module of {model.source} has no parameter to train; make its weights nn.Parameter, or "
            "layers of torch.nn."
        )
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            raise InputError(
                f"The parameter {name} of {model.source} holds {str(tensor.dtype).removeprefix('torch.')}; "
                "make it float32 (a complex number is two)."
            )
        if not tensor.numel() or " " in name:
            raise InputError(f"The tensor {name!r} of {model.source} is empty; leave it out.")


def _check_logits(
    model: OwnModule, module: nn.Module, tokens: Int[Tensor, "example seq"], vocabulary_size: int
) -> Tensor:
    """The logits of the module; raises `InputError` unless they are what is asked for."""
    before = {name: each.clone() for name, each in _all_tensors(module).items()}
    logits = _call(model, module, tokens)
    examples, length = tokens.shape
    shapes = [(examples, length, vocabulary_size), (examples, vocabulary_size)]
    if tuple(logits.shape) not in [*shapes, (examples, 1, vocabulary_size)]:
        raise InputError(
            f"The module of {model.source} gives {tuple(logits.shape)} for tokens of shape "
            f"{tuple(tokens.shape)}; expected were logits of shape {shapes[0]}, or {shapes[1]} of the last "
            "position."
        )
    for name, each in _all_tensors(module).items():
        if not torch.equal(each, before[name]):
            raise InputError(
                f"The module of {model.source} keeps state between calls: {name} changed; use layers that "
                "compute from their input alone, as nn.LayerNorm in place of nn.BatchNorm1d."
            )
    if not torch.equal(logits, _call(model, module, tokens)):
        raise InputError(
            f"The module of {model.source} gives other logits for the same tokens when it is called again: "
            "it keeps state or draws at random; take dropout out, and begin every call anew."
        )
    alone = _call(model, module, tokens[1:2])
    if not _are_close(alone, logits[1:2]):
        raise InputError(
            f"The module of {model.source} gives other logits for an example alone than beside others; "
            "nn.LSTM, nn.GRU, nn.RNN and nn.MultiheadAttention need batch_first=True for [example, seq]."
        )
    return logits


def _call(model: OwnModule, module: nn.Module, tokens: Tensor) -> Tensor:
    try:
        with torch.no_grad():
            logits = module(tokens)
    except Exception as error:
        raise InputError(
            f"The module of {model.source} raised {_say(error)} for tokens of shape {tuple(tokens.shape)}; "
            f"it has to take whole numbers [example, seq] below {model.sizes[0]:,}, up to {model.sizes[1]} a "
            "row."
        ) from error
    if not isinstance(logits, Tensor):
        raise InputError(
            f"The module of {model.source} returns a {type(logits).__name__}; let it return the logits alone."
        )
    return logits


def _all_tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())


@torch.no_grad()
def _gives_positions(module: nn.Module, tokens: Tensor, logits: Tensor) -> bool:
    """Whether there are logits at every position, and none follows from a later token."""
    if logits.ndim < 3 or logits.shape[1] != tokens.shape[1]:
        return False
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % logits.shape[-1]
    return _are_close(module(changed)[:, :-1], logits[:, :-1])


def _find_embedding(model: OwnModule, module: nn.Module, sizes: Sizes) -> str:
    """The parameter whose rows are the tokens: as it was named, or the only `nn.Embedding` of that size."""
    parameters = dict(module.named_parameters())
    tables = {
        next(name for name, each in parameters.items() if each is part.weight)
        for part in module.modules()
        if isinstance(part, nn.Embedding) and part.num_embeddings == sizes.vocabulary_size
    }
    if not model.embedding:
        return tables.pop() if len(tables) == 1 else ""
    for name in (model.embedding, f"{model.embedding}.weight"):
        if name in parameters:
            shape = tuple(parameters[name].shape)
            if len(shape) != 2 or shape[0] < sizes.node_count:
                raise InputError(
                    f"The embedding {name} of {model.source} has shape {shape}; name one with a row for each "
                    f"of the {sizes.node_count:,} nodes."
                )
            return name
    raise InputError(
        f"The module of {model.source} has no parameter {model.embedding!r}; name one of "
        f"{', '.join(list(parameters)[:20])}."
    )


def _put_together(
    model: OwnModule, sizes: Sizes, modules: Sequence[nn.Module], tokens: Tensor
) -> tuple[nn.Module | None, str]:
    """A module that computes several runs at once as each does alone, or None and why there is none."""
    together = _make(model, sizes, 0)
    write_out(together)
    weights = {
        name: torch.stack([_kept_tensors(module)[name].detach() for module in modules])
        for name in _kept_tensors(together)
    }
    others = [dict(module.named_buffers()) for module in modules]
    for name, buffer in others[0].items():
        if name not in weights and not torch.equal(buffer, others[1][name]):
            raise InputError(
                f"The buffer {name} of {model.source} differs from run to run and holds no float32; make it "
                "float32, or the same for all."
            )
    trained = [
        weights[name].requires_grad_() for name, each in together.named_parameters() if each.requires_grad
    ]
    try:
        logits = _compute_together(together, weights, tokens)
        torch.autograd.grad(logits.logsumexp(dim=-1).sum(), trained, allow_unused=True)
        with torch.no_grad():
            also = _compute_together(together, weights, tokens)
            alone = torch.stack([module(tokens) for module in modules])
    except Exception as error:
        return None, f"torch.func.vmap raised {_say(error)}"
    same = _are_close(logits, alone) and _are_close(also, alone)
    return (together, "") if same else (None, "computed at once they give other logits")


def _are_close(one: Tensor, other: Tensor) -> bool:
    """Whether two computations of the same logits agree."""
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def _count_kept(module: nn.Module, tokens: Tensor) -> int:
    """Numbers of a position that a forward pass keeps, without the weights."""
    known = {each.data_ptr() for each in _all_tensors(module).values()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in known:
            kept[tensor.data_ptr()] = max(tensor.numel(), kept.get(tensor.data_ptr(), 0))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module(tokens)
    return max(1, sum(kept.values()) // tokens.numel())


def _say(error: Exception) -> str:
    lines = " ".join(str(error).split())
    return f"{type(error).__name__} ({lines[:160]})" if lines else type(error).__name__
