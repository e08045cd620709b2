"""Each objective against a loop over tokens, its bounds, its gradient, and what masking and padding may not change."""

from __future__ import annotations

import math

import pytest
import torch

from mollm_cli.core.outputs import Outputs
from mollm_cli.core.types import Objective
from mollm_cli.losses.ga import ga
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.forward import forward
from mollm_cli.models.reference import Reference
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.forward_kl import forward_kl
from mollm_cli.objectives.gradient_ascent import gradient_ascent
from mollm_cli.objectives.label_log_probs import label_log_probs, sequence_means
from mollm_cli.objectives.unlearning_cross_entropy import unlearning_cross_entropy
from tests.support.padding import same_whatever_the_padding
from tests.support.tiny import batch, llama


def outputs(n=7, v=11, seed=0, dtype=torch.float64, scale=3.0):
    g = torch.Generator().manual_seed(seed)
    logits = (torch.randn(n, v, generator=g, dtype=torch.float64) * scale).to(dtype).requires_grad_()
    reference = (torch.randn(n, v, generator=g, dtype=torch.float64) * scale).to(dtype)
    labels = torch.randint(0, v, (n,), generator=g)
    return Outputs(logits, labels, torch.arange(n) % 3, 3, reference)


def loop(out: Outputs, term) -> float:
    """The slow, obvious sum over tokens."""
    total = 0.0
    for z, q, y in zip(out.logits.tolist(), out.reference_logits.tolist(), out.labels.tolist(), strict=True):
        weights = [math.exp(x - max(z)) for x in z]
        frozen = [math.exp(x - max(q)) for x in q]
        p = [w / sum(weights) for w in weights]
        r = [w / sum(frozen) for w in frozen]
        total += term(p, r, y)
    return total


TERMS = {
    cross_entropy: lambda p, r, y: -math.log(p[y]),
    gradient_ascent: lambda p, r, y: math.log(p[y]),
    unlearning_cross_entropy: lambda p, r, y: -math.log(1 - p[y] / 2),
    forward_kl: lambda p, r, y: sum(a * (math.log(a) - math.log(b)) for a, b in zip(r, p, strict=True)),
}


@pytest.mark.parametrize("function", TERMS, ids=lambda f: f.__name__)
def test_equals_a_loop_over_tokens(function):
    out = outputs()
    value, count = function(out)
    assert count == 7
    assert value.item() == pytest.approx(loop(out, TERMS[function]), rel=1e-12)


@pytest.mark.parametrize("function", TERMS, ids=lambda f: f.__name__)
def test_gradient_by_finite_differences(function):
    out = outputs(n=3, v=5)
    function(out)[0].backward()
    step = 1e-6
    for n in range(3):
        for v in range(5):
            moved = []
            for sign in (1, -1):
                logits = out.logits.detach().clone()
                logits[n, v] += sign * step
                moved.append(function(Outputs(logits, out.labels, out.sequence, 3, out.reference_logits))[0].item())
            numeric = (moved[0] - moved[1]) / (2 * step)
            assert out.logits.grad[n, v].item() == pytest.approx(numeric, abs=1e-7)


def test_unlearning_cross_entropy_is_bounded_and_its_derivative_too():
    # d/dz_y = p(1-p)/(2-p) has its maximum 3 - 2 sqrt 2 at p = 2 - sqrt 2; the value lies in [0, log 2] per token
    z = torch.linspace(-30, 30, 4001, dtype=torch.float64)
    logits = torch.stack([z, torch.zeros_like(z)], dim=1).requires_grad_()
    out = Outputs(logits, torch.zeros(len(z), dtype=torch.long), torch.zeros(len(z), dtype=torch.long), 1)
    value = unlearning_cross_entropy(out)[0]
    value.backward()
    slope = logits.grad[:, 0]
    p = torch.sigmoid(z)
    assert torch.allclose(slope, p * (1 - p) / (2 - p), atol=1e-14)
    assert slope.max().item() == pytest.approx(3 - 2 * math.sqrt(2), abs=1e-5)
    assert abs(slope[p > 0.999].min().item()) < 1e-3
    assert slope[p < 1e-9].max().item() < 1e-9
    assert p[slope.argmax()].item() == pytest.approx(2 - math.sqrt(2), abs=0.01)
    assert 0 <= value.item() <= len(z) * math.log(2)


def test_unlearning_cross_entropy_is_finite_at_both_ends_in_float32():
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    out = Outputs(logits, torch.tensor([0, 0]), torch.tensor([0, 1]), 2)
    value, _ = unlearning_cross_entropy(out)
    value.backward()
    assert value.item() == pytest.approx(math.log(2), rel=1e-6)
    assert torch.isfinite(logits.grad).all()


def test_kl_and_its_gradient_are_exactly_zero_at_the_start():
    model = llama()
    rows = batch()
    out = forward(model, rows, Reference(model, "copy"))
    value, _ = forward_kl(out)
    value.backward()
    assert value.item() == 0.0
    assert all(p.grad is None or p.grad.abs().max().item() == 0.0 for p in model.parameters())


def test_forward_kl_needs_a_reference():
    out = outputs()
    with pytest.raises(ValueError, match="reference=True"):
        forward_kl(Outputs(out.logits, out.labels, out.sequence, 3))


@pytest.mark.parametrize("function", TERMS, ids=lambda f: f.__name__)
def test_masked_tokens_and_padding_change_nothing(function):
    same_whatever_the_padding(function, lambda m, r, rows: forward(m, rows, r))


def test_bf16_logits_are_summed_in_float32():
    exact = outputs(dtype=torch.float64, v=2000, scale=1.0)
    half = Outputs(exact.logits.detach().bfloat16(), exact.labels, exact.sequence, 3)
    assert label_log_probs(half).dtype == torch.float32
    assert torch.allclose(label_log_probs(half).double(), label_log_probs(exact), atol=0.02)


def test_sequence_means_by_hand():
    out = Outputs(torch.zeros(5, 2), torch.zeros(5, dtype=torch.long), torch.tensor([0, 0, 2, 2, 3]), 4)
    means = sequence_means(torch.tensor([1.0, 3.0, 5.0, 6.0, 7.0]), out)
    assert means.tolist() == [2.0, 5.5, 7.0], "row 1 has no target, row 3 has one"


def test_tables():
    assert [o.name for o in ga().objectives] == ["gradient_ascent"]
    assert [(o.name, o.roles, o.reference) for o in ga_kl().objectives] == [
        ("gradient_ascent", ("forget",), False),
        ("forward_kl", ("retain",), True),
    ]
    table = mollm(forget_weight=1, retain_weight=2, kl_weight=3)
    assert [(o.name, o.weight) for o in table.objectives] == [
        ("unlearning_cross_entropy", 1),
        ("cross_entropy", 2),
        ("forward_kl", 3),
    ]
    assert table.roles == ("forget", "retain")
    assert table.needs_reference
    assert not ga().needs_reference


def test_an_objective_refuses_a_sign_in_its_weight_and_an_unknown_role():
    with pytest.raises(ValueError, match="weight must be >= 0"):
        Objective("x", ("forget",), lambda o: (o, 1), weight=-1.0)
    with pytest.raises(ValueError, match="unknown role 'forgte'"):
        Objective("x", ("forgte",), lambda o: (o, 1))
