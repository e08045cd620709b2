"""Every kind of reference says what the starting model said, whatever became of the model; a cached one to rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Gemma2Config, Gemma2ForCausalLM

from mollm_cli.core.masking import target_positions
from mollm_cli.core.outputs import Outputs
from mollm_cli.core.target_states import TargetStates
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.forward import forward
from mollm_cli.models.reference import Reference, starting_states
from mollm_cli.models.reference_cache import Forward
from mollm_cli.objectives.forward_kl import forward_kl
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.references import CPU, cached, rows_of, together
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt

ROWS = rows_of(batch(1, rows=7))
BATCHES = {"all": ROWS, "one": ROWS[4:5], "short and long": [ROWS[2], ROWS[0], ROWS[5]], "turned": ROWS[::-1]}
BOUNDS = {torch.float32: 1e-6, torch.float64: 1e-12}


def moved(model, scale: float = 0.05):
    """The model, no longer its own reference."""
    torch.manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(scale * torch.randn_like(p))
    return model


def divergence(model, reference, rows):
    """(KL, its gradient) on ``rows``."""
    model.zero_grad()
    value, _ = forward_kl(forward(model, rows, reference))
    value.backward()
    return value.detach(), torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("rows", BATCHES)
@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
@pytest.mark.parametrize("make", [llama, opt], ids=["llama", "opt, tied"])
def test_kl_and_its_gradient_are_the_copys(make, dtype, rows, tmp_path: Path):
    """The rows meet other rows, and other padding, than they met when they were stored."""
    model = make(dtype=dtype)
    references = [Reference(model, "copy"), cached(model, ROWS, tmp_path)]
    moved(model)
    (kl, gradient), (ours, our_gradient) = (divergence(model, r, together(BATCHES[rows])) for r in references)
    assert kl > 0.1
    assert abs(ours - kl) <= BOUNDS[dtype] * kl
    assert (our_gradient - gradient).norm() <= 3 * BOUNDS[dtype] * gradient.norm()


def test_kl_under_autocast_is_the_copys_to_the_rounding_of_bfloat16():
    model = llama()
    references = [Reference(model, "copy"), cached(model, ROWS, forward=Forward("cpu", bf16=True))]
    moved(model)
    with torch.autocast("cpu", torch.bfloat16):
        kl, ours = (forward_kl(forward(model, together(ROWS), r))[0].item() for r in references)
    assert ours == pytest.approx(kl, rel=0.02)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.float64, 1e-12), (torch.bfloat16, 1e-2)])
def test_at_the_start_kl_is_within_every_budget(dtype, bound):
    """1e-6 nats per token is what solvers that normalise rows take for rounding, 0.02 what MOLLM's solver allows."""
    model = llama(dtype=dtype)
    value, count = forward_kl(forward(model, together(ROWS[1:5]), cached(model, ROWS)))
    assert abs(value.item()) / count < bound


def test_mollm_takes_the_first_step_that_it_takes_with_a_copy():
    results = []
    batches = {"forget": [batch(2, prefix="f")], "retain": [together(ROWS[:4])]}
    for kind in ("copy", "cache"):
        model = llama()
        step = stepper(model, mollm(), DualSpaceMGDA())
        step.reference = cached(model, ROWS) if kind == "cache" else step.reference
        results.append((step(batches, 0.1), torch.cat([p.detach().reshape(-1) for p in model.parameters()])))
    (one, parameters), (other, ours) = results
    assert one.choice.live.tolist() == other.choice.live.tolist() == [True, True, False]
    assert other.weights.tolist() == pytest.approx(one.weights.tolist(), rel=1e-6)
    assert torch.allclose(parameters, ours, atol=1e-7)


@pytest.mark.parametrize("form", ["logits", "states"])
def test_both_forms_say_the_same(form):
    model, rows = opt(), together(ROWS[:3])
    copy, ours = Reference(model, "copy"), cached(model, ROWS)
    moved(model)
    assert ours.kind == "cache"
    found = [r.logits(rows) if form == "logits" else r.states(rows).logits for r in (copy, ours)]
    assert torch.allclose(found[0], found[1], rtol=1e-12, atol=1e-13)
    assert not found[1].requires_grad


def test_states_of_many_targets_go_chunk_by_chunk(monkeypatch):
    """The way of large vocabularies: the reference stays states, and its head is called on a chunk at a time."""
    from mollm_cli.core import chunked

    model, rows = opt(), together(ROWS)
    references = [Reference(model, "copy"), cached(model, ROWS)]
    moved(model)
    plain = divergence(model, references[0], rows)
    monkeypatch.setattr(chunked, "CHUNK_BYTES", 4 * 48 * 5)
    for reference in references:
        said = forward(model, rows, reference)
        assert isinstance(said, Outputs) and isinstance(said.reference, TargetStates)
        kl, gradient = divergence(model, reference, rows)
        assert kl.item() == pytest.approx(plain[0].item(), rel=1e-12)
        assert torch.allclose(gradient, plain[1], rtol=1e-10, atol=1e-12)


