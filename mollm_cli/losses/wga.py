"""WGA: gradient ascent on forget with weights that let go of forgotten tokens, cross-entropy on retain."""

from __future__ import annotations

import functools

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.objectives.weighted_gradient_ascent import weighted_gradient_ascent


def wga(beta: float = 1.0, forget_weight: float = 1.0, retain_weight: float = 1.0) -> Loss:
    """Two rows: -mean p_t^beta nll_t on forget, p_t a constant in the factor; CE on retain.

    beta: the larger, the sooner a token is let go, >= 0; 0 is grad_diff.

    Source: Wang et al., arXiv 2502.19301. Raises ValueError.
    """
    if not beta >= 0:
        raise ValueError(f"loss.beta must be >= 0, found {beta}")
    forget = on("forget", functools.partial(weighted_gradient_ascent, beta=beta))
    return Loss(
        "wga",
        (
            Objective("weighted_gradient_ascent", ("forget",), forget, weight=forget_weight),
            Objective("cross_entropy", ("retain",), on("retain", cross_entropy), weight=retain_weight),
        ),
    )
