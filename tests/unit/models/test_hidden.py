"""A forward pass that stops at a layer gives what that layer gives out, and leaves the model as it was."""

from __future__ import annotations

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.masking import target_positions
from mollm_cli.core.types import Loss, Objective
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.rmu import rmu
from mollm_cli.models.forward import forward, forward_hidden, layers
from mollm_cli.models.reference import Reference
from mollm_cli.models.trainable import restrict
from mollm_cli.objectives.label_log_probs import on
from tests.support.tiny import SMALL, batch, llama, opt, small


def expected(model, rows, layer):
    """What the library itself reports as hidden states: embeddings first, then layer after layer."""
    states = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask, output_hidden_states=True)
    sequence, position, _ = target_positions(rows.labels)
    return states.hidden_states[layer + 1][sequence, position]


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("layer", [0, 1])
def test_hidden_states_are_the_librarys_own(kind, layer):
    model, rows = small(kind, layers=3), batch()
    before = forward(model, rows).logits
    out = forward_hidden(model, rows, layer)
    assert torch.allclose(out.hidden, expected(model, rows, layer), atol=1e-6)
    assert out.hidden.abs().max() > 1e-3
    assert out.logits.shape == (len(out.labels), 0)
    assert torch.equal(forward(model, rows).logits, before)  # the hook is gone


def test_nothing_above_the_layer_runs():
    model, seen = llama(layers=3), []
    for number, layer in enumerate(model.model.layers):
        layer.register_forward_pre_hook(lambda *a, n=number: seen.append(n))
    model.lm_head.register_forward_pre_hook(lambda *a: seen.append("head"))
    forward_hidden(model, batch(), 1)
    assert seen == [0, 1]


def test_a_layer_that_gives_out_a_tuple_gives_out_its_first_part():
    model, rows = llama(), batch()
    plain = forward_hidden(model, rows, 1).hidden
    model.model.layers[1].register_forward_hook(lambda module, inputs, output: (output, None))
    assert torch.equal(forward_hidden(model, rows, 1).hidden, plain)


def test_the_gradient_is_that_of_the_whole_pass():
    rows, grads = batch(), []
    for way in ("stopped", "whole", "checkpointed"):
        model = llama(layers=3)
        if way == "checkpointed":
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.train()
        hidden = expected(model, rows, 1) if way == "whole" else forward_hidden(model, rows, 1).hidden
        hidden.square().sum().backward()
        grads.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    for other in grads[1:]:
        assert grads[0].keys() == other.keys()
        assert all(torch.allclose(grads[0][name], other[name], atol=1e-5) for name in other)


def test_an_error_inside_the_model_is_not_taken_for_the_end():
    model, rows = llama(), batch()
    model.model.layers[0].register_forward_pre_hook(lambda *a: (_ for _ in ()).throw(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        forward_hidden(model, rows, 1)


def test_the_reference_gives_the_starting_models_hidden_states():
    from peft import LoraConfig, get_peft_model

    plain, rows = llama(), batch()
    start = forward_hidden(plain, rows, 1).hidden.detach()
    copied = Reference(plain, "copy")
    model = get_peft_model(plain, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_()
    assert not torch.allclose(forward_hidden(model, rows, 1).hidden, start, atol=1e-3)
    for reference in (copied, Reference(model, "adapter_off")):
        assert torch.equal(reference.hidden(rows, 1), start)
        assert not reference.hidden(rows, 1).requires_grad


def test_a_model_without_a_list_of_its_layers_is_refused():
    model = llama()
    model.config.num_hidden_layers = 5
    with pytest.raises(RequestError, match=r"a list of its 5 layers, found none in LlamaForCausalLM; choose a loss"):
        layers(model)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("llama", ["model.layers.0.mlp.down_proj.weight", "model.layers.1.mlp.down_proj.weight"]),
        ("opt", ["model.decoder.layers.0.fc2.weight", "model.decoder.layers.1.fc2.weight"]),
        ("gpt2", ["transformer.h.0.mlp.c_proj.weight", "transformer.h.1.mlp.c_proj.weight"]),
        ("gpt_neox", ["gpt_neox.layers.0.mlp.dense_4h_to_h.weight", "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"]),
        ("phi", ["model.layers.0.mlp.fc2.weight", "model.layers.1.mlp.fc2.weight"]),
    ],
)
def test_rmu_trains_the_matrices_that_lead_out_of_the_mlps(kind, names):
    model = small(kind, layers=3)
    restrict(model, rmu(layer=1))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == names


def test_of_an_adapter_only_what_stands_on_these_matrices_is_trained():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(llama(layers=4), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    restrict(model, rmu(layer=3))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 6
    assert all(".mlp.down_proj.lora_" in name and ".layers.0." not in name for name in trained)


def test_a_loss_that_says_nothing_trains_everything():
    model = opt()
    restrict(model, mollm())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("layer", [2, 7])
def test_a_layer_that_the_model_has_not_is_refused(layer):
    with pytest.raises(RequestError, match=rf"must be a layer of the model, 0 to 1, found {layer}. Set loss.layer=1"):
        restrict(llama(), rmu(layer=layer))


def test_a_loss_that_would_train_nothing_is_refused():
    row = Objective("x", ("forget",), on("forget", lambda o: (o.logits.sum(), 1)))
    with pytest.raises(RequestError, match=r"loss=mine trains the parameters whose name has conv, found none among 2"):
        restrict(llama(), Loss("mine", (row,), trainable="conv"))
