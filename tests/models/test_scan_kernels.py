"""Mamba's kernels for a GPU against plain torch: compiled on a CUDA device, else in triton's interpreter."""

import importlib
import importlib.util
import logging
import os
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.models import fused
from geomem.models.configuration import Mamba
from geomem.models.model import compute_logits, initialize_parameters
from geomem.models.networks.mamba import _convolve_plainly, _scan_plainly

CUDA = torch.cuda.is_available()
if not CUDA:
    # Read when triton is imported, which nothing else in the tests does.
    os.environ["TRITON_INTERPRET"] = "1"
TRITON = importlib.util.find_spec("triton") is not None
DEVICES = [
    pytest.param(
        "cpu",
        marks=pytest.mark.skipif(CUDA or not TRITON, reason="triton's interpreter is for no CUDA device"),
    ),
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not CUDA, reason="no CUDA device")]),
]


@pytest.fixture(autouse=True)
def kernels_everywhere(monkeypatch):
    monkeypatch.setattr(fused, "fits", lambda *given: not fused._failed)
    monkeypatch.setattr(fused, "_failed", set())
    if TRITON and not CUDA:
        let_newer_numpy_count(monkeypatch)


def let_newer_numpy_count(monkeypatch):
    """The interpreter takes bounds of loops from arrays of one number by `int`, which NumPy 2.4 refuses."""
    from triton.runtime import interpreter

    patch = interpreter._patch_lang_tensor

    def patch_and_mend(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    monkeypatch.setattr(interpreter, "_patch_lang_tensor", patch_and_mend)


def draw_scan(device, runs, examples, tokens, channels, size, begun, strided=False, low=False):
    """Inputs of a scan: signal, steps, decay, entry, exit and state; steps and decays as a model has them."""
    generator = torch.Generator().manual_seed(runs + 10 * tokens + channels)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    # As in a model: parts of one product, and runs whose other rows lie between.
    both = draw(runs, examples * tokens + 3, 2 * size + 2)
    rows = both[:, 2 : 2 + examples * tokens] if strided else both[:, : examples * tokens].clone()
    entry, exit = (
        rows[..., start : start + size].unflatten(1, (examples, tokens)) for start in (1, 1 + size)
    )
    signal, steps = draw(runs, examples, tokens, channels), draw(runs, examples, tokens, channels).exp() / 3
    if strided:
        signal = signal.transpose(2, 3).contiguous().transpose(2, 3)
    if low:
        steps, entry, exit = (part.bfloat16() for part in (steps, entry, exit))
    inputs = [signal, steps, -draw(runs, channels, size).exp(), entry, exit]
    if begun:
        inputs.append(draw(runs, 1 if begun == "shared" else examples, channels, size))
    return [one.to(device).detach().requires_grad_() for one in inputs]


def assert_same(name, plain, inputs, read=None, tolerance=1e-5, **settings):
    """The same by kernels as by `plain`: outputs, and gradients from the outputs numbered in `read`."""
    found = []
    for compute in (partial(fused.fuse, name, plain), plain):
        outputs = compute(*inputs, **settings)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        wanted = [one for number, one in enumerate(outputs) if read is None or number in read]
        generator = torch.Generator().manual_seed(1)
        upstreams = [torch.randn(one.shape, generator=generator).to(one) for one in wanted]
        gradients = torch.autograd.grad(wanted, [one for one in inputs if one is not None], upstreams)
        found.append([*outputs, *gradients])
    assert not fused._failed
    for ours, plainly in zip(*found, strict=True):
        assert ours.dtype == plainly.dtype
        # Sums differ in order, so by parts of the largest number.
        largest = plainly.detach().abs().max().item() if plainly.numel() else 0
        torch.testing.assert_close(ours, plainly, rtol=tolerance, atol=tolerance * (1 + largest))


def scan_same(inputs, first, read=None, tolerance=1e-5):
    assert_same("scan", _scan_plainly, [*inputs, None][:6], read, tolerance, first=first)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("begun", [None, "shared", "own"])
@pytest.mark.parametrize(("first", "read"), [(0, None), (2, None), (3, {1}), (0, {0}), (2, {1})])
def test_the_scan_and_its_gradient(device, begun, first, read):
    scan_same(draw_scan(device, 2, 3, 3, 5, 3, begun), first, read)


@pytest.mark.parametrize("device", DEVICES)
def test_many_examples_to_a_program_and_several_blocks_of_channels(device, monkeypatch):
    kernels = pytest.importorskip("geomem.models.scan_kernels")
    monkeypatch.setattr(kernels, "PROGRAMS", 8)
    for begun in ("shared", "own", None):
        scan_same(draw_scan(device, 2, 7, 1, 40, 16, begun), 0)


@pytest.mark.parametrize("device", DEVICES)
def test_views_expanded_inputs_and_bfloat16(device):
    scan_same(draw_scan(device, 2, 3, 4, 5, 4, "shared", strided=True), 1)
    scan_same(draw_scan(device, 2, 3, 4, 5, 4, "own", low=True), 1, tolerance=1e-2)
    inputs = draw_scan(device, 1, 1, 1, 5, 4, None)
    inputs[3:] = [one.expand(1, 4, 3, 4) for one in inputs[3:]]
    inputs[:2] = [one.expand(1, 4, 3, 5) for one in inputs[:2]]
    scan_same(inputs, 0)


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=10)
@given(data=st.data())
def test_the_scan_at_any_small_size(device, data):
    runs, examples, tokens, channels = (
        data.draw(st.integers(1, most), label=name)
        for name, most in (("runs", 2), ("examples", 3), ("tokens", 4), ("channels", 40))
    )
    # Few, since a device compiles for every one of them.
    size = data.draw(st.sampled_from([1, 3, 16]))
    begun = data.draw(st.sampled_from([None, "shared", "own"]))
    first = data.draw(st.integers(0, tokens))
    scan_same(draw_scan(device, runs, examples, tokens, channels, size, begun), first, {0, 1})


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=10)
@given(
    runs=st.integers(1, 2),
    examples=st.integers(1, 5),
    tokens=st.integers(1, 20),
    channels=st.integers(1, 40),
    taps=st.sampled_from([1, 2, 4]),
    low=st.booleans(),
)
def test_the_convolution_and_its_gradient(device, runs, examples, tokens, channels, taps, low):
    generator = torch.Generator().manual_seed(tokens)
    shapes = [(runs, examples, tokens + taps - 1, channels), (runs, channels, taps), (runs, channels)]
    inputs = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
    inputs[0] = inputs[0].bfloat16() if low else inputs[0]
    inputs = [one.requires_grad_() for one in inputs]
    assert_same("convolution", _convolve_plainly, inputs, tolerance=1e-2 if low else 1e-5)


