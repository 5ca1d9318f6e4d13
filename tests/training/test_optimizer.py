"""The flat update against torch.optim, run by run."""

import pytest
import torch

from geomem.training.optimizer import AdamState, Rates, adamw_update, gradient_descent_update

RATES = [(0.01, 0.0), (0.1, 0.3), (0.003, 0.0)]
FACTORS = [1 - 0.03 * step for step in range(20)]


def rates(dtype):
    columns = torch.tensor(RATES, dtype=dtype)
    return Rates(columns[:, :1], columns[:, 1:], decaying=True)


def gradients(step, parameters):
    """A gradient that depends on the parameters and is exactly zero in places."""
    return (parameters * (1 + step % 3) - 0.3) * (torch.arange(parameters.shape[-1]) % 4 != 0)


def reference(optimizer, run, start):
    parameter = torch.nn.Parameter(start[run].clone())
    learning_rate, weight_decay = RATES[run]
    made = optimizer([parameter], lr=learning_rate, weight_decay=weight_decay)
    for step, factor in enumerate(FACTORS):
        made.param_groups[0]["lr"] = learning_rate * factor
        parameter.grad = gradients(step, parameter.detach())
        made.step()
    return parameter.detach()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adamw_is_torchs_with_rates_per_run(dtype):
    start = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=dtype)
    flat = start.clone()
    state = AdamState(torch.zeros_like(flat), torch.zeros_like(flat), torch.full_like(flat, float("nan")))
    for step, factor in enumerate(FACTORS):
        adamw_update(flat, gradients(step, flat), state, rates(dtype), step=step, factor=factor)
    for run in range(3):
        tolerance = 1e-5 if dtype == torch.float32 else 1e-12
        expected = reference(torch.optim.AdamW, run, start)
        torch.testing.assert_close(flat[run], expected, rtol=tolerance, atol=tolerance)


def test_gradient_descent_by_hand():
    start = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flat, expected = start.clone(), start.clone()
    for step, factor in enumerate(FACTORS):
        gradient = gradients(step, flat)
        gradient_descent_update(flat, gradient, rates(torch.float64), factor=factor)
        for run, (learning_rate, weight_decay) in enumerate(RATES):
            decayed = expected[run] * (1 - factor * learning_rate * weight_decay)
            expected[run] = decayed - factor * learning_rate * gradients(step, expected[run])
    torch.testing.assert_close(flat, expected, rtol=1e-12, atol=1e-12)


def test_without_decay_a_zero_gradient_moves_nothing():
    flat = torch.ones(3, 4)
    still = Rates(torch.ones(3, 1), torch.zeros(3, 1), decaying=False)
    state = AdamState(torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(3, 4))
    adamw_update(flat, torch.zeros(3, 4), state, still, step=0, factor=1.0)
    gradient_descent_update(flat, torch.zeros(3, 4), still, factor=1.0)
    assert torch.equal(flat, torch.ones(3, 4))
