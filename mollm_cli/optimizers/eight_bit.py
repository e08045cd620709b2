"""AdamW with moments of 8 bits each, from bitsandbytes; if asked, they may leave a GPU that has no room for them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.optimizers.rules import (
    ADAM_RATE,
    DRIFT,
    LearningRate,
    Schedule,
    check_moments,
    check_rule,
    number,
    scheduled,
)
from mollm_cli.optimizers.updates import Update

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class AdamW8bit:
    """AdamW with moments quantised in blocks (Dettmers et al., arXiv 2110.02861): 2 bytes per parameter instead of 8.

    update: the way in which weights of half precision take an update.
    paged: whether the moments lie in memory that CUDA moves between host and GPU page by page, so that a peak of
        activations does not end the run.

    Tensors of fewer than 4096 elements keep float32 moments. Where a step is held against the objectives, its rule
    counts as unknown: there is no ``predicted.*``, and direction.guard corrects along plain gradients.
    """

    lr: LearningRate = "auto"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    update: Update = "plain"
    paged: bool = False
    drift: float = DRIFT

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        check_rule(self.lr, self.drift, self.weight_decay, self.warmup_steps)
        check_moments(self.betas, self.eps)

    def check(self, device: torch.device) -> None:
        """Refuse a machine that cannot run it, before a model is loaded. Raises RequestError."""
        name = "paged_adamw_8bit" if self.paged else "adamw_8bit"
        if importlib.util.find_spec("bitsandbytes") is None:
            raise RequestError(
                f"optimizer={name} needs the package bitsandbytes, found none; "
                'run pip install "mollm-unlearn[adamw-8bit]", or set optimizer=adamw'
            )
        if device.type != "cuda":
            raise RequestError(f"optimizer={name} needs a CUDA device, found {device}; set optimizer=adamw")

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """bitsandbytes' AdamW8bit or PagedAdamW8bit."""
        import bitsandbytes

        from mollm_cli.optimizers.float32_update import updating

        rule = bitsandbytes.optim.PagedAdamW8bit if self.paged else bitsandbytes.optim.AdamW8bit
        lr = number(self.lr, ADAM_RATE)
        built = rule(list(parameters), lr=lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay)
        return updating(built, self.update)

    def rate(self, step: int, total_steps: int) -> float:
        """The learning rate of the 1-based ``step``."""
        return scheduled(number(self.lr, ADAM_RATE), self.schedule, self.warmup_steps, step, total_steps)
