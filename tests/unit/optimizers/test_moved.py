"""The share of half-precision weights that a step moved, from a sample of each tensor."""

from __future__ import annotations

import pytest
import torch

from mollm_cli.optimizers.moved import MovedShare
from mollm_cli.optimizers.rules import SGD, AdamW


def _weights(dtype: torch.dtype) -> list[torch.nn.Parameter]:
    shapes, generator = ((64, 96), (3,), (1024, 40), ()), torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]


@pytest.mark.parametrize("update", ["plain", "stochastic_rounding", "master"])
@pytest.mark.parametrize("rate", [1e-5, 1e-3])
def test_it_is_the_share_of_all_weights(update: str, rate: float) -> None:
    torch.manual_seed(1)
    held = _weights(torch.bfloat16)
    before, moved = [p.detach().clone() for p in held], MovedShare(held)
    assert moved() == 0.0
    for p in held:
        p.grad = torch.randn_like(p)
    AdamW(rate, update=update).build(held).step()
    counts = sum(int((p != b).sum()) for p, b in zip(held, before, strict=True))
    assert moved() == pytest.approx(counts / sum(p.numel() for p in held), abs=0.03)


def test_auto_moves_what_plain_leaves_and_float32_is_not_looked_at() -> None:
    shares = {}
    for update in ("plain", "auto"):
        held = _weights(torch.bfloat16)
        moved = MovedShare(held)
        for p in held:
            p.grad = p.detach() * 1e-4
        SGD(1.0, update=update).build(held).step()
        shares[update] = moved()
    assert shares["plain"] == 0.0 and shares["auto"] == pytest.approx(1e-4 * 2**7 * 1.44, rel=0.2)
    assert MovedShare(_weights(torch.float32))() is None