def gradient_of_a_model(device):
    model = Mamba(layers=2, width=12, state_size=3)
    sizes = {"vocabulary_size": 13, "context_length": 4, "node_count": 4}
    parameters = initialize_parameters(model, **sizes, seeds=range(2))
    parameters = {name: tensor.to(device).requires_grad_() for name, tensor in parameters.items()}
    tokens = torch.tensor([[9, 8, 1, 2, 3, 1], [9, 8, 2, 2, 1, 0], [9, 8, 3, 0, 2, 2]], device=device)
    logits = compute_logits(model, parameters, tokens, shared=1)
    return [logits, *torch.autograd.grad(logits.square().sum(), list(parameters.values()), allow_unused=True)]


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_by_kernels_is_the_model(device, monkeypatch):
    by_kernels = gradient_of_a_model(device)
    again = gradient_of_a_model(device)
    assert not fused._failed
    monkeypatch.setattr(fused, "fits", lambda *given: False)
    for ours, repeated, plain in zip(by_kernels, again, gradient_of_a_model(device), strict=True):
        if plain is not None:
            torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
            assert device == "cuda" or ours.equal(repeated)


@pytest.mark.parametrize(
    ("broken", "function"), [("scan", "compute"), ("scan", "differentiate"), ("convolution", "differentiate")]
)
@pytest.mark.parametrize("device", DEVICES)
def test_kernels_that_fail_are_replaced_and_named_once(device, broken, function, monkeypatch, caplog):
    kernels = pytest.importorskip(f"geomem.models.{broken}_kernels")

    def fail(*given, **settings):
        raise RuntimeError("no compiler\nptxas is missing")

    monkeypatch.setattr(kernels, function, fail)
    with caplog.at_level(logging.WARNING):
        found = gradient_of_a_model(device)
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "The GPU kernels of Mamba's scan failed (RuntimeError: ptxas is missing)"
    ]
    monkeypatch.setattr(fused, "fits", lambda *given: False)
    for ours, plain in zip(found, gradient_of_a_model(device), strict=True):
        if plain is not None:
            torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_too_little_memory_is_no_fault_of_the_kernels(device, monkeypatch):
    kernels = pytest.importorskip("geomem.models.scan_kernels")

    def fail(*given, **settings):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(kernels, "compute", fail)
    with pytest.raises(torch.OutOfMemoryError):
        gradient_of_a_model(device)
    assert not fused._failed


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["scan", "convolution"])
def test_kernels_that_give_other_numbers_are_left_alone(name, device, monkeypatch, caplog):
    kernels = importlib.import_module(f"geomem.models.{name}_kernels")
    plain = {"scan": _scan_plainly, "convolution": _convolve_plainly}[name]
    inputs, settings = kernels.sample(torch.device(device))
    expected = plain(*inputs, **settings)
    fused._agree.cache_clear()
    assert fused._agree(name, plain, torch.device(device))
    right = kernels.compute

    def wrong(*given, **settings):
        outputs, kept = right(*given, **settings)
        (outputs[0] if isinstance(outputs, tuple) else outputs).mul_(1.01)
        return outputs, kept

    monkeypatch.setattr(kernels, "compute", wrong)
    fused._agree.cache_clear()
    with caplog.at_level(logging.WARNING):
        found = fused.fuse(name, plain, *inputs, **settings)
    fused._agree.cache_clear()
    assert "they give other numbers than plain torch" in caplog.text
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
