from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from latentbit_training.quantize import QUANTIZERS, Balance, Bsq, Lfq, binary_sign, entropy_term, quantize


def test_a_bit_is_set_exactly_above_zero() -> None:
    x = torch.tensor([-2.0, -0.0, 0.0, 1e-38, 3.0])
    assert binary_sign(x).tolist() == [-1, -1, -1, 1, 1]
    assert binary_sign(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_code_that_training_sees_is_the_code(dtype: torch.dtype) -> None:
    for spread in (0.1, 1.0, 20.0):
        u = (spread * torch.randn(1000, 8)).to(dtype)
        code, _ = quantize(Lfq(8), u)
        assert torch.equal(code, binary_sign(u))


def test_lfq_gradient_is_the_identity() -> None:
    u = torch.randn(6, 5, requires_grad=True)
    weight = torch.randn(6, 5)
    code, _ = quantize(Lfq(5), u)
    (code * weight).sum().backward()
    assert u.grad is not None
    assert torch.equal(u.grad, weight)


def test_bsq_is_on_the_unit_sphere() -> None:
    u = torch.randn(6, 12, requires_grad=True)
    quantizer, weight = Bsq(12), torch.randn(6, 12)
    code, _ = quantize(quantizer, u)
    torch.testing.assert_close(code.norm(dim=-1), torch.ones(6))
    torch.testing.assert_close(quantizer.project(u).norm(dim=-1), torch.ones(6))
    assert torch.equal(code > 0, u > 0)
    (gradient,) = torch.autograd.grad((code * weight).sum(), u)
    (expected,) = torch.autograd.grad((F.normalize(u, dim=-1) * weight).sum(), u)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_commitment_pulls_to_the_code(name: str) -> None:
    quantizer = QUANTIZERS[name](4)
    at_code = torch.tensor([[1.0, -1.0, -1.0, 1.0]])
    assert float(quantize(quantizer, at_code)[1]) == pytest.approx(0.0, abs=1e-12)
    u = torch.tensor([[3.0, -0.5, -1.0, 0.25]], requires_grad=True)
    _, commitment = quantize(quantizer, u)
    (gradient,) = torch.autograd.grad(commitment, u)
    _, after = quantize(quantizer, u - 0.05 * gradient)
    assert 0 < after < commitment
    if name == "lfq":
        assert commitment.item() == pytest.approx((2**2 + 0.5**2 + 0.75**2) / 4)


def test_entropy_term() -> None:
    sure = 20 * binary_sign(torch.randn(2000, 6))
    assert float(entropy_term(sure)) == pytest.approx(-math.log(2), abs=2e-3)
    collapsed = torch.full((200, 6), 20.0)
    assert float(entropy_term(collapsed)) == pytest.approx(0.0, abs=1e-4)
    unsure = torch.zeros(200, 6)
    assert float(entropy_term(unsure)) == pytest.approx(0.0, abs=1e-6)


def test_balance_pushes_bits_that_lean() -> None:
    balance = Balance(3, torch.device("cpu"), momentum=0.5)
    u = torch.stack([torch.full((64,), 2.0), torch.full((64,), -2.0), torch.tensor([2.0, -2.0] * 32)], dim=-1)
    u = u.view(4, 16, 3).requires_grad_()
    term = balance.term(u)
    term.backward()
    assert term > 0
    assert u.grad is not None
    towards = u.grad.mean((0, 1))
    assert towards[0] > 0 > towards[1]
    assert abs(float(towards[2])) < 1e-7
    before = balance.running[0].item()
    balance.term(u)
    # The running mean goes on towards that of the batches.
    assert before < balance.running[0] < 1
