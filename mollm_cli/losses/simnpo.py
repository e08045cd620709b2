"""SimNPO: simple negative preference on forget, cross-entropy on retain."""

from __future__ import annotations

import functools

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.objectives.simple_negative_preference import simple_negative_preference


def simnpo(beta: float = 4.5, gamma: float = 0.0, forget_weight: float = 0.125, retain_weight: float = 1.0) -> Loss:
    """Two rows: -(2 / beta) mean_i log sigmoid(-(beta / |y_i|) log pi(y_i) - gamma) on forget, CE on retain.

    beta: the larger, the sooner an answer counts as forgotten, per nat of its mean token log-probability.
    gamma: the margin.

    There is no reference model. Source: Fan et al., arXiv 2410.07163. Raises ValueError.
    """
    if not beta > 0:
        raise ValueError(f"loss.beta must be > 0, found {beta}")
    forget = on("forget", functools.partial(simple_negative_preference, beta=beta, gamma=gamma))
    return Loss(
        "simnpo",
        (
            Objective("simple_negative_preference", ("forget",), forget, unit="sequence", weight=forget_weight),
            Objective("cross_entropy", ("retain",), on("retain", cross_entropy), weight=retain_weight),
        ),
    )
