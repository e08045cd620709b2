"""Several processes take the step that one takes: losses, weights, what is told of them, and the parameters.

One pool of forked processes a test goes through all cases.
"""

from __future__ import annotations

from functools import cache, partial

import pytest
import torch

from mollm_cli.core.world import ALONE
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.npo import npo
from mollm_cli.losses.pdu import pdu
from mollm_cli.losses.rmu import rmu
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.primal_dual import PrimalDual
from mollm_cli.solvers.projected_forget import ProjectedForget
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.processes import together
from tests.support.shares import Case, difference, steps

SKETCH = {"gram": "sketch", "sketch_buckets": 1000}
SGD = {"optimizer": torch.optim.SGD, "lr": 1e-2}
MAIN = {
    "full, exact": Case(pieces=2),
    "full, sketch": Case(direction=SKETCH),
    "LoRA, exact": Case("lora"),
    "LoRA, sketch": Case("lora", direction=SKETCH, record=False),
    "full, float32": Case(direction={"live_threshold": 1e-3}, dtype=torch.float32),
    "LoRA, float32": Case(
        "lora", direction={"live_threshold": 1e-3}, dtype=torch.float32, optimizer=torch.optim.SGD, record=False
    ),
}
"""What must be equal on two processes, and some of it on four, which share two cores. (Adam makes a full step of a
gradient that is only rounding: in float32 that is the start of an adapter.)"""
OF_FOUR = ("full, exact", "LoRA, sketch")
SHORT = partial(Case, steps=3)
OTHERS = {
    "weighted sum": SHORT(loss=ga_kl, solver=WeightedSum),
    "sgd": SHORT(**SGD),
    "metric=adam": SHORT(direction={"metric": "adam"}),
    "scope=layer": SHORT(direction={"scope": "layer"}),
    "sketch in pieces": SHORT(direction=SKETCH, pieces=1),
    "factors": SHORT(direction=SKETCH | {"gram": "factors"}),
    "refresh_every": SHORT(direction={"refresh_every": 2}, record=False),
    "resting": SHORT(direction={"kl_budget": 0.01}, record=False, target=0.0205),
    "held, paced": SHORT(direction={"retain": "hold"}, drift=1e-3),
    "held, sketch": SHORT(direction=SKETCH | {"retain": "hold"}, drift=1e-3),
    "carried rows": SHORT(loss=grad_diff, solver=ProjectedForget),
    "primal_dual": SHORT(loss=partial(pdu, eps=1.0), solver=partial(PrimalDual, warmup_steps=1)),
    "dpo": SHORT(loss=dpo, solver=DualSpaceMGDA),
    "npo": SHORT(loss=npo, solver=WeightedSum),
    "rmu": SHORT(loss=partial(rmu, layer=0), solver=WeightedSum),
}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@cache
def alone(name):
    return steps((MAIN | OTHERS)[name], ALONE)


def all_of(cases, parallel, world):
    return {name: steps(case, world, parallel) for name, case in cases.items()}


def told(answer, case):
    """In float64 everything, in float32 losses and weights: what is measured of a small change is rounding there."""
    if case.dtype == torch.float64:
        return answer["lines"]
    return [{key: line[key] for key in ("losses", "weights", "norm", "tokens")} for line in answer["lines"]]


def compared(cases, parallel, size):
    found = together(size, partial(all_of, cases, parallel))
    for name, case in cases.items():
        one = alone(name)
        assert difference(told(one, case), told(found[0][name], case), name) < TOLERANCE[case.dtype], name
        assert difference(one["end"], found[0][name]["end"], name) < TOLERANCE[case.dtype], name
        for other in found[1:]:
            assert other[name]["lines"] == found[0][name]["lines"], name
            if parallel == "ddp":
                assert other[name]["end"] == found[0][name]["end"], name


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("size", [2, 4])
def test_ten_steps_are_those_of_one_process(size, parallel):
    compared({name: MAIN[name] for name in (MAIN if size == 2 else OF_FOUR)}, parallel, size)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_so_are_those_of_every_other_kind_of_step(parallel):
    compared(OTHERS, parallel, 2)
