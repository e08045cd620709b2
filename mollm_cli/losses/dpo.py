"""DPO: another answer is preferred to the one to forget, cross-entropy on retain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mollm_cli.core.outputs import Outputs
from mollm_cli.core.types import Loss, Objective, Role
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.objectives.preference import preference

if TYPE_CHECKING:
    import torch


def dpo(beta: float = 0.1, forget_weight: float = 1.0, retain_weight: float = 1.0) -> Loss:
    """Two rows: -mean_i log sigmoid(beta (D_win,i - D_lose,i)) on alternate and forget together, CE on retain.

    beta: the weight of a nat of difference.

    D_i = log pi(y_i) - log pi_ref(y_i), summed over the answer. Alternate wins: a refusal (TOFU's DPO with "I don't
    know", arXiv 2401.06121) or another plausible answer (AltPO, arXiv 2409.13474); row i answers the prompt of row i.
    OpenUnlearning multiplies the forget row by 2 / beta: forget_weight=20. Raises ValueError.
    """
    if not beta > 0:
        raise ValueError(f"loss.beta must be > 0, found {beta}")

    def prefer(outputs: Mapping[Role, Outputs]) -> tuple[torch.Tensor, int]:
        return preference(outputs["alternate"], outputs["forget"], beta)

    return Loss(
        "dpo",
        (
            Objective(
                "preference", ("forget", "alternate"), prefer, unit="sequence", reference=True, weight=forget_weight
            ),
            Objective("cross_entropy", ("retain",), on("retain", cross_entropy), weight=retain_weight),
        ),
    )
