"""GA: gradient ascent on the forget rows."""

from __future__ import annotations

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.gradient_ascent import gradient_ascent
from mollm_cli.objectives.label_log_probs import on


def ga(forget_weight: float = 1.0) -> Loss:
    """One row: -mean nll on forget (Jang et al., arXiv 2210.01504). Unbounded below: it explodes unless stopped."""
    return Loss("ga", (Objective("gradient_ascent", ("forget",), on("forget", gradient_ascent), weight=forget_weight),))