def test_a_trained_head_is_copied_and_a_frozen_one_is_shared():
    trained, frozen = llama(), llama()
    frozen.lm_head.requires_grad_(False)
    head = 48 * 32 * 4
    assert (cached(trained, ROWS, None).bytes, cached(frozen, ROWS, None).bytes) == tuple(
        sum(row.targets for row in ROWS) * 32 * 4 + own for own in (head, 0)
    )
    ours = cached(frozen, ROWS)
    assert ours.states(together(ROWS)).head.weight.data_ptr() == frozen.lm_head.weight.data_ptr()


def test_a_head_tied_to_an_embedding_that_is_trained_is_copied():
    model = opt()
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
    rows, ours = together(ROWS), cached(model, ROWS)
    before = ours.logits(rows)
    with torch.no_grad():
        model.model.decoder.embed_tokens.weight.mul_(3)
    assert torch.equal(ours.logits(rows), before)
    model.requires_grad_(False)
    shared = cached(model, ROWS)
    assert shared.states(rows).head.weight.data_ptr() == model.lm_head.weight.data_ptr()


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings:UserWarning")
def test_an_adapter_on_the_head_is_frozen_as_it_was():
    adapter = LoraConfig(r=2, target_modules=["lm_head", "q_proj"], task_type="CAUSAL_LM")
    model = moved(get_peft_model(opt(), adapter))  # an adapter that is gone on with: not zero
    references = [Reference(model, "copy"), cached(model, ROWS)]
    before = references[1].logits(together(ROWS))
    moved(model)
    kl, ours = (divergence(model, r, together(ROWS[:5])) for r in references)
    assert ours[0].item() == pytest.approx(kl[0].item(), rel=1e-12) and kl[0] > 0.1
    assert torch.allclose(ours[1], kl[1], rtol=1e-9, atol=1e-12)
    assert torch.equal(references[1].logits(together(ROWS)), before)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings:UserWarning")
def test_an_adapter_switched_off_is_off_in_the_head_too():
    """Also where the head is called later, outside the block that switches the adapter off."""
    plain, rows = opt(), together(ROWS)
    start = Reference(plain, "copy").logits(rows)
    model = get_peft_model(plain, LoraConfig(r=2, target_modules=["lm_head", "q_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.normal_()
    states = Reference(model, "adapter_off").states(rows)
    assert torch.allclose(states.logits, start, rtol=1e-12, atol=1e-13)


def test_a_hidden_layer_is_cached_too():
    model, rows = opt(), together(ROWS[1:4])
    references = [Reference(model, "copy"), cached(model, ROWS, forward=Forward("cpu", layer=0))]
    moved(model)
    copy, ours = (r.hidden(rows, 0) for r in references)
    assert torch.allclose(ours, copy, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(starting_states(model, Forward("cpu", layer=0))(rows), copy, atol=1e-3)


def test_a_head_that_cannot_be_separated_is_refused():
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=0, final_logit_softcapping=5.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="the head of Gemma2ForCausalLM cannot be separated"):
        starting_states(Gemma2ForCausalLM(config).eval(), CPU)(together(ROWS))


def test_a_cached_reference_needs_states():
    with pytest.raises(ValueError, match="needs the states of the starting model"):
        Reference(llama(), "cache")


def test_what_the_manifest_says(tmp_path: Path):
    model = llama()
    size = sum(p.numel() for p in model.parameters()) * 4
    assert Reference(model, "none").facts == {"kind": "none", "bytes": 0, "disk_bytes": 0}
    assert Reference(model, "copy").facts == {"kind": "copy", "bytes": size, "disk_bytes": 0}
    cached(model, ROWS[:3], tmp_path)
    (first,) = tmp_path.iterdir()
    ours = cached(model, ROWS, tmp_path)
    (second,) = set(tmp_path.iterdir()) - {first}
    assert ours.facts == {
        "kind": "cache",
        "bytes": 48 * 32 * 4,
        "disk_bytes": sum(row.targets for row in ROWS) * 32 * 4,
        "rows": 7,
        "filled": 4,
        "files": [str(first), str(second)],
    }


@pytest.mark.parametrize(("kind", "passes"), [("copy", (2, 1)), ("cache", (2, 0))])
@pytest.mark.parametrize("loss", [ga_kl, mollm], ids=lambda loss: loss.__name__)
def test_a_step_with_stored_states_forwards_no_reference(loss, kind, passes):
    """Two forward passes of the model and none of the reference, where a copy takes one more."""
    model, seen = llama(), []
    step = stepper(model, loss(), DualSpaceMGDA())
    if kind == "cache":
        step.reference = cached(model, ROWS)
    else:
        step.reference._model.model.layers[0].register_forward_hook(lambda *_: seen.append("reference"))
    model.model.layers[0].register_forward_hook(lambda *_: seen.append("model"))
    step({"forget": [batch(2, prefix="f")], "retain": [together(ROWS[:4])]}, 0.1)
    assert (seen.count("model"), seen.count("reference")) == passes


def test_positions_are_those_of_the_targets():
    """The first state of a row is the one that its first target is predicted from."""
    model, rows = opt(), together(ROWS[:1])
    sequence, position, _ = target_positions(rows.labels)
    states = cached(model, ROWS).states(rows).hidden
    assert len(states) == len(position) == ROWS[0].targets
    whole = model.model.decoder(input_ids=rows.input_ids, attention_mask=rows.attention_mask).last_hidden_state
    assert torch.allclose(states, whole[sequence, position], rtol=1e-12, atol=1e-14)
