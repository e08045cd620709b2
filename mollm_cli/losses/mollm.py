"""MOLLM: unlearning cross-entropy, retain cross-entropy and KL as three objectives with a common descent direction."""

from __future__ import annotations

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy import cross_entropy, reference_cross_entropy
from mollm_cli.objectives.forward_kl import forward_kl
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.objectives.unlearning_cross_entropy import unlearning_cross_entropy


def mollm(
    forget_weight: float = 1.0, retain_weight: float = 8.0, kl_weight: float = 1.0, alternate_weight: float = 0.0
) -> Loss:
    """Three rows: UCE on forget, cross-entropy and KL(ref || theta) on retain (Pan et al., arXiv 2412.20412).

    A fourth row, ours, where alternate_weight > 0: cross-entropy on alternate, the answers to give instead.

    The paper's abstract fixes the three objectives and the common descent direction; its equations were not available
    to us. UCE and the direction programme are read from the same authors' FedOSD and FedLF: see docs/METHODS.md.
    """
    return Loss(
        "mollm",
        (
            Objective(
                "unlearning_cross_entropy", ("forget",), on("forget", unlearning_cross_entropy), weight=forget_weight
            ),
            Objective(
                "cross_entropy",
                ("retain",),
                on("retain", cross_entropy),
                weight=retain_weight,
                start=on("retain", reference_cross_entropy) if kl_weight > 0 else None,
            ),
            Objective(
                "forward_kl", ("retain",), on("retain", forward_kl), reference=True, divergence=True, weight=kl_weight
            ),
            Objective(
                "alternate_cross_entropy", ("alternate",), on("alternate", cross_entropy), weight=alternate_weight
            ),
        ),
    )
