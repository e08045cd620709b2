"""Every objective of every loss, chunk by chunk and whole: the same values, the same gradients of a model."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mollm_cli.core import chunked
from mollm_cli.core.target_states import TargetStates
from mollm_cli.models.forward import forward
from mollm_cli.models.reference import Reference
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.forward_kl import forward_kl
from mollm_cli.objectives.label_log_probs import label_log_probs
from tests.support.losses import LOSSES
from tests.support.tiny import batch, llama, opt

ROWS = {role: batch(seed, prefix=role) for seed, role in enumerate(("forget", "retain", "alternate"))}
OBJECTIVES = {o.name: o for loss in LOSSES.values() for o in loss.objectives if o.layer is None}
WHOLE = 10_000


def limited(monkeypatch, rows):
    monkeypatch.setattr(chunked, "CHUNK_BYTES", rows * 4 * 48)


def moved(model):
    """The model somewhat away from where it started, so that what compares is alive."""
    torch.manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return model


def said(objective, model, reference):
    frozen = reference if objective.reference else None
    return {role: forward(model, ROWS[role], frozen) for role in objective.roles}


def gradient(model):
    return torch.cat([p.grad.reshape(-1).double() for p in model.parameters() if p.grad is not None])


def measured(objective, model, reference):
    model.zero_grad()
    outputs = said(objective, model, reference)
    value, count = objective.function(outputs)
    value.backward()
    states = {isinstance(out.said, TargetStates) for out in outputs.values()}
    return value.item(), count, gradient(model), states


def both(monkeypatch, objective, model, reference, rows):
    limited(monkeypatch, WHOLE)
    plain = measured(objective, model, reference)
    limited(monkeypatch, rows)
    found = measured(objective, model, reference)
    assert plain[3] == {False} and found[3] == {True}
    assert plain[1] == found[1]
    return plain, found


def untied(model):
    """An OPT whose head is a weight of its own, so that it can be frozen alone."""
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    return model


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_chunks_equal_the_whole_in_float64(name, trained, rows, monkeypatch):
    model = untied(opt())
    reference = Reference(model, "copy")
    moved(model).get_output_embeddings().requires_grad_(trained)
    plain, found = both(monkeypatch, OBJECTIVES[name], model, reference, rows)
    assert found[0] == pytest.approx(plain[0], rel=1e-12)
    assert (found[2] - plain[2]).abs().max() < 1e-12 * plain[2].abs().max()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_chunks_equal_the_whole_with_an_adapter(name, monkeypatch):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(llama(), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "lora_B" in key:
                p.normal_(std=0.02)
    plain, found = both(monkeypatch, OBJECTIVES[name], model, Reference(model, "adapter_off"), 5)
    assert found[0] == pytest.approx(plain[0], rel=1e-5)
    assert (found[2] - plain[2]).norm() < 1e-4 * plain[2].norm()


def padded(rows, extra):
    wider = torch.nn.functional.pad
    return dataclasses.replace(
        rows,
        input_ids=wider(rows.input_ids, (0, extra), value=7),
        attention_mask=wider(rows.attention_mask, (0, extra)),
        labels=wider(rows.labels, (0, extra), value=-100),
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_masked_tokens_and_padding_change_nothing(name, monkeypatch):
    limited(monkeypatch, 3)
    model, ends = opt(), []
    reference = Reference(model, "copy")
    moved(model)
    for extra in (0, 5):
        monkeypatch.setattr(f"{__name__}.ROWS", {role: padded(rows, extra) for role, rows in ROWS.items()})
        ends.append(measured(OBJECTIVES[name], model, reference))
    assert ends[0][:2] == (pytest.approx(ends[1][0], rel=1e-10), ends[1][1])
    assert (ends[0][2] - ends[1][2]).abs().max() < 1e-10 * ends[0][2].abs().max()
    assert ends[1][3] == {True}


@pytest.mark.parametrize("trained", [True, False])
def test_two_objectives_on_one_graph(trained, monkeypatch):
    model, ends = untied(opt()), []
    reference = Reference(model, "copy")
    moved(model).get_output_embeddings().requires_grad_(trained)
    for rows in (WHOLE, 5):
        limited(monkeypatch, rows)
        out = forward(model, ROWS["retain"], reference)
        values = [cross_entropy(out)[0], forward_kl(out)[0], label_log_probs(out).exp().sum()]
        each = []
        for k, value in enumerate(values):
            model.zero_grad()
            value.backward(retain_graph=k < 2)
            each.append(gradient(model))
        ends.append(each)
    for plain, found in zip(*ends, strict=True):
        assert (found - plain).abs().max() < 1e-12 * plain.abs().max()


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("rows", [1, 5])
def test_kl_and_its_gradient_are_exactly_zero_at_the_start(rows, trained, monkeypatch):
    limited(monkeypatch, rows)
    model = llama()
    model.get_output_embeddings().requires_grad_(trained)
    value, _ = forward_kl(forward(model, ROWS["retain"], Reference(model, "copy")))
    value.backward()
    assert value.item() == 0.0
    assert gradient(model).abs().max() == 0.0


def test_what_is_asked_twice_is_computed_once(monkeypatch):
    """Cross-entropy and the probability that the engine watches come from one pass over the chunks."""
    limited(monkeypatch, 5)
    heads, plain = [], torch.nn.functional.linear

    def recorded(*args):
        heads.append(1)
        return plain(*args)

    out = forward(llama(), ROWS["forget"])
    monkeypatch.setattr(torch.nn.functional, "linear", recorded)
    cross_entropy(out)
    first = len(heads)
    with torch.no_grad():
        label_log_probs(out)
    assert len(heads) == first == -(-len(out.labels) // 5)
