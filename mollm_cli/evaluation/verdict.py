"""The verdict on a run: is the forget set forgotten as if never seen, and is the rest kept?"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from mollm_cli.core.types import PROBES, Scored
from mollm_cli.evaluation.drift import Drift
from mollm_cli.evaluation.metric_plan import forget_side
from mollm_cli.evaluation.ratio_interval import LogRatio, Place, of_mean, of_means, paired

if TYPE_CHECKING:
    from mollm_cli.evaluation.measuring import Evaluation
    from mollm_cli.evaluation.suite import Suite

Yardstick = Literal["oracle", "holdout", "counterfactual", "none"]
Forgotten = Literal["under", "matched", "over", "exposed", "unknown"]
Kept = Literal["kept", "damaged", "taught", "kept_on_trained_rows_only", "unknown"]

AUDIBLE = 0.01
"""A probability a token below which an answer is not heard, however often it is asked for."""

DRIFTED = ("damaged", "taught")
"""The retain verdicts that say the rest has moved."""


def yardstick(before: Evaluation | None, oracle: Evaluation | None) -> tuple[Yardstick, float | None]:
    """The yardstick of the forget probability: the oracle's, else the starting model's on holdout rows, else none.

    The last before none is the starting model's on counterfactual rows, which there are where holdout rows are not.
    """
    if oracle is not None and (value := oracle.values.get("forget_probability")) is not None:
        return "oracle", value
    names: tuple[Yardstick, ...] = ("holdout", "counterfactual")
    for name in names:
        if before is not None and (value := before.values.get(f"{name}_probability")) is not None:
            return name, value
    return "none", None


def forget_verdict(found: LogRatio | None, factor: float) -> Forgotten:
    """The place of log(mean forget probability / yardstick) and its interval (evaluation/ratio_interval.py).

    matched: the interval lies within +- log(factor), and every row has a value.
    under, over: it lies wholly above, or below, that; so even where the yardstick is small.
    unknown: otherwise, and without a yardstick or without rows.
    """
    words: dict[str, Forgotten] = {"within": "matched", "above": "under", "below": "over"}
    place = None if found is None else found.place(-math.log(factor), math.log(factor))
    return "unknown" if place is None else words[place]


def rose(found: LogRatio, after: float, bound: float) -> bool:
    """True of probes whose mean probability rose by more than ``bound`` nats, the whole interval of it, to ``after``.

    Below AUDIBLE it does not count. One such set makes the verdict exposed: not the rows were forgotten but their
    manner of asking, whatever the rows themselves say.
    """
    return after >= AUDIBLE and found.place(-bound, bound) == "above"


def retain_verdict(
    unseen: Iterable[LogRatio], trained: Iterable[LogRatio], share: float, drift: Sequence[Place | None] = ()
) -> Kept:
    """The verdict on sets that the run did not train on, and on those it did, by their rows' mean log(after / before).

    drift: where KL and plain answers lie beside their bounds (evaluation/drift.py).

    damaged: the interval of some set lies below log(share); or one of ``drift`` beyond its bound, however likely the
    rows are: a model can keep them and say something else to all that they do not mention.
    taught: that of some unseen set lies above -log(share): a rise is drift like a fall. Of trained rows it counts
    where there are no unseen ones; otherwise the unseen ones tell whether it was more than these rows.
    kept: that of every unseen set lies between the two, and all of ``drift`` within its bounds.
    kept_on_trained_rows_only: there are no unseen rows, and the trained ones lie between the two, the same of
    ``drift``.
    unknown: otherwise; every word needs an interval that excludes the others.
    """
    bound = -math.log(share)
    new = [found.place(-bound, bound) for found in unseen]
    known = [found.place(-bound, bound) for found in trained]
    if "below" in (*new, *known, *drift) or "above" in drift:
        return "damaged"
    places = new or known
    if "above" in places:
        return "taught"
    if not places or any(place != "within" for place in (*places, *drift)):
        return "unknown"
    return "kept" if new else "kept_on_trained_rows_only"


def judge(
    before: Evaluation | None,
    after: Evaluation,
    oracle: Evaluation | None,
    suite: Suite,
    mixed: Collection[str] = (),
    drift: Drift | None = None,
) -> tuple[Yardstick, dict[str, str], dict[str, Any]]:
    """The yardstick's name, the verdict on forget and retain, and its grounds, for metrics.json.

    mixed: sets that were trained on beside ``retain``.
    drift: of the model from its start, where that was measured.
    grounds: under "forget" and, by set, under "retain" and "probes", as ``LogRatio.told`` has them; "kl" and "answers"
    as ``Drift.told`` does.
    """
    name, target = yardstick(before, oracle)
    forget = of_mean(after.per_example.get("forget", {}).get("probability", []), target)
    unseen, trained = (
        {} if before is None else _moved(before, after, names) for names in sides(after.scored, suite, mixed)
    )
    probes = {} if before is None else _probed(before, after, -math.log(suite.retain_share))
    drift = drift or Drift()
    bound, width = -math.log(suite.retain_share), math.log(suite.factor)
    return (
        name,
        {
            "forget": "exposed"
            if any(each["rose"] for each in probes.values())
            else forget_verdict(forget, suite.factor),
            "retain": retain_verdict(
                unseen.values(),
                trained.values(),
                suite.retain_share,
                drift.places(suite.kept_kl, suite.kept_answers),
            ),
        },
        {
            "forget": None if forget is None else forget.told(-width, width),
            "probes": probes,
            "retain": {
                name: {**found.told(-bound, bound), "trained": name in trained}
                for name, found in (unseen | trained).items()
            },
            **drift.told(suite.kept_kl, suite.kept_answers),
        },
    )


def _probed(before: Evaluation, after: Evaluation, bound: float) -> dict[str, dict[str, Any]]:
    """The grounds of each set of probes: log(mean probability after / before), and whether that ``rose``."""
    grounds = {}
    for name in (name for name in after.scored if name.startswith(PROBES) and name in before.scored):
        there, then = _probabilities(before.scored[name]), _probabilities(after.scored[name])
        if found := of_means(there, then):
            grounds[name] = {**found.told(-bound, bound), "rose": rose(found, fmean(then), bound)}
    return grounds


def _probabilities(scored: Sequence[Scored]) -> list[float]:
    return [math.exp(each.answer_log_prob) for each in scored]


def sides(scored: Mapping[str, Sequence[Scored]], suite: Suite, mixed: Collection[str]) -> tuple[list[str], list[str]]:
    """The names of the sets on the retain side that were not trained on, and of those that were."""
    trained = [name for name in scored if name == "retain" or name in mixed]
    new = [name for name, rows in scored.items() if name not in trained and _kept_on(name, rows, suite)]
    return new, trained


def _kept_on(name: str, scored: Sequence[Scored], suite: Suite) -> bool:
    """True of a set that ``evaluation.kept_on`` names, and of plain text without a role in forgetting."""
    named = any(fnmatchcase(name, pattern) for pattern in suite.kept_on)
    return not forget_side(name) and (named or not any(each.example.prompt for each in scored))


def _moved(before: Evaluation, after: Evaluation, names: Iterable[str]) -> dict[str, LogRatio]:
    """By set, how the rows' mean token log-probabilities moved, row by row."""
    found: dict[str, LogRatio | None] = {
        name: paired(_log_probs(before.scored[name]), _log_probs(after.scored[name]))
        for name in names
        if name in before.scored
    }
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def _log_probs(scored: Sequence[Scored]) -> list[float]:
    return [each.answer_log_prob for each in scored]
