"""Losses of seeded runs, step by step, against the kept ones."""

from __future__ import annotations

import json

import pytest

from tests.golden.regenerate import FOLDER, RUNS, losses

RELATIVE = 1e-4
"""Other CPUs have other vector widths and add up in another order; over six steps float32 drifts by less than this."""
ABSOLUTE = 1e-6
"""KL begins at exactly 0 and is a small difference of large terms in its first steps."""


@pytest.mark.parametrize("name", RUNS)
def test_losses_are_those_that_were_kept(name: str) -> None:
    kept = json.loads((FOLDER / f"{name}.json").read_text())
    found = losses(name)
    assert len(found) == len(kept) == 6
    for step, (now, before) in enumerate(zip(found, kept, strict=True), start=1):
        assert now == pytest.approx(before, rel=RELATIVE, abs=ABSOLUTE), f"step {step}"
    assert all(step[key] != kept[0][key] for step in kept[1:] for key in step)
