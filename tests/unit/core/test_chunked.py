"""Chunk by chunk: what exists at once, what is computed again, and that nothing of it shows in values and gradients."""

from __future__ import annotations

import pytest
import torch

from mollm_cli.core import chunked
from mollm_cli.core.chunked import LinearHead, ModuleHead, chunk_rows
from mollm_cli.core.outputs import Outputs
from mollm_cli.core.target_states import TargetStates

N, V, H = 7, 11, 4


@pytest.fixture(params=[1, 3, 6])
def rows(request, monkeypatch):
    """How many tokens a chunk has."""
    monkeypatch.setattr(chunked, "CHUNK_BYTES", request.param * 4 * V)
    return request.param


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(trained=True, bias=True):
    torch.manual_seed(1)
    return torch.nn.Linear(H, V, bias=bias, dtype=torch.float64).requires_grad_(trained)


def surprise(logits, labels, reference):
    """A function of a token with no closed form of its own: it reads labels and reference, and is not linear."""
    log_p = logits.log_softmax(-1)
    q = 0 if reference is None else (reference.softmax(-1) * log_p).sum(-1)
    return (log_p.gather(-1, labels[:, None])[:, 0] + q).square()


def outputs(said, reference=None, n=N):
    return Outputs(said, torch.arange(n) % V, torch.zeros(n, dtype=torch.long), 1, reference)


def gradients(values, leaves):
    """Of a sum with a weight of its own for every token, so that a mean or a plain sum would show."""
    (values * torch.arange(1.0, len(values) + 1)).sum().backward()
    found = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    return found


def head_of(kind, module):
    return ModuleHead(module, V) if kind == "module" else LinearHead(module.weight, module.bias)


def test_rows_by_hand(monkeypatch):
    assert chunk_rows(128_000) == 131  # 64 MiB / (4 * 128 000)
    monkeypatch.setattr(chunked, "CHUNK_BYTES", 4 * 100)
    assert [chunk_rows(v) for v in (1, 30, 50, 51, 1000)] == [100, 3, 2, 1, 1]
    with pytest.raises(ValueError, match="the vocabulary must have at least one token, found 0"):
        chunk_rows(0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("kind", ["linear", "module"])
def test_equals_the_function_of_the_whole(rows, kind, trained, bias):
    module, frozen = linear(trained, bias), linear(False)
    hidden, other = drawn(N, H).requires_grad_(), drawn(N, H, seed=5)
    leaves = [hidden, *(p for p in module.parameters() if trained)]
    whole = surprise(module(hidden), torch.arange(N) % V, frozen(other))
    expected = gradients(whole, leaves)
    reference = TargetStates(other, LinearHead(frozen.weight, frozen.bias))
    for given in (reference, reference.logits):
        values = outputs(TargetStates(hidden, head_of(kind, module)), given).per_token(surprise)
        assert torch.allclose(values, whole, rtol=1e-13)
        for found, wanted in zip(gradients(values, leaves), expected, strict=True):
            assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-13)


def test_only_some_of_a_head_is_trained(rows):
    module = linear()
    module.weight.requires_grad_(False)
    hidden = drawn(N, H).requires_grad_()
    leaves = [hidden, module.bias]
    expected = gradients(surprise(module(hidden), torch.arange(N) % V, None), leaves)
    for kind in ("linear", "module"):
        values = outputs(TargetStates(hidden, head_of(kind, module))).per_token(surprise)
        for found, wanted in zip(gradients(values, leaves), expected, strict=True):
            assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-13)
        assert module.weight.grad is None


@pytest.mark.parametrize("trained", [True, False])
def test_no_more_than_a_chunk_exists_and_a_frozen_head_computes_it_once(rows, trained, monkeypatch):
    seen = []
    plain = torch.nn.functional.linear

    def recorded(*args):
        seen.append(len(args[0]))
        return plain(*args)

    monkeypatch.setattr(torch.nn.functional, "linear", recorded)
    read = []

    def function(logits, labels, reference):
        assert len(logits) == len(labels) == len(reference)
        read.append(len(logits))
        return surprise(logits, labels, reference)

    module, hidden = linear(trained), drawn(N, H).requires_grad_()
    reference = TargetStates(drawn(N, H, seed=5), LinearHead(linear(False).weight))
    values = outputs(TargetStates(hidden, LinearHead(module.weight, module.bias)), reference).per_token(function)
    values.sum().backward()
    assert max(seen) <= rows and max(read) <= rows
    times = 2 if trained else 1
    assert sum(read) == times * N and sum(seen) == 2 * times * N  # of the model and of the reference


@pytest.mark.parametrize("trained", [True, False])
def test_the_graph_is_used_twice(rows, trained):
    module, hidden = linear(trained), drawn(N, H).requires_grad_()
    leaves = [hidden, *(p for p in module.parameters() if trained)]
    values = outputs(TargetStates(hidden, LinearHead(module.weight, module.bias))).per_token(surprise)
    ends = []
    for weight in (1.0, 3.0):
        (values * weight).sum().backward(retain_graph=True)
        ends.append([leaf.grad.clone() for leaf in leaves])
        for leaf in leaves:
            leaf.grad = None
    for once, thrice in zip(*ends, strict=True):
        assert torch.allclose(3 * once, thrice, rtol=1e-12, atol=1e-14) and once.abs().max() > 0


def test_the_same_function_is_computed_once_whoever_asks():
    calls = []

    def function(logits, labels, reference):
        calls.append(torch.is_grad_enabled())
        return logits.sum(-1)

    out = outputs(drawn(N, V).requires_grad_())
    with torch.no_grad():
        assert not out.per_token(function).requires_grad  # no graph to keep: the next one computes its own
    first = out.per_token(function)
    assert out.per_token(function) is first and first.requires_grad
    with torch.no_grad():
        again = out.per_token(function)
    assert torch.equal(again, first) and not again.requires_grad
    assert calls == [False, True]


def test_without_a_gradient_a_token_may_have_several_numbers(rows):
    def pair(logits, labels, reference):
        return torch.stack([logits.amax(-1), logits.argmax(-1).double()], -1)

    module, hidden = linear(), drawn(N, H).requires_grad_()
    said = TargetStates(hidden, LinearHead(module.weight, module.bias))
    with torch.no_grad():
        found = outputs(said).per_token(pair)
    assert torch.allclose(found, pair(module(hidden), None, None), rtol=1e-13) and not found.requires_grad


def test_logits_are_there_for_who_asks(rows):
    module, hidden = linear(), drawn(N, H)
    said = TargetStates(hidden, LinearHead(module.weight, module.bias))
    out = outputs(said, said)
    assert torch.equal(out.logits, module(hidden)) and torch.equal(out.reference_logits, out.logits)
    assert out.logits.requires_grad


def test_no_target_has_no_value(rows):
    module, hidden = linear(), drawn(0, H).requires_grad_()
    values = outputs(TargetStates(hidden, LinearHead(module.weight, module.bias)), n=0).per_token(surprise)
    assert values.shape == (0,)
    values.sum().backward()
    assert module.weight.grad.abs().max() == 0


def test_a_head_must_say_its_gradient():
    said = TargetStates(drawn(N, H), linear())
    with pytest.raises(TypeError, match="need a LinearHead or a ModuleHead, found Linear"):
        outputs(said).per_token(surprise)
