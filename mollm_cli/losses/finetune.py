"""Fine-tuning: cross-entropy on the rows of each role that is trained on."""

from __future__ import annotations

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.label_log_probs import on


def finetune() -> Loss:
    """One row: mean nll on the stream of all trained rows, which the engine feeds as the role ``retain``."""
    return Loss("finetune", (Objective("cross_entropy", ("retain",), on("retain", cross_entropy)),), ("weighted_sum",))
