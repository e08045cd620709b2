"""GA+mismatch+KL: ascent on forget, other answers to its prompts, KL to the starting model on retain."""

from __future__ import annotations

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.forward_kl import forward_kl
from mollm_cli.objectives.gradient_ascent import gradient_ascent
from mollm_cli.objectives.label_log_probs import on


def ga_mismatch_kl(forget_weight: float = 0.5, alternate_weight: float = 1.0, kl_weight: float = 1.0) -> Loss:
    """Three rows: -mean nll on forget, mean nll on alternate (unrelated answers to the forget prompts), KL on retain.

    The weights are those of the code of Yao et al., arXiv 2310.10683, which draws K = 5 unrelated answers to each
    prompt anew at every step. Here they are the rows of data.alternate, as many per prompt as that set has.
    """
    return Loss(
        "ga_mismatch_kl",
        (
            Objective("gradient_ascent", ("forget",), on("forget", gradient_ascent), weight=forget_weight),
            Objective(
                "alternate_cross_entropy", ("alternate",), on("alternate", cross_entropy), weight=alternate_weight
            ),
            Objective(
                "forward_kl", ("retain",), on("retain", forward_kl), reference=True, divergence=True, weight=kl_weight
            ),
        ),
    )
