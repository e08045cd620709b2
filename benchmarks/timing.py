"""Seconds and floating-point operations of steps.

What counts as useful work, in units of a role's forward pass F (matrix products and attention, logits at the targets
only, whatever the row itself computes; attention to all positions, as PaLM's utilisation counts it, arXiv 2204.02311):
F a role and 2 F a backward, 1 F under LoRA, where no weight of the base has a gradient. "useful" counts a backward an
objective, "plain" one a role: what a weighted sum would need. Forward passes of a reference, recomputed activations and
a second backward of the same objective are no useful work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from benchmarks.contender import Contender, Row
from benchmarks.machine import now, synchronize
from benchmarks.workload import Workload
from mollm_cli.core.masking import target_positions
from mollm_cli.models.forward import target_logits

WARM_UP = 2
_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_attention_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
COUNTED: dict[Any, Any] = {
    torch.ops.aten.addmm_: lambda grad, left, right, **more: 2 * left[0] * left[1] * right[1],
    _attention: lambda q, k, v, *rest, **more: sdpa_flop_count(q, k, v),
    _attention_backward: lambda out, q, k, v, *rest, **more: sdpa_backward_flop_count(out, q, k, v),
}
"""What torch's counter leaves out: it knows attention on CUDA only."""


def turns(row: Row, rounds: int) -> int:
    """How many steps' rows a row sees in ``rounds``: one to count and to make the optimizer's state, then warm-up."""
    return row.period * (1 + WARM_UP + rounds)


def one_turn(contender: Contender, workload: Workload, turn: int, period: int = 1) -> float:
    """Seconds a step of ``period`` steps, each on a fresh batch; the last one's gradients are freed afterwards."""
    batches = [workload.batches(turn * period + k) for k in range(period)]
    synchronize(workload.device)
    began = now(workload.device)
    for each in batches:
        contender.step(each)
    synchronize(workload.device)
    elapsed = now(workload.device) - began
    contender.optimizer.zero_grad(set_to_none=True)
    return elapsed / period


def interleaved(
    contenders: Mapping[str, Contender], periods: Mapping[str, int], workload: Workload, rounds: int
) -> dict[str, list[float]]:
    """Seconds per row and round, after warm-up, in an order that rotates."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(1, WARM_UP + rounds + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            elapsed = one_turn(contenders[name], workload, turn, periods[name])
            if turn > WARM_UP:
                seconds[name].append(elapsed)
    return seconds


def executed_flops(contender: Contender, workload: Workload, period: int = 1) -> float:
    """Floating-point operations of a step's matrix products and attention, as executed, over ``period`` steps."""
    with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        one_turn(contender, workload, 0, period)
    return counter.get_total_flops() / period


def forward_flops(model: Any, workload: Workload) -> int:
    """F: those of a forward pass over one role's rows."""
    batch = workload.batches(0)["retain"]
    sequence, position, _ = target_positions(batch.labels)
    eager = torch.compiler.set_stance("force_eager")  # what is compiled cannot be counted
    with eager, torch.no_grad(), FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        target_logits(model, batch, (sequence, position))
    return int(counter.get_total_flops())


def work(contender: Contender, forward: int) -> dict[str, int]:
    """Flop of a step that are useful, and those of plain training on the same rows."""
    backward = 2 if all(p.requires_grad for p in contender.model.parameters()) else 1
    roles = len(contender.roles)
    counts = {"useful": len(contender.objectives), "plain": min(roles, len(contender.objectives))}
    return {kind: forward * (roles + backward * count) for kind, count in counts.items()}
