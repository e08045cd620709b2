"""The head apart from the model: the same logits, found out where that is not so, and nothing left behind."""

from __future__ import annotations

import warnings

import pytest
import torch

from mollm_cli.core import chunked
from mollm_cli.core.chunked import LinearHead, ModuleHead
from mollm_cli.core.masking import target_positions
from mollm_cli.core.target_states import TargetStates
from mollm_cli.models.forward import forward, target_logits
from mollm_cli.models.head import target_states
from mollm_cli.models.reference import Reference
from mollm_cli.objectives.cross_entropy import cross_entropy
from tests.support.tiny import SMALL, batch, llama, small

CHANGED = {  # what is done to logits behind the head
    "gemma2": {"num_key_value_heads": 2, "head_dim": 8, "final_logit_softcapping": 30.0},
    "cohere": {"num_key_value_heads": 2, "logit_scale": 0.0625},
    "granite": {"num_key_value_heads": 2, "logits_scaling": 8.0},
}


def separable(kind):
    """Of Gemma 2, what it has without its cap on logits."""
    return small(kind, **({"final_logit_softcapping": None} if kind == "gemma2" else {}))


def positions(rows):
    return target_positions(rows.labels)[:2]


def few(monkeypatch, rows=5):
    """So small a limit that every batch has many targets."""
    monkeypatch.setattr(chunked, "CHUNK_BYTES", rows * 4 * 48)


def counted(model):
    seen = []
    model.get_input_embeddings().register_forward_hook(lambda *a: seen.append(1))
    return seen


@pytest.mark.parametrize("kind", SMALL)
def test_the_head_of_the_states_gives_the_models_logits(kind):
    model, rows = separable(kind), batch()
    whole = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask).logits
    expected = whole[positions(rows)]
    for _ in range(2):  # when it is found out, and when it is known
        states = target_states(model, rows, positions(rows))
        assert isinstance(states.head, LinearHead)
        assert torch.allclose(states.logits, expected, atol=1e-6) and expected.abs().max() > 1e-3
        assert states.hidden.requires_grad
    again = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask).logits
    assert torch.equal(again, whole)  # the hooks are gone


@pytest.mark.parametrize("kind", CHANGED)
def test_what_is_done_to_logits_behind_the_head_is_found_out_once(kind):
    model, rows = small(kind, **CHANGED[kind]), batch()
    passes = counted(model)
    assert [target_states(model, rows, positions(rows)) for _ in range(3)] == [None] * 3
    assert len(passes) == 1


def test_it_is_found_out_where_all_logits_are_zero():
    model, rows = small("gemma2", **CHANGED["gemma2"]), batch()
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    assert target_states(model, rows, positions(rows)) is None


def test_a_model_that_names_no_head_has_no_states():
    model, rows = llama(), batch()
    model.get_output_embeddings = lambda: None
    assert target_states(model, rows, positions(rows)) is None


def test_many_targets_come_as_states_few_as_logits(monkeypatch):
    model, rows = llama(), batch()
    count = len(positions(rows)[0])
    for limit, kind in ((count, torch.Tensor), (count - 1, TargetStates)):
        few(monkeypatch, limit)
        out = forward(model, rows, Reference(model, "copy"))
        assert isinstance(out.said, kind) and isinstance(out.reference, kind)


@pytest.mark.parametrize("kind", CHANGED)
def test_a_head_that_cannot_be_separated_is_said_once_and_changes_no_number(kind, monkeypatch):
    model, rows = small(kind, **CHANGED[kind]), batch()
    value, _ = cross_entropy(forward(model, rows))
    value.backward()
    expected = [p.grad.clone() for p in model.parameters()]
    few(monkeypatch)
    passes = counted(model)
    for turn in range(3):
        model.zero_grad()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            out = forward(model, rows)
        assert len(said) == (turn == 0)
        cross_entropy(out)[0].backward()
        assert cross_entropy(forward_again(out))[0].item() == pytest.approx(value.item(), rel=1e-6)
        for p, wanted in zip(model.parameters(), expected, strict=True):
            assert torch.allclose(p.grad, wanted, rtol=1e-4, atol=1e-6)
        if turn == 0:
            text = str(said[0].message)
            assert type(model).__name__ in text and f"all {len(out.labels)} targets" in text
            assert "a smaller engine.micro_batch or evaluation.batch_size takes less memory" in text
    assert len(passes) == 4  # one to find out


def forward_again(out):
    """The same outputs, nothing of them known yet."""
    return type(out)(out.said, out.labels, out.sequence, out.sequences, out.reference)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi"])
def test_autocast_is_that_of_the_forward_pass_wherever_the_loss_is_computed(kind, monkeypatch):
    model, rows, ends = separable(kind), batch(), []
    for limit in (10_000, 5):
        few(monkeypatch, limit)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            out = forward(model, rows)
        assert out.logits.dtype == torch.bfloat16
        value, _ = cross_entropy(out)  # outside, as the engine does
        value.backward()
        assert all(p.grad.dtype == torch.float32 for p in model.parameters())
        ends.append((value.item(), torch.cat([p.grad.reshape(-1) for p in model.parameters()])))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-4)
    assert (ends[0][1] - ends[1][1]).norm() < 5e-3 * ends[0][1].norm()


def test_a_head_with_an_adapter_is_no_linear_one(monkeypatch):
    from peft import LoraConfig, get_peft_model

    rows, ends = batch(), []
    for limit in (10_000, 5):
        few(monkeypatch, limit)
        config = LoraConfig(r=2, target_modules=["lm_head", "q_proj"], task_type="CAUSAL_LM")
        torch.manual_seed(0)
        model = get_peft_model(llama(), config)
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.normal_()
        out = forward(model, rows, Reference(model, "adapter_off"))
        assert limit == 10_000 or isinstance(out.said.head, ModuleHead)
        (cross_entropy(out)[0] + out.per_token(lambda z, y, q: (z - q).square().mean(-1)).sum()).backward()
        trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        assert all(g is not None for g in trained.values()) and any("lm_head" in name for name in trained)
        ends.append((cross_entropy(out)[0].item(), trained))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-6)
    for name, gradient in ends[0][1].items():
        assert torch.allclose(gradient, ends[1][1][name], rtol=1e-4, atol=1e-5)


def test_whole_logits_and_states_leave_the_head_as_it_was():
    model, rows = llama(), batch()
    head = model.get_output_embeddings()
    target_states(model, rows, positions(rows))
    target_logits(model, rows, positions(rows))
    assert not head._forward_hooks and not head._forward_pre_hooks
