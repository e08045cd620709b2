"""Names of transformers 5 in config.json, and beside them those that transformers 4 reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

COUNTED = ("phi3", "phi4_multimodal", "olmo", "olmo2", "hunyuan_v1_dense", "hunyuan_v1_moe", "chameleon")
"""Architectures whose older classes count the fields of rope_scaling, and call its kind ``type`` alone."""
COUNTS = re.compile(r"experts$")
"""Numbers that transformers 5 renamed for some architectures; its classes know the older name as an alias."""


def name_type(config: dict[str, Any], dtype: str) -> None:
    """Say that weights are of ``dtype``, in the configurations in ``config`` too; before 4.56 it was torch_dtype."""
    config["dtype"] = config["torch_dtype"] = dtype
    for value in config.values():
        if isinstance(value, dict) and "model_type" in value:
            name_type(value, dtype)


def with_older_names(config: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """``config`` with older names beside those of transformers 5; what it says already stays as it is.

    aliases: the attribute_map of its class, older or other name -> name.

    transformers 4 knows no ``rope_parameters``: where it finds nothing else, the base is 10000, without scaling.
    """
    found = {k: with_older_names(v, {}) if isinstance(v, dict) and "model_type" in v else v for k, v in config.items()}
    for alias, name in aliases.items():
        if COUNTS.search(alias) and name in config:
            found.setdefault(alias, config[name])
    rope = config.get("rope_parameters")
    if isinstance(rope, dict):
        found |= {key: value for key, value in _rotary(rope, config).items() if config.get(key) is None}
    return found


def plain_floats(value: Any) -> Any:
    """``value`` with infinity as Python's JSON has it; transformers 5 writes {"__float__": "Infinity"}."""
    if isinstance(value, dict):
        whole = {key: plain_floats(each) for key, each in value.items()}
        return float(value["__float__"]) if value.keys() == {"__float__"} else whole
    return [plain_floats(v) for v in value] if isinstance(value, list) else value


def rotary(config: Any) -> Any:
    """The rotary settings in a configuration, as JSON has it and today's class has understood them."""
    if not isinstance(config, dict):
        return None
    return {k: _without_type(v) if k == "rope_parameters" else rotary(v) for k, v in config.items()}


def _without_type(rope: Any) -> Any:
    """``rope`` without the older name of ``rope_type``, which changes nothing."""
    return {k: _without_type(v) for k, v in rope.items() if k != "type"} if isinstance(rope, dict) else rope


def _rotary(rope: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The older names for ``rope``: one set of settings, or one for each kind of attention, as Gemma 3 has it."""
    local, rope = rope.get("sliding_attention"), rope.get("full_attention") or rope
    if "rope_theta" not in rope:
        return {}
    found = {"rope_theta": rope["rope_theta"], "rope_scaling": _scaling(rope, config)}
    if isinstance(local, dict):
        found["rope_local_base_freq"] = local["rope_theta"]
    share = rope.get("partial_rotary_factor")
    if share is not None:
        found["partial_rotary_factor"] = share
    if config.get("model_type") == "gpt_neox":
        found |= {"rotary_emb_base": rope["rope_theta"], "rotary_pct": share}
    return found


def _scaling(rope: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return None
    apart = {"rope_theta", "partial_rotary_factor", "rope_type", "type"}
    # Phi-3 keeps the context that it was trained with beside these settings, and counts what is in them.
    fields = {key: value for key, value in rope.items() if key not in apart and key not in config}
    names = {"type": kind} if config.get("model_type") in COUNTED else {"rope_type": kind, "type": kind}
    return names | fields
