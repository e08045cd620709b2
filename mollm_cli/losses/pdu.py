"""PDU: the logits of forget answers are flattened, retain cross-entropy stays below a bound."""

from __future__ import annotations

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.cross_entropy import cross_entropy
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.objectives.logit_spread import logit_spread


def pdu(eps: float | None = None, forget_weight: float = 1.0, retain_weight: float = 100.0) -> Loss:
    """Two rows: mean_t (max_v z - mean_v z)^2 on forget, subject to mean nll <= eps on retain (solver primal_dual).

    eps: nats per retain token, required.
    retain_weight: the multiplier with which the constraint starts.

    Source: Entesari et al., arXiv 2506.05314. Raises ValueError.
    """
    if eps is None or not eps > 0:
        raise ValueError(
            f"loss.eps must be > 0, the nats per token that retain cross-entropy may cost, found {eps}; set "
            "loss.eps=NUMBER, somewhat above the loss.cross_entropy of a run's first step (the authors' on TOFU: 0.3)"
        )
    return Loss(
        "pdu",
        (
            Objective("logit_spread", ("forget",), on("forget", logit_spread), weight=forget_weight),
            Objective("cross_entropy", ("retain",), on("retain", cross_entropy), weight=retain_weight, bound=eps),
        ),
        solvers=("primal_dual",),
    )
