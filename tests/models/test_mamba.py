"""The fleet's Mamba against a recurrence in NumPy: one run, one prefix, one token, one channel at a time."""

import dataclasses

import numpy as np
import pytest
import torch

from geomem.models.configuration import Mamba
from geomem.models.model import compute_logits, initialize_parameters, trainable_names
from geomem.models.networks.mamba import ScanCache, apply_pieces, scan_selectively
from geomem.models.pieces import Piece
from geomem.training.configuration import RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.worlds.graphs.families import path_star
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

VOCABULARY = 13
SIZES = {"vocabulary_size": VOCABULARY, "context_length": 4, "node_count": 4}
BASE = Mamba(layers=2, width=20, state_size=3)
SWITCHES = [
    {},
    {"layers": 1},
    {"layers": 3, "residual": True},
    {"norm": "root-mean-square"},
    {"final_norm": True},
    {"norm": "root-mean-square", "final_norm": True, "residual": True},
    {"tied": False},
    {"initialization": "mamba"},
    {"convolution": 1},
    {"convolution": 2, "expansion": 3, "state_size": 1, "width": 16},
]
PREFIXES = {
    "shared": [[9, 8, 1, 2], [9, 8, 2, 2], [9, 8, 3, 0], [9, 8, 1, 0]],
    "own": [[9, 8, 1, 2], [7, 8, 1, 2], [9, 3, 3, 0]],
    "one": [[9, 8, 1, 2]],
    "single": [[9], [8]],
    "long": [[9, *range(12)], [9, *range(1, 12), 0]],
}


