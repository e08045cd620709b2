"""The objectives of the family, one beside the other: a loop over tokens, finite differences, hand, bounds, padding."""

from __future__ import annotations

import functools
import math

import pytest
import torch

from mollm_cli.core.outputs import Outputs
from mollm_cli.models.forward import forward
from mollm_cli.objectives.adjusted_distillation import adjusted_distillation
from mollm_cli.objectives.cross_entropy_and_kl import cross_entropy_and_kl
from mollm_cli.objectives.label_excluded_cross_entropy import label_excluded_cross_entropy
from mollm_cli.objectives.logit_spread import logit_spread
from mollm_cli.objectives.saturation_importance import saturation_importance
from mollm_cli.objectives.simple_negative_preference import simple_negative_preference
from mollm_cli.objectives.weighted_gradient_ascent import weighted_gradient_ascent
from tests.support.padding import same_whatever_the_padding

LOG = math.log


def softmax(z):
    weights = [math.exp(x - max(z)) for x in z]
    return [w / sum(weights) for w in weights]


def lowered(z, y, by):
    return softmax([x - by if v == y else x for v, x in enumerate(z)])


def soft(q, p):
    return -sum(a * LOG(b) for a, b in zip(q, p, strict=True))


def kl(q, p):
    return sum(a * (LOG(a) - LOG(b)) for a, b in zip(q, p, strict=True))


def sigmoid_terms(beta, gamma):
    """SimNPO's term of one sequence."""

    def term(rows):
        mean = sum(LOG(softmax(z)[y]) for z, _, y, _ in rows) / len(rows)
        return -(2 / beta) * LOG(1 / (1 + math.exp(beta * mean + gamma)))

    return term


# A token's term of logits z, reference logits q, label y; z0 are the logits that detached factors are computed from.
TOKENS = {
    "wga": (
        functools.partial(weighted_gradient_ascent, beta=1.5),
        lambda z, q, y, z0: softmax(z0)[y] ** 1.5 * LOG(softmax(z)[y]),
    ),
    "satimp": (
        functools.partial(saturation_importance, beta1=2.0, beta2=1.5),
        lambda z, q, y, z0: softmax(z0)[y] ** 2 * (1 - softmax(z0)[y]) ** 1.5 * LOG(softmax(z)[y]),
    ),
    "undial": (
        functools.partial(adjusted_distillation, beta=3.0),
        lambda z, q, y, z0: soft(lowered(q, y, 3.0), softmax(z)),
    ),
    "ceu": (
        functools.partial(label_excluded_cross_entropy, skip=0),
        lambda z, q, y, z0: soft(lowered(z0, y, 1e4), softmax(z)),
    ),
    "pair": (
        functools.partial(cross_entropy_and_kl, kl_share=0.5),
        lambda z, q, y, z0: -LOG(softmax(z)[y]) + 0.5 * kl(softmax(q), softmax(z)),
    ),
    "pdu": (logit_spread, lambda z, q, y, z0: (max(z) - sum(z) / len(z)) ** 2),
}
SEQUENCES = {"simnpo": (functools.partial(simple_negative_preference, beta=0.5, gamma=0.3), sigmoid_terms(0.5, 0.3))}
DETACHED = ("wga", "satimp", "ceu")


