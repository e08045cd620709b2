"""CE-U: cross-entropy on forget to the model's own distribution without the label."""

from __future__ import annotations

import functools

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.label_excluded_cross_entropy import label_excluded_cross_entropy
from mollm_cli.objectives.label_log_probs import on


def ceu(skip: int = 1, forget_weight: float = 1.0) -> Loss:
    """One row: mean CE(z, softmax(z with the label's logit at -inf)) on forget, the second a constant.

    skip: the number of first tokens of an answer that are left alone (CE-U skips one).

    Source: CE-U, arXiv 2503.01224.
    Raises ValueError.
    """
    if skip < 0:
        raise ValueError(f"loss.skip must be >= 0, found {skip}")
    forget = on("forget", functools.partial(label_excluded_cross_entropy, skip=skip))
    return Loss("ceu", (Objective("label_excluded_cross_entropy", ("forget",), forget, weight=forget_weight),))
