"""NPO: negative preference on forget, cross-entropy or KL on retain."""

from __future__ import annotations

import functools
from typing import Literal

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.forward_kl import forward_kl
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.objectives.negative_preference import negative_preference


def npo(
    beta: float = 0.1, retain: Literal["ce", "kl"] = "ce", forget_weight: float = 1.0, retain_weight: float = 1.0
) -> Loss:
    """Two rows: -(2 / beta) mean_i log sigmoid(-beta (log pi(y_i) - log pi_ref(y_i))) on forget, CE or KL on retain.

    beta: the larger, the sooner a sequence counts as forgotten, per nat of its sum; -> 0 is gradient ascent on
        sequence sums.
    retain: "ce" is the paper's NPO+RT, "kl" its NPO+KL.
    retain_weight: 0 is the paper's plain NPO.

    The forget row is a mean over sequences of sums over tokens, the retain row a mean over tokens, and both weigh 1, as
    the authors publish it. Our KL(ref || theta) runs over target tokens only, that of the authors' code over prompts
    and padding too. Source: Zhang et al., arXiv 2404.05868. Raises ValueError.
    """
    if not beta > 0:
        raise ValueError(f"loss.beta must be > 0, found {beta}")
    if retain not in ("ce", "kl"):
        raise ValueError(f"loss.retain must be ce or kl, found '{retain}'")
    forget = on("forget", functools.partial(negative_preference, beta=beta))
    return Loss(
        "npo",
        (
            Objective(
                "negative_preference", ("forget",), forget, unit="sequence", reference=True, weight=forget_weight
            ),
            Objective("cross_entropy", ("retain",), on("retain", cross_entropy), weight=retain_weight)
            if retain == "ce"
            else Objective(
                "forward_kl",
                ("retain",),
                on("retain", forward_kl),
                reference=True,
                divergence=True,
                weight=retain_weight,
            ),
        ),
    )
