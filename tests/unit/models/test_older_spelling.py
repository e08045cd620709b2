"""Names that transformers 4 reads beside those that transformers 5 writes."""

from __future__ import annotations

import math

import pytest

from mollm_cli.models.older_spelling import name_type, plain_floats, with_older_names

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}


def rope(kind="default", theta=500000.0, **fields):
    return {"rope_type": kind, "rope_theta": theta, **fields}


@pytest.mark.parametrize(
    ("config", "added"),
    [
        ({"rope_parameters": rope()}, {"rope_theta": 500000.0, "rope_scaling": None}),
        (
            {"rope_parameters": rope("llama3", **LLAMA3)},
            {"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "type": "llama3", **LLAMA3}},
        ),
        (
            {"model_type": "olmo2", "rope_parameters": rope("linear", factor=4.0)},
            {"rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
        ),
        (
            {
                "model_type": "phi3",
                "original_max_position_embeddings": 16,
                "rope_parameters": rope(
                    "longrope",
                    short_factor=[1.0],
                    long_factor=[2.0],
                    original_max_position_embeddings=16,
                    partial_rotary_factor=0.75,
                ),
            },
            {
                "rope_theta": 500000.0,
                "partial_rotary_factor": 0.75,
                "rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]},
            },
        ),
        (
            {"rope_parameters": {"full_attention": rope(theta=1e6), "sliding_attention": rope(theta=777.0)}},
            {"rope_theta": 1e6, "rope_scaling": None, "rope_local_base_freq": 777.0},
        ),
        (
            {"model_type": "gpt_neox", "rope_theta": 3, "rope_parameters": rope(theta=3, partial_rotary_factor=0.5)},
            {"rotary_emb_base": 3, "rotary_pct": 0.5, "rope_scaling": None, "partial_rotary_factor": 0.5},
        ),
        ({"rope_parameters": rope(theta=1.0), "rope_theta": 2.0, "rope_scaling": {"type": "su"}}, {}),
        ({"rope_parameters": {"full_attention": None}}, {}),
        ({"num_local_experts": 4}, {"num_experts": 4}),
        ({"rope_theta": 1.0, "n_embd": 3}, {}),
    ],
    ids=["plain", "llama3", "counted", "phi3", "gemma3", "neox", "older", "none", "experts", "nothing"],
)
def test_what_is_new_is_said_in_older_words_too_and_nothing_is_said_otherwise(config, added):
    aliases = {"num_experts": "num_local_experts", "hidden_size": "n_embd"}
    assert with_older_names(config, aliases) == config | added


def test_the_configurations_in_a_configuration_are_spelled_out_too():
    inner = {"model_type": "x", "rope_parameters": rope(theta=2.0)}
    found = with_older_names({"text_config": inner}, {})
    assert found == {"text_config": inner | {"rope_theta": 2.0, "rope_scaling": None}}


def test_the_type_has_both_names_in_every_part_and_infinity_is_a_number():
    config = {"torch_dtype": "float32", "text_config": {"model_type": "x"}, "limit": [0.0, {"__float__": "-Infinity"}]}
    name_type(config, "bfloat16")
    assert config["dtype"] == config["torch_dtype"] == config["text_config"]["torch_dtype"] == "bfloat16"
    assert plain_floats(config)["limit"] == [0.0, -math.inf]