def reference_logits(model, weights, tokens):
    """Logits after the last of `tokens`, by the published recurrence, in float64."""

    def silu(x):
        return x / (1 + np.exp(-x))

    def norm(name, x):
        if model.norm == "layer":
            x = x - x.mean()
            return x / np.sqrt((x**2).mean() + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return x / np.sqrt((x**2).mean() + 1e-5) * weights[f"{name}.weight"]

    sequence = [weights["token_embedding"][token] for token in tokens]
    for block in range(model.layers):
        own = {name.removeprefix(f"block_{block}."): w for name, w in weights.items()}
        channels, size = own["log_decay"].shape
        rank = own["step_size.weight"].shape[1]
        state = np.zeros((channels, size))
        past = [np.zeros(channels)] * model.convolution
        outputs = []
        for x in sequence:
            both = own["input.weight"] @ norm(f"block_{block}.norm", x)
            past = [*past[1:], both[:channels]]
            u = own["convolution.bias"].copy()
            for tap, earlier in enumerate(past):
                u += own["convolution.weight"][:, tap] * earlier
            u = silu(u)
            selected = own["selection.weight"] @ u
            B, C = selected[rank : rank + size], selected[rank + size :]
            steps = np.log1p(np.exp(own["step_size.weight"] @ selected[:rank] + own["step_size.bias"]))
            y = np.zeros(channels)
            for channel in range(channels):
                for n in range(size):
                    kept = np.exp(-np.exp(own["log_decay"][channel, n]) * steps[channel])
                    state[channel, n] = kept * state[channel, n] + steps[channel] * B[n] * u[channel]
                    y[channel] += C[n] * state[channel, n]
                y[channel] += own["skip"][channel] * u[channel]
            out = own["output.weight"] @ (y * silu(both[channels:]))
            outputs.append(x + out if model.residual else out)
        sequence = outputs
    final = norm("final_norm", sequence[-1]) if model.final_norm else sequence[-1]
    return weights["token_embedding" if model.tied else "output_embedding"] @ final


def random_parameters(model, runs=2):
    """Parameters far from their start: no bias is zero, no gain is one, every token matters."""
    parameters = initialize_parameters(model, **SIZES, seeds=range(runs), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    return {
        name: tensor + 0.4 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        for name, tensor in parameters.items()
    }


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
@pytest.mark.parametrize("prefixes", PREFIXES.values(), ids=PREFIXES)
def test_logits_match_the_recurrence(switches, prefixes):
    model = dataclasses.replace(BASE, **switches)
    parameters = random_parameters(model)
    tokens = torch.tensor(prefixes)
    expected = np.stack(
        [
            [
                reference_logits(model, {name: w[run].numpy() for name, w in parameters.items()}, row)
                for row in prefixes
            ]
            for run in range(2)
        ]
    )
    assert np.abs(expected).max() > 0.1
    double = compute_logits(model, parameters, tokens).numpy()
    np.testing.assert_allclose(double, expected, rtol=1e-10, atol=1e-10)
    single = compute_logits(model, {name: tensor.float() for name, tensor in parameters.items()}, tokens)
    assert single.dtype == torch.float32
    # 1e-5 of the largest logit: float32 carries 6e-8 of each summand.
    np.testing.assert_allclose(single.numpy(), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("switches", [{}, {"residual": True, "norm": "root-mean-square", "final_norm": True}])
def test_gradients_are_those_of_finite_differences(switches):
    model = dataclasses.replace(BASE, width=3, state_size=2, expansion=1, convolution=2, **switches)
    parameters = {name: tensor.requires_grad_() for name, tensor in random_parameters(model, 1).items()}
    tokens = torch.tensor([[9, 1, 2], [9, 3, 0]])
    # Along random directions of every parameter: all entries one by one take a hundred times as long.
    assert torch.autograd.gradcheck(
        lambda *tensors: compute_logits(model, dict(zip(parameters, tensors, strict=True)), tokens),
        tuple(parameters.values()),
        fast_mode=True,
    )


def test_every_parameter_has_a_gradient_and_runs_do_not_touch():
    parameters = {name: tensor.requires_grad_() for name, tensor in random_parameters(BASE).items()}
    assert set(trainable_names(BASE)) == set(parameters)
    compute_logits(BASE, parameters, torch.tensor(PREFIXES["own"]))[0].square().sum().backward()
    for name, tensor in parameters.items():
        assert tensor.grad is not None, name
        assert tensor.grad[0].abs().max() > 0, name
        assert not tensor.grad[1].any(), name


def apply_block(model, parameters, name, inputs, cache=None, *, first=0):
    """One block on one piece of every sequence, and what it keeps at the piece's end."""
    piece = Piece(tuple(inputs.shape[1:3]), first, cache)
    rows, (kept,) = apply_pieces(model, parameters, name, inputs.flatten(1, 2), [piece])
    return rows.unflatten(1, piece.kept), kept


def test_a_sequence_in_pieces_gives_what_it_gives_as_a_whole():
    parameters = random_parameters(BASE)
    inputs = torch.randn(2, 3, 11, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole, end = apply_block(BASE, parameters, "block_0", inputs)
    memory, pieces = None, []
    # Pieces shorter than the convolution as well.
    for piece in inputs.split([1, 2, 5, 3], dim=2):
        outputs, memory = apply_block(BASE, parameters, "block_0", piece, memory)
        pieces.append(outputs)
    assert isinstance(memory, ScanCache)
    torch.testing.assert_close(torch.cat(pieces, dim=2), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(memory.state, end.state, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(memory.signal, end.signal, rtol=1e-12, atol=1e-12)
    final, last_end = apply_block(BASE, parameters, "block_0", inputs, first=10)
    torch.testing.assert_close(final, whole[:, :, -1:], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last_end.state, end.state)


def test_shared_tokens_are_computed_once_and_change_nothing():
    parameters = random_parameters(BASE)
    tokens = torch.tensor(PREFIXES["shared"])
    whole = compute_logits(BASE, parameters, tokens, shared=0)
    for shared in (1, 2):
        parts = compute_logits(BASE, parameters, tokens, shared=shared)
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_the_scan_of_constant_inputs_is_the_known_geometric_sum():
    """h_T = Δ B u (1 - r^T) / (1 - r) with r = exp(Δ A)."""
    steps, length = 0.3, 40
    ones = torch.ones(1, 1, length, 1, dtype=torch.float64)
    decay = torch.tensor([[[-0.5, -2.0]]], dtype=torch.float64)
    entry = torch.tensor([1.0, 3.0], dtype=torch.float64).expand(1, 1, length, 2)
    outputs, state = scan_selectively(2 * ones, steps * ones, decay, entry, torch.ones_like(entry))
    rates = np.exp(steps * np.array([-0.5, -2.0]))
    expected = steps * np.array([1.0, 3.0]) * 2 * (1 - rates**length) / (1 - rates)
    np.testing.assert_allclose(state[0, 0, 0].numpy(), expected, rtol=1e-12)
    assert outputs[0, 0, -1, 0].item() == pytest.approx(expected.sum(), rel=1e-12)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("first", [0, 2, 4])
def test_the_gradient_of_the_scan_matches_finite_differences(first, begun):
    generator = torch.Generator().manual_seed(first)
    shapes = [(2, 3, 4, 2), (2, 3, 4, 2), (2, 2, 3), (2, 3, 4, 3), (2, 3, 4, 3), (2, 1, 2, 3)]
    inputs = [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in (shapes if begun else shapes[:-1])
    ]
    assert torch.autograd.gradcheck(lambda *given: scan_selectively(*given, first=first), inputs)
    # Each output alone: the other has no gradient then.
    assert torch.autograd.gradcheck(lambda *given: scan_selectively(*given, first=first)[1], inputs)
    if first < 4:
        assert torch.autograd.gradcheck(lambda *given: scan_selectively(*given, first=first)[0], inputs)


def test_order_and_every_earlier_token_matter():
    parameters = random_parameters(BASE)
    logits = compute_logits(BASE, parameters, torch.tensor([[9, 8, 1, 2], [8, 9, 1, 2], [5, 8, 1, 2]]))
    assert not torch.allclose(logits[:, 0], logits[:, 1], atol=1e-3)
    assert not torch.allclose(logits[:, 0], logits[:, 2], atol=1e-3)


def test_starts_of_the_release_and_of_mamba():
    release, own = (
        initialize_parameters(
            dataclasses.replace(BASE, width=64, initialization=start), **SIZES, seeds=range(4)
        )
        for start in ("release", "mamba")
    )
    # The release draws all linear weights anew and so loses the special step sizes: softplus(0) = 0.69.
    assert not release["block_0.step_size.bias"].any()
    for name in ("input", "selection", "step_size", "output"):
        assert release[f"block_0.{name}.weight"].std().item() == pytest.approx(0.02, rel=0.1)
    first_steps = torch.nn.functional.softplus(own["block_0.step_size.bias"].double()).flatten()
    assert first_steps.min() * (1 + 1e-4) >= 0.001
    assert first_steps.max() <= 0.1 * (1 + 1e-4)
    # Log-uniform: the median is the geometric mean, 0.01.
    assert first_steps.log10().median().item() == pytest.approx(-2, abs=0.15)
    for parameters in (release, own):
        for size in range(3):
            assert parameters["block_1.log_decay"][..., size].exp().numpy() == pytest.approx(size + 1)
        assert (parameters["block_1.skip"] == 1).all()
        bound = parameters["block_0.convolution.weight"].abs().max().item()
        assert 0.49 < bound <= 0.5
    assert own["block_0.input.weight"].abs().max().item() == pytest.approx(64**-0.5, rel=0.01)
    assert own["block_0.output.weight"].abs().max().item() == pytest.approx(256**-0.5, rel=0.01)
    assert own["block_0.step_size.weight"].abs().max().item() == pytest.approx(0.5, rel=0.01)


def test_tiny_mamba_memorises_and_a_run_of_a_fleet_is_the_run_alone():
    graph, task = path_star(), EdgeMemorization()
    examples, pairs = edge_examples(graph, task), directed_facts(graph, task)
    training = Training(steps=120)

    def train(seeds, steps=training):
        runs = [RunSettings(seed, 0.01) for seed in seeds]
        return train_fleet(Mamba(), examples, pairs, graph.node_count, runs, steps)

    fleet = train((0, 1, 2))
    assert (fleet.metrics["associative_accuracy"][-1] == 1).all()
    assert (fleet.metrics["loss"][-1] < np.log(2) + 0.02).all()
    short = Training(steps=20)
    together, alone = train((5, 3), short), train((3,), short)
    np.testing.assert_allclose(together.snapshots[:, 1], alone.snapshots[:, 0], rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_agrees_with_the_mamba_of_transformers():
    """The same weights in `transformers`' own slow path; its residual and RMSNorm are configuration here."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    model = Mamba(layers=2, width=20, state_size=3, residual=True, norm="root-mean-square", final_norm=True)
    weights = {name: tensor[0].float() for name, tensor in random_parameters(model, 1).items()}
    theirs = transformers.MambaForCausalLM(
        transformers.MambaConfig(
            vocab_size=VOCABULARY,
            hidden_size=20,
            state_size=3,
            num_hidden_layers=2,
            residual_in_fp32=False,
            tie_word_embeddings=True,
            use_cache=False,
        )
    ).eval()
    names = {
        "norm.weight": "norm.weight",
        "input.weight": "mixer.in_proj.weight",
        "convolution.weight": "mixer.conv1d.weight",
        "convolution.bias": "mixer.conv1d.bias",
        "selection.weight": "mixer.x_proj.weight",
        "step_size.weight": "mixer.dt_proj.weight",
        "step_size.bias": "mixer.dt_proj.bias",
        "log_decay": "mixer.A_log",
        "skip": "mixer.D",
        "output.weight": "mixer.out_proj.weight",
    }
    state = {
        "backbone.embeddings.weight": weights["token_embedding"],
        "backbone.norm_f.weight": weights["final_norm.weight"],
        "lm_head.weight": weights["token_embedding"],
    }
    for layer in range(2):
        for ours, their in names.items():
            tensor = weights[f"block_{layer}.{ours}"]
            state[f"backbone.layers.{layer}.{their}"] = (
                tensor[:, None] if ours == "convolution.weight" else tensor
            )
    theirs.load_state_dict(state)
    tokens = torch.tensor(PREFIXES["own"])
    with torch.no_grad():
        expected = theirs(tokens).logits[:, -1]
    ours = compute_logits(model, {name: w[None] for name, w in weights.items()}, tokens)[0]
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
