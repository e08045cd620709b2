"""SatImp: gradient ascent on forget weighted by saturation and importance, cross-entropy on retain."""

from __future__ import annotations

import functools

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.objectives.saturation_importance import saturation_importance


def satimp(beta1: float = 5.0, beta2: float = 1.0, forget_weight: float = 0.1, retain_weight: float = 1.0) -> Loss:
    """Two rows: -mean p_t^beta1 (1 - p_t)^beta2 nll_t on forget, both factors constants; CE on retain.

    beta1: the larger, the sooner a forgotten token is let go, >= 0.
    beta2: the larger, the more tokens that are certain anyway are spared, >= 0.

    Source: Yang et al., arXiv 2505.11953. Raises ValueError.
    """
    if not (beta1 >= 0 and beta2 >= 0):
        raise ValueError(f"loss.beta1 and loss.beta2 must be >= 0, found {beta1} and {beta2}")
    forget = on("forget", functools.partial(saturation_importance, beta1=beta1, beta2=beta2))
    return Loss(
        "satimp",
        (
            Objective("saturation_importance", ("forget",), forget, weight=forget_weight),
            Objective("cross_entropy", ("retain",), on("retain", cross_entropy), weight=retain_weight),
        ),
    )
