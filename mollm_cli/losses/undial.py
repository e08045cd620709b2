"""UNDIAL: distillation from the starting model with the label's logit lowered."""

from __future__ import annotations

import functools

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.adjusted_distillation import adjusted_distillation
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.label_log_probs import on


def undial(beta: float = 10.0, forget_weight: float = 1.0, retain_weight: float = 0.0) -> Loss:
    """One row: mean CE(theta, softmax(z_ref - beta onehot(y))) on forget; a second, CE on retain, where it weighs.

    beta: taken from the label's logit, >= 0.

    The loss is bounded below, so it stops by itself. Source: Dong et al., arXiv 2402.10052; without retain rows, as
    OpenUnlearning has it. Raises ValueError.
    """
    if not beta >= 0:
        raise ValueError(f"loss.beta must be >= 0, found {beta}")
    forget = on("forget", functools.partial(adjusted_distillation, beta=beta))
    return Loss(
        "undial",
        (
            Objective("adjusted_distillation", ("forget",), forget, reference=True, weight=forget_weight),
            Objective("cross_entropy", ("retain",), on("retain", cross_entropy), weight=retain_weight),
        ),
    )
