"""Training on edges and paths of 10,000 arms of length 6 against the training script that people write.

Theirs is idiomatic PyTorch: an `nn.Module` GPT with fused queries, keys and values and torch's own attention,
a `Dataset` with one item per fact and per path, a shuffling `DataLoader` that pads each batch to its longest
item, logits at every position, cross-entropy that ignores what is not asked for, `AdamW`. Its logits for a
batch of 2,048 would take 5 GB and their gradients as much again, so it adds up the gradients of pieces, of
the size that is fastest. Both train the same network on the same facts and paths, each of them once in an
epoch of as many batches; on a small world their gradients are compared first.

A whole epoch of theirs would take half an hour, so a few whole steps of each are timed, in processor time
and in turns, and the best of each stands for all steps of the epoch.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.row import Row
from geomem.models.configuration import Model, Transformer
from geomem.models.model import Parameters, initialize_parameters, trainable_names
from geomem.runs.presets import PATH_PRESETS
from geomem.training.configuration import PathTraining
from geomem.training.loop import Problem, join_parameters
from geomem.training.optimizer import AdamState, Rates, adamw_update
from geomem.training.path_batches import PathExamples, context_length, make_batches, path_examples
from geomem.training.paths import make_path_problem
from geomem.worlds.graphs.families import path_star

PRESET = PATH_PRESETS["paper-10000x6"]
BATCH_EXAMPLES = 2048
"""The release's batch of facts and paths."""
PIECE_EXAMPLES = 128
"""Of theirs, as many pass the network at once."""
ROUNDS = 2
IGNORED = -1
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.01
PEAK_SIZE = 2048
"""Rows and columns of the square matrices whose product shows the machine's peak."""


