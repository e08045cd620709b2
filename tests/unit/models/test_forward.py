"""Target-only logits equal the plain ones, for every architecture; the reference is the starting model and stays it."""

from __future__ import annotations

import pytest
import torch

from mollm_cli.core.masking import count_targets, target_positions
from mollm_cli.core.types import Batch
from mollm_cli.models.forward import forward
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Reference, reference_kind
from tests.support.tiny import SMALL, batch, llama, small


@pytest.mark.parametrize("kind", SMALL)
def test_logits_at_targets_equal_the_plain_ones(kind):
    model, rows = small(kind), batch()
    outputs = forward(model, rows)
    plain = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask).logits
    expected = torch.cat([plain[b, t][None] for b in range(4) for t in range(11) if rows.labels[b, t + 1] != -100])
    assert outputs.logits.shape == (count_targets(rows.labels), 48)
    assert torch.allclose(outputs.logits, expected, atol=1e-6)
    assert expected.abs().max() > 1e-3
    plain_again = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask).logits
    assert torch.equal(plain, plain_again)  # the hook is gone


def test_a_model_without_a_separate_head_is_computed_whole():
    model, rows = llama(), batch()
    expected = forward(model, rows).logits
    model.get_output_embeddings = lambda: None
    assert torch.allclose(forward(model, rows).logits, expected, atol=1e-6)


def test_the_head_sees_only_targets():
    model, rows = llama(), batch()
    seen = []
    model.lm_head.register_forward_hook(lambda m, i, o: seen.append(tuple(o.shape)))
    forward(model, rows)
    assert seen == [(1, count_targets(rows.labels), 48)]


def test_target_positions_by_hand():
    labels = torch.tensor([[5, -100, 7, 8], [-100, -100, -100, 9]])
    sequence, position, target = target_positions(labels)
    # the first token has no predecessor: label 5 is no target; 7 is predicted at position 1, 8 at 2, 9 at 2
    assert sequence.tolist() == [0, 0, 1]
    assert position.tolist() == [1, 2, 2]
    assert target.tolist() == [7, 8, 9]
    assert count_targets(labels) == 3


def test_a_copied_reference_does_not_follow_the_model():
    model, rows = llama(), batch()
    reference = Reference(model, "copy")
    before = reference.logits(rows)
    assert reference.bytes == sum(p.numel() * 4 for p in model.parameters())
    with torch.no_grad():
        model.model.norm.weight.mul_(2)
    assert torch.equal(reference.logits(rows), before)
    assert not torch.equal(forward(model, rows).logits, before)
    assert not reference.logits(rows).requires_grad


def test_an_adapter_switched_off_is_the_starting_model_to_the_bit():
    from peft import LoraConfig, get_peft_model

    plain, rows = llama(), batch()
    start = forward(plain, rows).logits.detach()
    model = get_peft_model(plain, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_()
    assert not torch.allclose(forward(model, rows).logits, start, atol=1e-3)
    assert torch.equal(Reference(model, "adapter_off").logits(rows), start)


@pytest.mark.parametrize(
    ("options", "needed", "kind"),
    [
        ({}, True, "cache"),
        ({"reference": "copy"}, True, "copy"),
        ({"reference": "cache"}, False, "none"),
        ({"adapter": "lora"}, True, "adapter_off"),
        ({"adapter": "dora"}, True, "adapter_off"),
        ({"adapter": "lora", "adapter_path": "run/adapter"}, True, "cache"),
        ({"adapter": "lora", "reference": "copy"}, True, "copy"),
        ({"adapter": "lora", "reference": "cache"}, True, "cache"),
        ({"adapter": "lora", "reference": "adapter_off"}, True, "adapter_off"),
        ({"adapter": "lora"}, False, "none"),
    ],
)
def test_reference_kind(options, needed, kind):
    assert reference_kind(Model("a/b", **options), needed) == kind


def test_a_reference_without_its_adapter_needs_one():
    with pytest.raises(ValueError, match="needs a model with an adapter"):
        Reference(llama(), "adapter_off")


def test_batch_to_keeps_everything():
    rows = batch()
    moved = rows.to(torch.device("cpu"))
    assert isinstance(moved, Batch)
    assert moved.ids == rows.ids
    assert torch.equal(moved.labels, rows.labels)
