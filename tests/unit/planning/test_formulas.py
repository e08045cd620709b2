"""The formulas of the memory plan, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import SGD, AdamW
from mollm_cli.planning import formulas

N = 8192


def tensors(dtype: torch.dtype) -> list[torch.Tensor]:
    return [torch.empty(64, 128, dtype=dtype, device="meta")]


@pytest.mark.parametrize(
    ("optimizer", "dtype", "per_parameter"),
    [
        (AdamW(), torch.float32, 8),
        (AdamW(), torch.bfloat16, 4),
        (AdamW(update="stochastic_rounding"), torch.bfloat16, 8),
        (AdamW(update="master"), torch.bfloat16, 12),
        (AdamW(update="master"), torch.float32, 8),
        (SGD(), torch.float32, 0),
        (SGD(momentum=0.9), torch.bfloat16, 2),
        (AdamW8bit(), torch.bfloat16, 2 * (1 + 4 / 256)),
    ],
)
def test_optimizer_state(optimizer, dtype: torch.dtype, per_parameter: float):
    assert formulas.optimizer_bytes(optimizer, tensors(dtype)) == N * per_parameter


def test_small_tensors_keep_float32_moments():
    assert formulas.optimizer_bytes(AdamW8bit(), [torch.empty(100, device="meta")]) == 800


@pytest.mark.parametrize("update", ["plain", "stochastic_rounding", "master"])
def test_adamw_is_what_torch_makes(update):
    parameter = torch.nn.Parameter(torch.ones(64, 128, dtype=torch.bfloat16))
    optimizer = AdamW(update=update).build([parameter])
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moments = [x for kept in optimizer.state.values() for key, x in kept.items() if key != "step"]
    masters = list((getattr(optimizer, "masters", None) or {}).values())
    expected = formulas.optimizer_bytes(AdamW(update=update), [parameter])
    assert formulas.tensor_bytes([*moments, *masters]) == expected


def test_tied_weights_count_once():
    tied = torch.empty(10, dtype=torch.float32)
    assert formulas.tensor_bytes([tied, tied, torch.empty(3, dtype=torch.bfloat16)]) == 46


def test_weights_of_four_bits_raise_the_others_to_float32():
    model = torch.nn.Linear(64, 64, dtype=torch.bfloat16)
    packed = formulas.weights_bytes(model, [model.weight])
    assert packed == int(4096 * formulas.NF4_BYTES) + 64 * 4
    assert formulas.weights_bytes(model) == 2 * (4096 + 64)
    assert pytest.approx(0.516, abs=1e-3) == formulas.NF4_BYTES


def test_keys_and_values():
    config = SimpleNamespace(num_hidden_layers=3, num_key_value_heads=2, num_attention_heads=4, hidden_size=32)
    config.get_text_config = lambda: config
    assert formulas.key_value_bytes(config, rows=5, tokens=7, element_size=2) == 2 * 3 * 2 * 8 * 5 * 7 * 2


def test_resume_holds_two_points_and_what_is_kept():
    assert formulas.resume_bytes(10, 20, 5, kept=3) == 2 * 35 + 30


def test_paged_state_may_leave_the_card():
    assert formulas.paged(AdamW8bit(paged=True)) and not formulas.paged(AdamW8bit()) and not formulas.paged(AdamW())