def outputs(sequence=(0, 0, 1, 2, 2, 2), v=7, seed=0, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    n = len(sequence)
    logits = (torch.randn(n, v, generator=g, dtype=torch.float64) * scale).requires_grad_()
    reference = torch.randn(n, v, generator=g, dtype=torch.float64) * scale
    labels = torch.randint(0, v, (n,), generator=g)
    return Outputs(logits, labels, torch.tensor(sequence), max(sequence) + 1, reference)


def slow(name, out, logits, frozen):
    """The sum over tokens, or over sequences, one after the other; detached factors come from ``frozen`` logits."""
    rows = list(zip(logits.tolist(), out.reference_logits.tolist(), out.labels.tolist(), frozen.tolist(), strict=True))
    if name in TOKENS:
        return sum(TOKENS[name][1](*row) for row in rows)
    owners = out.sequence.tolist()
    return sum(
        SEQUENCES[name][1]([r for r, o in zip(rows, owners, strict=True) if o == i]) for i in range(out.sequences)
    )


FUNCTIONS = {name: function for name, (function, _) in (TOKENS | SEQUENCES).items()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_a_loop(name):
    out = outputs()
    value, count = FUNCTIONS[name](out)
    assert count == (3 if name in SEQUENCES else 6)
    assert value.item() == pytest.approx(slow(name, out, out.logits, out.logits), rel=1e-11)


def numeric(name, out, detach):
    step, found = 1e-6, torch.zeros_like(out.logits)
    for n in range(out.logits.shape[0]):
        for v in range(out.logits.shape[1]):
            ends = []
            for sign in (1, -1):
                moved = out.logits.detach().clone()
                moved[n, v] += sign * step
                ends.append(slow(name, out, moved, out.logits if detach else moved))
            found[n, v] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_gradient_by_finite_differences(name, seed):
    """Of the loop whose detached factors stay where they were: a factor that is not detached would show."""
    out = outputs((0, 0, 1), v=5, seed=seed, scale=1.0)
    FUNCTIONS[name](out)[0].backward()
    assert torch.allclose(out.logits.grad, numeric(name, out, detach=True), atol=1e-7)
    assert out.logits.grad.abs().max() > 1e-4
    if name in DETACHED:
        assert not torch.allclose(out.logits.grad, numeric(name, out, detach=False), atol=1e-3)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_are_finite(name, dtype):
    """A label that is certain, one that is out of the question; PDU alone grows with the logits, as a square."""
    logits = torch.tensor([[300.0, 0.0, 0.0], [-300.0, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    out = Outputs(logits, torch.tensor([0, 0]), torch.tensor([0, 1]), 2, torch.zeros(2, 3, dtype=dtype))
    value, _ = FUNCTIONS[name](out)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_masked_tokens_and_padding_change_nothing(name):
    same_whatever_the_padding(FUNCTIONS[name], lambda m, r, rows: forward(m, rows, r))


def of_probabilities(*p, reference=None, sequence=None):
    """One target a row, label 0, over two or three tokens with these probabilities."""
    logits = torch.tensor([list(row) for row in p], dtype=torch.float64).log().requires_grad_()
    frozen = None if reference is None else torch.tensor([list(row) for row in reference], dtype=torch.float64).log()
    owners = torch.tensor(sequence or list(range(len(p))))
    return Outputs(logits, torch.zeros(len(p), dtype=torch.long), owners, int(owners.max()) + 1, frozen)


def test_by_hand():
    half, quarter = (0.5, 0.5), (0.25, 0.75)
    # p^2 log p: .25 log .5 + .0625 log .25 = -(.25 + .125) log 2
    value = weighted_gradient_ascent(of_probabilities(half, quarter), beta=2.0)[0].item()
    assert value == pytest.approx(-0.375 * LOG(2), rel=1e-12)
    # p (1 - p)^2 log p: .125 log .5 + .25 * .5625 log .25 = -(.125 + .28125) log 2
    value = saturation_importance(of_probabilities(half, quarter), beta1=1.0, beta2=2.0)[0].item()
    assert value == pytest.approx(-0.40625 * LOG(2), rel=1e-12)
    # without the label only the other token is left: -log .5 - log .75
    value = label_excluded_cross_entropy(of_probabilities(half, quarter), skip=0)[0].item()
    assert value == pytest.approx(LOG(2) - LOG(0.75), rel=1e-12)
    # the mean log p of the first answer is (log .5 + log .125) / 2 = log .25: -(2 / 1) log(1 / (1 + .25)) = 2 log 1.25;
    # the second's is log .5: 2 log 1.5
    out = of_probabilities(half, (0.125, 0.875), half, sequence=[0, 0, 1])
    value, count = simple_negative_preference(out, beta=1.0, gamma=0.0)
    assert (value.item(), count) == (pytest.approx(2 * LOG(1.25 * 1.5), rel=1e-12), 2)
    # logits log .5, log .25, log .25: largest minus mean = log 2 - (log 2) / 3
    value = logit_spread(of_probabilities((0.5, 0.25, 0.25)))[0].item()
    assert value == pytest.approx((2 * LOG(2) / 3) ** 2, rel=1e-12)


def test_undial_at_the_start_by_hand():
    # the reference says .5, .5; with the label's logit lowered by log 3 the goal is .25, .75; p = ref: CE = log 2
    out = of_probabilities((0.5, 0.5), reference=[(0.5, 0.5)])
    value, _ = adjusted_distillation(out, beta=LOG(3))
    value.backward()
    assert value.item() == pytest.approx(LOG(2), rel=1e-12)
    assert out.logits.grad[0].tolist() == pytest.approx([0.5 - 0.25, 0.5 - 0.75], rel=1e-12)  # p - q
    reached = of_probabilities((0.25, 0.75), reference=[(0.5, 0.5)])
    value, _ = adjusted_distillation(reached, beta=LOG(3))
    value.backward()
    assert reached.logits.grad.abs().max().item() < 1e-15
    assert value.item() == pytest.approx(-0.25 * LOG(0.25) - 0.75 * LOG(0.75), rel=1e-12)  # the entropy of the goal


def test_the_pair_is_cross_entropy_alone_at_the_start():
    out = of_probabilities((0.25, 0.75), reference=[(0.25, 0.75)])
    assert cross_entropy_and_kl(out, kl_share=9.0)[0].item() == pytest.approx(LOG(4), rel=1e-12)


def test_bounds():
    p = torch.linspace(1e-6, 1 - 1e-6, 20001, dtype=torch.float64)
    out = of_probabilities(*torch.stack([p, 1 - p], dim=1).tolist())
    for function, beta in (
        (functools.partial(weighted_gradient_ascent, beta=2.0), 2.0),
        (functools.partial(saturation_importance, beta1=2.0, beta2=0.0), 2.0),
    ):
        lowest = min(
            function(Outputs(out.logits[i : i + 1], out.labels[i : i + 1], torch.tensor([0]), 1))[0].item()
            for i in range(12000, 12300)  # around p = e^(-1 / 2) = .6065
        )
        assert lowest == pytest.approx(-1 / (math.e * beta), rel=1e-6)
        assert function(out)[0].item() < 0
    assert simple_negative_preference(out, 4.5, 0.0)[0].item() > 0
    assert logit_spread(of_probabilities((1 / 3, 1 / 3, 1 / 3)))[0].item() == 0


def test_limits_that_are_other_objectives():
    """WGA with beta 0 and SatImp with 0, 0 are plain ascent; UNDIAL with beta 0 is the KL up to a constant."""
    grads = []
    for function in (
        functools.partial(weighted_gradient_ascent, beta=0.0),
        functools.partial(saturation_importance, beta1=0.0, beta2=0.0),
        lambda o: (o.logits.log_softmax(-1).gather(-1, o.labels[:, None]).sum(), 6),
    ):
        out = outputs()
        function(out)[0].backward()
        grads.append(out.logits.grad)
    assert torch.allclose(grads[0], grads[2], atol=1e-14) and torch.allclose(grads[1], grads[2], atol=1e-14)
    a, b = outputs(), outputs()
    adjusted_distillation(a, beta=0.0)[0].backward()
    assert torch.allclose(a.logits.grad, b.logits.softmax(-1) - b.reference_logits.softmax(-1), atol=1e-14)


def test_a_sequence_without_a_target_counts_and_pulls_at_nothing():
    out = outputs((0, 0, 2))
    value, count = simple_negative_preference(out, 4.5, 0.0)
    alone, _ = simple_negative_preference(Outputs(out.logits, out.labels, torch.tensor([0, 0, 1]), 2), 4.5, 0.0)
    assert count == 3
    assert value.item() - alone.item() == pytest.approx(2 / 4.5 * LOG(2), rel=1e-12)


@pytest.mark.parametrize("skip", [0, 1, 2, 5])
def test_ceu_leaves_the_first_targets_of_each_answer_alone(skip):
    out = outputs((0, 0, 0, 1, 2, 2))
    value, count = label_excluded_cross_entropy(out, skip)
    value.backward()
    places = torch.tensor([0, 1, 2, 0, 0, 1])
    assert (out.logits.grad.abs().sum(-1) > 0).tolist() == (places >= skip).tolist()
    kept = places >= skip
    rest = Outputs(out.logits[kept], out.labels[kept], out.sequence[kept], 3)
    assert value.item() == pytest.approx(label_excluded_cross_entropy(rest, 0)[0].item() if kept.any() else 0.0)
    assert count == 6


@pytest.mark.parametrize("name", ["undial", "pair"])
def test_what_compares_needs_a_reference(name):
    out = outputs()
    with pytest.raises(ValueError, match="needs reference logits: declare its objective with reference=True"):
        FUNCTIONS[name](Outputs(out.logits, out.labels, out.sequence, 3))
