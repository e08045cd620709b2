"""The numbers of metrics.json as rows: a metric on a set, before, after and of the oracle, and which way it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mollm_cli.reporting.words import finite, label

Change = Literal["better", "worse", "same", "unknown"]

SIGN: dict[Change, str] = {"better": "✓", "worse": "✗", "same": "≈", "unknown": ""}
"""How a change is told where colour is not enough."""

FORGET_SETS = ("forget", "forget_test")
SIDE_BY_SIDE = (("forget", "retain"), ("forget_test", "retain_test"))
"""The sets that stand beside each other: rows trained on, and rows of the same kind that were never trained on."""

SAME = 0.02
"""Two values this close, relative to the larger, count as the same."""

METRICS = ("probability", "rouge_l", "exact_memorization", "truth_ratio", "perplexity")
SETS = ("forget", "retain", "forget_test", "retain_test", "holdout")
"""The order in which people read; what is not named comes after."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric on one set ("" for a number about the whole model); ``yardstick`` is what forgetting aims at."""

    name: str
    metric: str
    set: str
    unit: str
    better: str
    before: float | None
    after: float | None
    oracle: float | None
    yardstick: float | None

    @property
    def title(self) -> str:
        """Set and metric in words."""
        return f"{label(self.set)} · {label(self.metric)}" if self.set else label(self.metric)

    @property
    def change(self) -> Change:
        """From before to after: on the forget side toward the yardstick is better, elsewhere the metric's own way."""
        if self.before is None or self.after is None:
            return "unknown"
        if self.better == "toward_yardstick":
            if self.yardstick is None:
                return "unknown"
            gain = abs(self.before - self.yardstick) - abs(self.after - self.yardstick)
        elif self.better in ("higher", "lower"):
            gain = (self.after - self.before) * (1 if self.better == "higher" else -1)
        else:
            return "unknown"
        if abs(gain) <= SAME * max(abs(self.before), abs(self.after)):
            return "same"
        return "better" if gain > 0 else "worse"

    @property
    def change_word(self) -> str:
        """``change`` as a word; on the forget side "closer" and "further", for it is a distance."""
        if self.better == "toward_yardstick":
            return {"better": "closer", "worse": "further", "same": "same", "unknown": ""}[self.change]
        return "" if self.change == "unknown" else self.change


def measures(metrics: Mapping[str, Any]) -> list[Measure]:
    """Every flat name of metrics.json as a Measure; metrics and sets in the order people read them."""
    before, after, oracle = (metrics.get(part) or {} for part in ("before", "after", "oracle"))
    rows = []
    for name in dict.fromkeys([*after, *before, *oracle]):
        info = (metrics.get("metrics") or {}).get(name) or {}
        metric, group = _split(name, info)
        rows.append(
            Measure(
                name=name,
                metric=metric,
                set=group,
                unit=str(info.get("unit") or ""),
                better=str(info.get("better") or ("toward_yardstick" if group in FORGET_SETS else "")),
                before=finite(before.get(name)),
                after=finite(after.get(name)),
                oracle=finite(oracle.get(name)),
                yardstick=yardstick(metrics, name),
            )
        )
    return sorted(rows, key=lambda row: (_place(row.metric, METRICS), row.metric, _place(row.set, SETS), row.set))


def of_set(rows: Iterable[Measure], group: str) -> dict[str, Measure]:
    """The measures on the set ``group``, by metric."""
    return {row.metric: row for row in rows if row.set == group}


def others(rows: Iterable[Measure]) -> list[Measure]:
    """The measures that stand in no side-by-side table: other sets by name, then numbers about the whole model."""
    paired = {group for pair in SIDE_BY_SIDE for group in pair}
    rest = [row for row in rows if row.set not in paired]
    return sorted(rest, key=lambda row: (row.set == "", row.set))


def yardstick(metrics: Mapping[str, Any], name: str) -> float | None:
    """What ``name`` should come to on the forget side: the oracle's value; else the start's on holdout; else None."""
    if metrics.get("oracle"):
        return finite(metrics["oracle"].get(name))
    if metrics.get("yardstick") != "holdout" or not name.startswith("forget"):
        return None
    metric = name.removeprefix("forget_test").removeprefix("forget")
    return finite((metrics.get("before") or {}).get(f"holdout{metric}"))


def _split(name: str, info: Mapping[str, Any]) -> tuple[str, str]:
    """(metric, set) of a flat name; a name that is a metric of its own, such as forget_quality, belongs to no set."""
    metric = str(info.get("metric") or "")
    if metric == name or name == "forget_quality":
        return name, ""
    if metric and info.get("set"):
        return metric, str(info["set"])
    for group in ("forget_test", "retain_test", "forget", "retain", "holdout"):
        if name.startswith(f"{group}_"):
            return name.removeprefix(f"{group}_"), group
    return metric or name, ""


def _place(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)
