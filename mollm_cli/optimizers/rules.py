"""Optimizers with their learning-rate schedule, a pure function of the step: there is nothing of it to save."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mollm_cli.optimizers.updates import Update

if TYPE_CHECKING:
    import torch

Schedule = Literal["constant", "linear", "cosine"]
LearningRate = float | Literal["auto"]
"""A number, or "auto": a factor of the rule's usual rate that the run finds by itself (engine/pace.py)."""
DRIFT = 1e-4
"""Nats per token that the first step under lr=auto moves the model away from its start, on the step's retain rows."""
ADAM_RATE, SGD_RATE = 1e-4, 1e-2
"""The rates that a factor multiplies under lr=auto, and that are taken where a loss has no KL to go by."""


def number(lr: LearningRate, usual: float) -> float:
    """``lr``, or where that is "auto" the ``usual`` one."""
    return usual if lr == "auto" else lr


def scheduled(lr: float, schedule: Schedule, warmup_steps: int, step: int, total_steps: int) -> float:
    """The learning rate of the 1-based ``step``: linear warm-up to ``lr``, then constant, or down to 0 at the end."""
    if step <= warmup_steps:
        return lr * step / warmup_steps
    if schedule == "constant":
        return lr
    done = (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps)
    return lr * (1 - done) if schedule == "linear" else lr * 0.5 * (1 + math.cos(math.pi * done))


def check_rule(lr: LearningRate, drift: float, weight_decay: float, warmup_steps: int) -> None:
    """Refuse numbers that no optimizer can have, naming the key. Raises ValueError."""
    if lr != "auto" and not (lr > 0 and math.isfinite(lr)):
        raise ValueError(f"optimizer.lr must be a finite number > 0, or auto, found {lr}")
    if not (drift > 0 and math.isfinite(drift)):
        raise ValueError(f"optimizer.drift must be a finite number > 0, nats per token of a step, found {drift}")
    if lr == "auto" and warmup_steps > 0:
        raise ValueError(
            f"optimizer.warmup_steps must be 0 where optimizer.lr=auto measures the first step, found {warmup_steps}; "
            "set optimizer.lr=NUMBER"
        )
    if not weight_decay >= 0:
        raise ValueError(f"optimizer.weight_decay must be >= 0, found {weight_decay}")
    if warmup_steps < 0:
        raise ValueError(f"optimizer.warmup_steps must be >= 0, found {warmup_steps}")


def check_moments(betas: tuple[float, float], eps: float) -> None:
    """Refuse rates of Adam's moments that cannot be, naming the key. Raises ValueError."""
    if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
        raise ValueError(f"optimizer.betas must be two numbers in [0, 1), found {list(betas)}")
    if not eps > 0:
        raise ValueError(f"optimizer.eps must be > 0, found {eps}")


@dataclass(frozen=True, slots=True)
class AdamW:
    """AdamW with decoupled weight decay (arXiv 1711.05101); it is 0 by default, since it is part of no objective."""

    lr: LearningRate = "auto"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    update: Update = "plain"
    drift: float = DRIFT

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        check_rule(self.lr, self.drift, self.weight_decay, self.warmup_steps)
        check_moments(self.betas, self.eps)

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """torch's AdamW, in its fused form."""
        import torch

        from mollm_cli.optimizers.float32_update import updating

        first, second = self.betas
        kept = list(parameters)
        fused = all(p.is_floating_point() for p in kept)
        rule = torch.optim.AdamW(
            kept, number(self.lr, ADAM_RATE), (first, second), self.eps, self.weight_decay, fused=fused
        )
        return updating(rule, self.update)

    def rate(self, step: int, total_steps: int) -> float:
        """The learning rate of the 1-based ``step``."""
        return scheduled(number(self.lr, ADAM_RATE), self.schedule, self.warmup_steps, step, total_steps)


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent; without momentum and decay the step is exactly -lr d."""

    lr: LearningRate = "auto"
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    update: Update = "plain"
    drift: float = DRIFT

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        check_rule(self.lr, self.drift, self.weight_decay, self.warmup_steps)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"optimizer.momentum must be in [0, 1), found {self.momentum}")

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """torch's SGD."""
        import torch

        from mollm_cli.optimizers.float32_update import updating

        rule = torch.optim.SGD(parameters, number(self.lr, SGD_RATE), self.momentum, weight_decay=self.weight_decay)
        return updating(rule, self.update)

    def rate(self, step: int, total_steps: int) -> float:
        """The learning rate of the 1-based ``step``."""
        return scheduled(number(self.lr, SGD_RATE), self.schedule, self.warmup_steps, step, total_steps)
