"""MOLLM in two rows: the retain side's cross-entropy and KL are one objective."""

from __future__ import annotations

import functools

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy_and_kl import cross_entropy_and_kl
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.objectives.unlearning_cross_entropy import unlearning_cross_entropy


def mollm_pair(kl_share: float = 1.0, forget_weight: float = 1.0, retain_weight: float = 8.0) -> Loss:
    """Two rows: UCE on forget, CE + kl_share KL(ref || theta) on retain; one backward less than mollm. Ours.

    kl_share: the weight of a nat of KL against one of cross-entropy, >= 0.

    Raises ValueError.
    """
    if not kl_share >= 0:
        raise ValueError(f"loss.kl_share must be >= 0, found {kl_share}")
    retain = on("retain", functools.partial(cross_entropy_and_kl, kl_share=kl_share))
    return Loss(
        "mollm_pair",
        (
            Objective(
                "unlearning_cross_entropy", ("forget",), on("forget", unlearning_cross_entropy), weight=forget_weight
            ),
            Objective("cross_entropy_and_kl", ("retain",), retain, reference=True, weight=retain_weight),
        ),
    )
