"""Which parameters form a layer, by name."""

from __future__ import annotations

import pytest

from mollm_cli.gradients.layers import layer_indices, layer_of
from tests.support.tiny import llama, opt


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.3.mlp.up_proj.weight", "model.layers.3"),
        ("model.layers.3.input_layernorm.weight", "model.layers.3"),
        ("transformer.h.11.attn.c_attn.bias", "transformer.h.11"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight", "base_model.model.model.layers.0"),
        ("model.layers.2.mlp.experts.7.w1.weight", "model.layers.2"),
        ("model.embed_tokens.weight", "model.embed_tokens"),
        ("model.norm.weight", "model.norm"),
        ("lm_head.weight", "lm_head"),
        ("weight", ""),
    ],
)
def test_the_layer_of_a_parameter(name, layer):
    assert layer_of(name) == layer


@pytest.mark.parametrize("make", [llama, opt])
def test_a_model_has_its_blocks_and_what_stands_beside_them(make):
    names = [name for name, _ in make().named_parameters()]
    layers, index = layer_indices(names)
    assert len(index) == len(names)
    blocks = [layer for layer in layers if layer[-1].isdigit()]
    assert [layer[-1] for layer in blocks] == ["0", "1"]
    assert all(names[k].startswith(layers[i]) for k, i in enumerate(index))
    assert 2 + 3 <= len(layers) <= 2 + 4  # embeddings, positions, last norm, untied head