class Items(Dataset):
    """One item per directed edge and one per training path: tokens and what is asked at each of them."""

    def __init__(self, examples: PathExamples) -> None:
        self.items = []
        for prefix, targets, weights in zip(
            examples.edges.prefixes.tolist(),
            examples.edges.targets.tolist(),
            examples.edges.weights.tolist(),
            strict=True,
        ):
            self.items += [
                (prefix, [IGNORED, target]) for target, weight in zip(targets, weights, strict=True) if weight
            ]
        silent = [IGNORED] * examples.train.first_read
        self.items += [
            (tokens, silent + targets)
            for tokens, targets in zip(
                examples.train.inputs.tolist(), examples.train.targets.tolist(), strict=True
            )
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, targets = self.items[index]
        return torch.tensor(tokens), torch.tensor(targets)


def collate(items: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch, padded to the longest of its items."""
    tokens, targets = zip(*items, strict=True)
    return (
        pad_sequence(list(tokens), batch_first=True),
        pad_sequence(list(targets), batch_first=True, padding_value=IGNORED),
    )


class Block(nn.Module):
    """A pre-LayerNorm block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        query, key, value = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.query_key_value(self.norm_1(x)).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.contract(functional.gelu(self.expand(self.norm_2(x)), approximate="tanh"))


class GPT(nn.Module):
    """Blocks between a token table and its own transpose."""

    def __init__(self, model: Transformer, vocabulary_size: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, model.width)
        self.positions = nn.Embedding(length, model.width)
        self.blocks = nn.ModuleList([Block(model.width, model.heads) for _ in range(model.layers)])
        self.norm = nn.LayerNorm(model.width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.tokens.weight)

    def copy_from(self, parameters: Parameters) -> None:
        """Take over the weights of the first run of a fleet."""
        ours = {name: tensor[0] for name, tensor in parameters.items()}
        theirs = {"tokens.weight": ours["token_embedding"], "positions.weight": ours["position_embedding"]}
        for kind in ("weight", "bias"):
            theirs[f"norm.{kind}"] = ours[f"final_norm.{kind}"]
            for block in range(len(self.blocks)):
                name, theirs_name = f"block_{block}", f"blocks.{block}"
                theirs |= {
                    f"{theirs_name}.norm_1.{kind}": ours[f"{name}.attention_norm.{kind}"],
                    f"{theirs_name}.norm_2.{kind}": ours[f"{name}.mlp_norm.{kind}"],
                    f"{theirs_name}.query_key_value.{kind}": torch.cat(
                        [ours[f"{name}.attention.query.{kind}"], ours[f"{name}.attention.key_value.{kind}"]]
                    ),
                    f"{theirs_name}.out.{kind}": ours[f"{name}.attention.output.{kind}"],
                    f"{theirs_name}.expand.{kind}": ours[f"{name}.mlp.expand.{kind}"],
                    f"{theirs_name}.contract.{kind}": ours[f"{name}.mlp.contract.{kind}"],
                }
        self.load_state_dict(theirs)


def add_gradients(model: GPT, tokens: torch.Tensor, targets: torch.Tensor) -> None:
    """Gradient of the mean loss over everything asked in a batch, a piece of the batch at a time."""
    asked = (targets != IGNORED).sum()
    pieces = zip(tokens.split(PIECE_EXAMPLES), targets.split(PIECE_EXAMPLES), strict=True)
    for piece_tokens, piece_targets in pieces:
        logits = model(piece_tokens)
        loss = functional.cross_entropy(
            logits.flatten(0, 1), piece_targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        (loss / asked).backward()


@dataclass(frozen=True)
class Ours:
    """A fleet of one run, ready to train."""

    parameters: Parameters
    gradients: Parameters
    problem: Problem
    take_step: Callable[[int], None]


def prepare(model: Model, examples: PathExamples, training: PathTraining) -> Ours:
    """The library's own problem and optimizer, without the metrics that a run writes down."""
    names = trainable_names(model)
    flat, parameters = join_parameters(
        initialize_parameters(
            model,
            vocabulary_size=examples.vocabulary_size,
            context_length=context_length(examples),
            node_count=examples.node_count,
            seeds=[0],
        ),
        names,
    )
    problem, _ = make_path_problem(
        model, examples, flat, parameters, training, seeds=[0], node_count=examples.node_count
    )
    shapes = {name: parameters[name].shape for name in names}
    sizes = [shape.numel() for shape in shapes.values()]
    parts = problem.gradient.split(sizes, dim=1)
    gradients = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    rates = Rates(torch.tensor([[LEARNING_RATE]]), torch.tensor([[WEIGHT_DECAY]]), decaying=True)
    adam = AdamState(torch.zeros_like(flat), torch.zeros_like(flat), torch.empty_like(flat))

    def take_step(step: int) -> None:
        problem.differentiate(step)
        adamw_update(flat, problem.gradient, adam, rates, step=step, factor=1.0)

    return Ours(parameters, gradients, problem, take_step)


def compare_gradients(model: Transformer) -> None:
    """Raise if the two programs differ in the gradient of a whole small world."""
    examples = path_examples(path_star(arms=40, length=6), PRESET.task)
    ours = prepare(model, examples, PathTraining(batches=1))
    ours.problem.differentiate(0)
    items = Items(examples)
    theirs = GPT(model, examples.vocabulary_size, context_length(examples))
    theirs.copy_from(ours.parameters)
    add_gradients(theirs, *collate([items[index] for index in range(len(items))]))
    pairs = {
        "token_embedding": "tokens.weight",
        "position_embedding": "positions.weight",
        "block_0.mlp.expand.weight": "blocks.0.expand.weight",
        "block_0.attention.output.weight": "blocks.0.out.weight",
    }
    for name, their_name in pairs.items():
        found = theirs.get_parameter(their_name).grad
        if found is None or not torch.allclose(ours.gradients[name][0], found, rtol=1e-3, atol=1e-6):
            raise AssertionError(f"The two gradients of {name} differ.")


def processor_seconds(work: Callable[[], object]) -> float:
    """Processor time of one call; other programs on the machine then slow it little."""
    start = time.process_time()
    work()
    return time.process_time() - start


def endless(loader: DataLoader) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of one epoch after the other."""
    while True:
        yield from loader


def epoch_rows() -> list[Row]:
    """An epoch of a network that a laptop trains, and what drawing its batches takes of it."""
    model = Transformer(layers=2, width=128, heads=4, position_scale=0.02)
    compare_gradients(model)
    examples = path_examples(path_star(arms=PRESET.arms, length=PRESET.length), PRESET.task)
    items = Items(examples)
    batches = -(-len(items) // BATCH_EXAMPLES)
    training = PathTraining(batches=batches)

    ours = prepare(model, examples, training)
    torch.manual_seed(0)
    network = GPT(model, examples.vocabulary_size, context_length(examples))
    network.copy_from(ours.parameters)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    loader = endless(DataLoader(items, batch_size=BATCH_EXAMPLES, shuffle=True, collate_fn=collate))

    def take_their_step() -> None:
        tokens, targets = next(loader)
        optimizer.zero_grad()
        add_gradients(network, tokens, targets)
        optimizer.step()

    ours.take_step(0)
    add_gradients(network, *collate([items[0], items[-1]]))
    our_seconds, their_seconds = [], []
    for turn in range(ROUNDS):
        our_seconds += [processor_seconds(lambda turn=turn: ours.take_step(1 + turn)) for _ in range(2)]
        their_seconds.append(processor_seconds(take_their_step))
    ours_epoch, theirs_epoch = batches * min(our_seconds), batches * min(their_seconds)

    draw = make_batches(examples, training, [0], device="cpu", dtype=torch.float32)
    draw(0)
    # A whole epoch, the second one, with the drawing of its order.
    drawing = processor_seconds(lambda: [draw(step) for step in range(batches, 2 * batches)]) / ours_epoch
    ratio = theirs_epoch / ours_epoch
    described = (
        f"{model.layers} layers of width {model.width}, {PRESET.arms:,} arms of length {PRESET.length}, "
        f"{PRESET.task.pauses} pauses"
    )
    return [
        Row(
            what=f"a mixed epoch, {described}: {batches} batches of {BATCH_EXAMPLES:,} facts and paths; "
            "theirs: nn.Module, DataLoader, logits at every position; the best whole step of each, times "
            f"{batches}",
            ours=f"{ours_epoch:.3g} s",
            theirs=f"{theirs_epoch:.3g} s",
            ratio=ratio,
            required="at least 5 times",
            holds=ratio >= 5,
        ),
        Row(
            what="the same epoch: drawing all its batches",
            ours=f"{100 * drawing:.2g} % of its time",
            required="below 2 %",
            holds=drawing < 0.02,
        ),
    ]


def count_added_product(
    sums: torch.Size, left: torch.Size, right: torch.Size, out_shape: torch.Size, **kwargs: object
) -> int:
    """Operations of a product that is added in place, which torch's counter leaves out."""
    return 2 * left.numel() * right[-1]


def peak_row() -> Row:
    """The paper's network in a whole step, beside one large product on the same thread."""
    model = PRESET.models["transformer"]
    examples = path_examples(path_star(arms=PRESET.arms, length=PRESET.length), PRESET.task)
    ours = prepare(model, examples, PRESET.training)
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.baddbmm_: count_added_product})
    with counter:
        ours.take_step(0)
    factor = torch.randn(PEAK_SIZE, PEAK_SIZE)
    step_seconds, product_seconds = [], []
    for turn in range(ROUNDS):
        product_seconds += [processor_seconds(lambda: factor @ factor) for _ in range(3)]
        step_seconds.append(processor_seconds(lambda turn=turn: ours.take_step(1 + turn)))
    operations = counter.get_total_flops()
    reached = operations / min(step_seconds)
    peak = 2 * PEAK_SIZE**3 / min(product_seconds)
    return Row(
        what=f"a step of the preset paper-10000x6, a Transformer of {model.layers} layers of width "
        f"{model.width}: {operations / 1e9:.0f} billion operations in matrix products, over the time of all; "
        f"theirs: one float32 product of {PEAK_SIZE} by {PEAK_SIZE} matrices",
        ours=f"{reached / 1e9:.3g} GFLOP/s, {100 * reached / peak:.0f} %",
        theirs=f"{peak / 1e9:.3g} GFLOP/s",
    )


def rows() -> list[Row]:
    """Epochs against a plain script, the share of the input, and the share of the machine's peak."""
    return [*epoch_rows(), peak_row()]
