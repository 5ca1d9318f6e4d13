"""The chunked cross-entropy against logits, F.cross_entropy and autograd; its memory against one chunk."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from geomem.models import loss
from geomem.models.loss import CHUNK_NUMBERS, best_tokens, chunked_cross_entropy, numbers_at_once


def draw(runs, rows, vocabulary, width, slots, *, seed=0, dtype=torch.float64):
    """Random states, table, targets and weights, some of the weights zero."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(runs, rows, width, generator=generator, dtype=dtype)
    table = torch.randn(runs, vocabulary, width, generator=generator, dtype=dtype)
    targets = torch.randint(0, vocabulary, (runs, rows, slots), generator=generator)
    weights = torch.rand(runs, rows, slots, generator=generator, dtype=dtype)
    return states, table, targets, weights * (torch.rand(weights.shape, generator=generator) > 0.3)


def naive_losses(states, table, targets, weights):
    """One cross-entropy per slot over all logits at once."""
    logits = states @ table.transpose(1, 2)
    losses = [
        weights[..., slot] * F.cross_entropy(logits.transpose(1, 2), targets[..., slot], reduction="none")
        for slot in range(targets.shape[2])
    ]
    return torch.stack(losses).sum(dim=(0, 2))


class LargestTensor(TorchDispatchMode):
    """Records how many numbers the largest tensor has that any operation makes."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors_in((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_in(result):
            if tensor.untyped_storage().data_ptr() not in given:
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


def tensors_in(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


@settings(max_examples=15)
@given(
    runs=st.integers(1, 3),
    rows=st.integers(1, 9),
    vocabulary=st.integers(2, 12),
    slots=st.integers(1, 4),
    chunk_numbers=st.sampled_from([1, 13, 40, 1 << 24]),
    seed=st.integers(0, 99),
)
def test_losses_and_gradients_are_those_of_all_logits(runs, rows, vocabulary, slots, chunk_numbers, seed):
    states, table, targets, weights = draw(runs, rows, vocabulary, 3, slots, seed=seed)
    leaves = (states.requires_grad_(), table.requires_grad_())
    upstream = torch.arange(1.0, runs + 1, dtype=torch.float64)
    losses = chunked_cross_entropy(states, table, targets, weights, chunk_numbers=chunk_numbers)
    expected = naive_losses(states, table, targets, weights)
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=1e-12)
    actual_gradients = torch.autograd.grad(losses @ upstream, leaves)
    for actual, wanted in zip(
        actual_gradients, torch.autograd.grad(expected @ upstream, leaves), strict=True
    ):
        torch.testing.assert_close(actual, wanted, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    states, table, targets, weights = draw(2, 5, 7, 3, 2)
    assert torch.autograd.gradcheck(
        lambda h, e: chunked_cross_entropy(h, e, targets, weights, chunk_numbers=14),
        (states.requires_grad_(), table.requires_grad_()),
    )


def test_targets_of_one_run_serve_all():
    states, table, targets, weights = draw(3, 4, 7, 3, 2)
    once = chunked_cross_entropy(states, table, targets[:1], weights[:1])
    each = chunked_cross_entropy(
        states, table, targets[:1].repeat(3, 1, 1), weights[:1].repeat(3, 1, 1), chunk_numbers=1
    )
    torch.testing.assert_close(once, each)


def test_tables_of_a_fleets_buffer_lie_apart():
    states, table, targets, weights = draw(3, 4, 7, 3, 2)
    buffer = torch.cat([table.flatten(1), torch.zeros(3, 5, dtype=torch.float64)], dim=1)
    apart = buffer[:, :21].view(3, 7, 3).requires_grad_()
    losses = chunked_cross_entropy(states, apart, targets, weights)
    (gradient,) = torch.autograd.grad(losses.sum(), apart)
    table.requires_grad_()
    expected = naive_losses(states, table, targets, weights)
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), table)[0])


def test_relabelled_tokens_permute_the_gradient():
    states, table, targets, weights = draw(2, 6, 9, 3, 2)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    place = order.argsort()
    table.requires_grad_()
    relabelled = table.detach()[:, order].requires_grad_()
    losses = chunked_cross_entropy(states, table, targets, weights)
    again = chunked_cross_entropy(states, relabelled, place[targets], weights)
    torch.testing.assert_close(again, losses)
    (gradient,) = torch.autograd.grad(losses.sum(), table)
    torch.testing.assert_close(torch.autograd.grad(again.sum(), relabelled)[0], gradient[:, order])


def test_a_run_that_is_not_finite_leaves_the_others_alone():
    states, table, targets, weights = draw(3, 5, 7, 3, 2)
    expected = naive_losses(states, table, targets, weights)
    states[1] = float("nan")
    table.requires_grad_()
    losses = chunked_cross_entropy(states, table, targets, weights)
    assert losses[1].isnan()
    torch.testing.assert_close(losses[[0, 2]], expected[[0, 2]])
    (gradient,) = torch.autograd.grad(losses.sum(), table)
    assert gradient[[0, 2]].isfinite().all()
    assert gradient[1].isnan().any()


def test_rows_without_weight_add_nothing_whatever_their_state():
    states, table, targets, weights = draw(2, 5, 7, 3, 2)
    weights[:, 2] = 0
    states[:, 2] = float("inf")
    rest = [0, 1, 3, 4]
    leaves = (states.requires_grad_(), table.requires_grad_())
    losses = chunked_cross_entropy(states, table, targets, weights)
    expected = naive_losses(states[:, rest], table, targets[:, rest], weights[:, rest])
    torch.testing.assert_close(losses, expected)
    for_states, for_table = torch.autograd.grad(losses.sum(), leaves)
    wanted_states, wanted_table = torch.autograd.grad(expected.sum(), leaves)
    assert not for_states[:, 2].any()
    torch.testing.assert_close(for_states[:, rest], wanted_states[:, rest])
    torch.testing.assert_close(for_table, wanted_table)


@pytest.mark.parametrize("table_dtype", [torch.float32, torch.bfloat16])
def test_bfloat16_states_lose_their_own_digits_only(table_dtype):
    states, table, targets, weights = draw(1, 600, 50, 8, 1, dtype=torch.float32)
    states, table = states.bfloat16().requires_grad_(), table.bfloat16().to(table_dtype).requires_grad_()
    losses = chunked_cross_entropy(states, table, targets, weights)
    assert losses.dtype == torch.float32
    wide = (states.detach().double().requires_grad_(), table.detach().double().requires_grad_())
    expected = naive_losses(*wide, targets, weights.double())
    # Added up in bfloat16, a sum of 600 terms would be off by some percent.
    torch.testing.assert_close(losses.double(), expected, rtol=2e-3, atol=0.0)
    gradients = torch.autograd.grad(losses.sum(), (states, table))
    wanted_gradients = torch.autograd.grad(expected.sum(), wide)
    for gradient, wanted, leaf in zip(gradients, wanted_gradients, (states, table), strict=True):
        assert gradient.dtype == leaf.dtype
        assert (gradient.double() - wanted).norm() < 0.01 * wanted.norm()


def test_large_logits_do_not_overflow():
    states, table = torch.full((1, 1, 1), 1e4), torch.tensor([[[1.0], [-1.0], [0.5]]])
    targets, weights = torch.tensor([[[1]]]), torch.ones(1, 1, 1)
    assert chunked_cross_entropy(states, table, targets, weights).item() == pytest.approx(2e4)


@pytest.mark.parametrize("runs", [1, 5])
def test_no_tensor_is_larger_than_a_chunk_or_the_gradients(runs):
    states, table, targets, weights = draw(runs, 400, 300, 4, 3)
    gradients = max(table.numel(), states.numel())
    chunk_numbers = 300 * 30
    leaves = (states.requires_grad_(), table.requires_grad_())
    with LargestTensor() as record:
        losses = chunked_cross_entropy(states, table, targets, weights, chunk_numbers=chunk_numbers)
        torch.autograd.grad(losses.sum(), leaves)
        best_tokens(states, table, chunk_numbers=chunk_numbers)
    assert record.numbers == max(chunk_numbers, gradients)
    with LargestTensor() as record:
        naive_losses(states, table, targets, weights)
    assert record.numbers >= runs * 400 * 300


def test_a_processors_chunks_have_few_rows():
    states, table, targets, weights = draw(1, 3 * loss.CPU_CHUNK_ROWS, 40, 2, 1)
    with LargestTensor() as record:
        chunked_cross_entropy(states, table, targets, weights)
    assert record.numbers == loss.CPU_CHUNK_ROWS * 40


def test_without_gradients_none_are_made():
    states, table, targets, weights = draw(1, 2, 5000, 4, 1)
    with LargestTensor() as record, torch.no_grad():
        chunked_cross_entropy(states.requires_grad_(), table.requires_grad_(), targets, weights)
    assert record.numbers == 2 * 5000


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 8), st.sampled_from([1, 25, 1 << 24]), st.integers(0, 99))
def test_best_tokens_are_the_argmax(runs, rows, chunk_numbers, seed):
    states, table, _, _ = draw(runs, rows, 11, 3, 1, seed=seed)
    logits = states @ table.transpose(1, 2)
    assert torch.equal(best_tokens(states, table, chunk_numbers=chunk_numbers), logits.argmax(-1))
    candidates = torch.tensor([7, 2, 9])
    among = best_tokens(states, table, candidates=candidates, chunk_numbers=chunk_numbers)
    assert torch.equal(among, candidates[logits[..., candidates].argmax(-1)])


def test_a_gpu_holds_as_many_logits_as_its_memory_allows(monkeypatch):
    card = SimpleNamespace(total_memory=85_899_345_920)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    assert numbers_at_once(torch.device("cuda"), CHUNK_NUMBERS) == 1 << 29
    card.total_memory = 1 << 30
    assert numbers_at_once(torch.device("cuda"), CHUNK_NUMBERS) == CHUNK_NUMBERS
