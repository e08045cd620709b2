"""Membership inference: seven scores that may give a forget row away, in one table, each read as an AUC.

A score is higher for rows that the model was trained on. Its AUC sets forget rows against holdout rows: .5 says that
the two look alike. What is right is the oracle's value, which need not be .5, because rows may differ in kind
(``mia_blind``). Membership inference is no proof of forgetting by itself.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.auc import SETS, separation

Score = Callable[[Scored, Scored | None], float | None]
"""A row, and the same row as the oracle scored it where the score needs that; None: the row has no score."""

SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True)
class MembershipInference:
    """The AUC of ``score``, forget rows as members against holdout rows, in [0, 1]."""

    name: str
    score: Score
    needs: frozenset[str] = frozenset()
    unit: ClassVar[str] = "AUC"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["toward_yardstick"]] = "toward_yardstick"
    sets: ClassVar[tuple[str, ...]] = SETS
    required: ClassVar[frozenset[str]] = frozenset(SETS)

    def compute_across(
        self, scored: Mapping[str, Sequence[Scored]], oracle: Mapping[str, Sequence[Scored]] | None
    ) -> Result:
        """The AUC, its interval, each forget row's score; None where the score needs an oracle that is not there."""
        beside = "oracle" in self.needs
        if beside and oracle is None:
            return Result(None)
        sides: list[list[float | None]] = []
        for name in SETS:
            rows = scored.get(name, ())
            others = oracle.get(name, ()) if beside and oracle is not None else [None] * len(rows)
            sides.append([self.score(row, other) for row, other in zip(rows, others, strict=True)])
        return separation(*sides)


def mia_loss() -> MembershipInference:
    """mean_t log p_t of the answer. Source: Yeom et al. (arXiv 1709.01604); MIMIR (arXiv 2402.07841)."""
    return MembershipInference("mia_loss", lambda row, _: row.answer_log_prob)


def mia_zlib() -> MembershipInference:
    """mean_t log p_t over the bytes that zlib makes of the answer. Source: Carlini et al. (arXiv 2012.07805).

    The nll is set against how much there is to say: compressed, a text has its length less what repeats. The text is
    the row's answer as it stands, also where ``max_tokens`` cut its tokens.
    """
    return MembershipInference(
        "mia_zlib", lambda row, _: row.answer_log_prob / len(zlib.compress(row.example.answer.encode()))
    )


def mia_min_k(k: float = 0.2) -> MembershipInference:
    """The mean log p of the share ``k`` of tokens that are least likely. Source: Min-K% Prob (arXiv 2310.16789).

    At least one token is taken, else floor(k n) of n. The paper takes k = 0.2, MUSE 0.4 (privacy_leakage). Raises
    ValueError unless k is in (0, 1].
    """
    check_share("mia_min_k", k)
    return MembershipInference("mia_min_k", lambda row, _: lowest_mean(row.log_probs, k))


def mia_min_k_plus_plus(k: float = 0.2) -> MembershipInference:
    """The mean of the lowest share ``k`` of z_t. Source: Zhang et al., Min-K%++ (arXiv 2404.02936).

    z_t = (log p_t - mean_v log p_v) / deviation_v log p_v, v drawn from the model at that place: is the token a peak
    among its rivals? A deviation below 1e-6 counts as that. Raises ValueError as ``mia_min_k`` does.
    """
    check_share("mia_min_k_plus_plus", k)
    return MembershipInference(
        "mia_min_k_plus_plus", lambda row, _: lowest_mean(_standardised(row), k), frozenset({"moments"})
    )


def mia_reference() -> MembershipInference:
    """mean_t log p_t less the oracle's. Source: Mireshghallah et al. (2203.03929); Carlini et al. (2112.03570).

    The oracle is the attack's reference model: how hard a row is in itself cancels. The oracle's own value is .5, as
    all its scores are 0.
    """
    return MembershipInference("mia_reference", _gain, frozenset({"oracle"}))


def mia_gradnorm() -> MembershipInference:
    """Minus the norm of the gradient of the answer's mean nll by all parameters; one backward pass per row.

    A model that has settled on a row no longer pulls at it. Source: Wang et al., Pandora's White-Box
    (arXiv 2402.17012), with the Euclidean norm.
    """
    return MembershipInference(
        "mia_gradnorm",
        lambda row, _: None if row.gradient_norm is None else -row.gradient_norm,
        frozenset({"gradient_norm"}),
    )


def mia_blind() -> MembershipInference:
    """The answer's length in characters, which is the same for every model. Source: Das et al. (arXiv 2406.16201).

    Far from .5, on either side, forget and holdout rows differ in kind, and the AUC of the other scores says little
    about memory: only a holdout with a value near .5 is matched.
    """
    return MembershipInference("mia_blind", lambda row, _: float(len(row.example.answer)))


def check_share(metric: str, k: float) -> None:
    """Raise ValueError unless ``k`` is a share of tokens."""
    if not 0 < k <= 1:
        raise ValueError(f"{metric}: k must be in (0, 1], found {k}; the usual share is 0.2")


def lowest_mean(values: Sequence[float], k: float) -> float:
    """The mean of the lowest max(1, floor(k n)) of n values."""
    taken = max(1, math.floor(k * len(values) + 1e-9))  # .3 * 10 is 2.999...
    return math.fsum(sorted(values)[:taken]) / taken


def _standardised(row: Scored) -> list[float]:
    moments = zip(row.log_probs, row.token_means, row.token_deviations, strict=True)
    return [(log_p - mean) / max(deviation, SMALLEST_DEVIATION) for log_p, mean, deviation in moments]


def _gain(row: Scored, other: Scored | None) -> float | None:
    return None if other is None else row.answer_log_prob - other.answer_log_prob
