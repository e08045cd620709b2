"""The numbers of metrics.json as rows: a metric on a set, before, after and of the oracle, and its movement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mollm_cli.core.printable import printable
from mollm_cli.core.types import COUNTERFACTUAL
from mollm_cli.reporting.formatting import finite, label, number

Movement = Literal["better", "worse", "past", "same", "unknown"]
Interval = tuple[float, float]

SIGN: dict[Movement, str] = {"better": "✓", "worse": "✗", "past": "↧", "same": "≈", "unknown": ""}
"""The signs of changes, for readers to whom colour is not enough."""

COLUMNS = {"before": "before", "after": "after", "oracle": "oracle", "holdout": "never seen"}
"""The possible columns of a table and their headings; holdout: the starting model on rows that no training saw."""

FORGET_SETS = ("forget", "forget_test")
SIDE_BY_SIDE = (("forget", "retain"), ("forget_test", "retain_test"))
"""The sets shown side by side: rows trained on, and rows of the same kind that were never trained on."""

ATTACK = "attack_"
"""The beginning of flat names under an attack."""

_DETAILS = {"robustness": "gain of the oracle / of this model"}
"""Names of details whose keys alone would mislead. robustness: 1 if both models gain alike (evaluation/attacks)."""

NO_POWER = "no power"
"""The word in a metric's details for too few rows."""

SAME = 0.02
"""Two values this close, relative to the larger, count as the same."""

PAST = 0.1
"""A value has gone past its yardstick if it lies beyond it by more than this share of its original distance."""

METRICS = ("probability", "rouge_l", "exact_memorization", "truth_ratio", "perplexity")
SETS = ("forget", "retain", "forget_test", "retain_test", "holdout", COUNTERFACTUAL)
"""The reading order; other names follow."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric on one set ("" for a number about the whole model).

    yardstick: the value that forgetting aims at.
    holdout: on the forget side, the starting model's value on rows never seen.
    intervals, details: by moment ("after").
    rows: by moment, how many rows have a value, and of how many.
    """

    name: str
    metric: str
    set: str
    unit: str
    better: str
    before: float | None
    after: float | None
    oracle: float | None
    yardstick: float | None
    holdout: float | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Set and metric for readers."""
        return f"{label(self.set)} · {label(self.metric)}" if self.set else label(self.metric)

    def value(self, moment: str) -> float | None:
        """The value of a column: before, after, oracle or holdout."""
        found: float | None = getattr(self, moment)
        return found

    @property
    def note(self) -> str:
        """A note on the value after, such as "1 of 4 rows have a value" or "no power, D 0.12, n 40"; "" for none."""
        found = self.details.get("after") or self.details.get("before") or {}
        first = [self.partial] if self.partial else []
        first += [printable(value, one_line=True) for name, value in found.items() if name == "power"]
        return ", ".join(first + [_detail(name, value) for name, value in found.items() if name != "power"])

    @property
    def partial(self) -> str:
        """The number of rows with a value, if not all have one at every moment; else ""."""
        counts = {moment: f"{valued} of {of}" for moment, (valued, of) in self.rows.items()}
        if all(valued == of for valued, of in self.rows.values()):
            return ""
        if len(set(counts.values())) == 1:
            return f"{next(iter(counts.values()))} rows have a value"
        return f"rows with a value: {', '.join(f'{moment} {count}' for moment, count in counts.items())}"

    @property
    def powerless(self) -> bool:
        """True if the value after says nothing because there were too few rows."""
        return (self.details.get("after") or {}).get("power") == NO_POWER

    @property
    def change(self) -> Movement:
        """The change from before to after; on the forget side, toward the yardstick is better.

        past: it came down to the yardstick and went on. A ``powerless`` value's change is unknown.
        """
        if self.before is None or self.after is None or self.powerless:
            return "unknown"
        past = False
        if self.better == "toward_yardstick":
            if self.yardstick is None:
                return "unknown"
            gain = abs(self.before - self.yardstick) - abs(self.after - self.yardstick)
            past = self._past(self.before, self.after, self.yardstick)
        elif self.better in ("higher", "lower"):
            gain = (self.after - self.before) * (1 if self.better == "higher" else -1)
        else:
            return "unknown"
        same = SAME * max(abs(self.before), abs(self.after))
        if gain < -same:
            return "worse"
        return "past" if past else "better" if gain > same else "same"

    @property
    def change_word(self) -> str:
        """``change`` as a word; on the forget side, a distance, "closer", "further" and "past it"."""
        if self.better == "toward_yardstick":
            distances = {"better": "closer", "worse": "further", "past": "past it"}
            return distances.get(self.change, "" if self.change == "unknown" else self.change)
        return "" if self.change == "unknown" else self.change

    def _past(self, before: float, after: float, aim: float) -> bool:
        """True if ``after`` lies beyond ``aim``, and so does its interval, if it has one."""
        low, high = self.intervals.get("after", (after, after))
        crossed = (before - aim) * (after - aim) < 0
        return crossed and not low <= aim <= high and abs(after - aim) > PAST * abs(before - aim)


def measures(metrics: Mapping[str, Any]) -> list[Measure]:
    """Every flat name of metrics.json as a Measure, metrics and sets in reading order."""
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
                holdout=holdout(metrics, name),
                intervals=intervals(metrics, name),
                details=_by_moment(metrics.get("details"), name),
                rows=counted(metrics, name),
            )
        )
    return sorted(rows, key=lambda row: (_place(row.metric, METRICS), row.metric, _place(row.set, SETS), row.set))


def of_set(rows: Iterable[Measure], group: str) -> dict[str, Measure]:
    """The measures on the set ``group``, by metric."""
    return {row.metric: row for row in rows if row.set == group}


def others(rows: Iterable[Measure]) -> list[Measure]:
    """The measures outside the side-by-side tables: other sets by name, then numbers about the whole model.

    Measures under an attack are left out; reporting/attack_tables.py has them.
    """
    paired = {group for pair in SIDE_BY_SIDE for group in pair}
    rest = [row for row in rows if row.set not in paired and not row.name.startswith(ATTACK)]
    return sorted(rest, key=lambda row: (row.set == "", row.set))


def columns(found: Iterable[Measure]) -> tuple[str, ...]:
    """The columns that a table of these measures needs: "after", and those of before, oracle, holdout with a value."""
    rows = list(found)
    return tuple(m for m in COLUMNS if m == "after" or any(row.value(m) is not None for row in rows))


def yardstick(metrics: Mapping[str, Any], name: str) -> float | None:
    """The yardstick of ``name`` on the forget side: the oracle's value, else the start's on other rows, else None."""
    if metrics.get("oracle"):
        return finite(metrics["oracle"].get(name))
    if metrics.get("yardstick") == COUNTERFACTUAL:
        return finite((metrics.get("before") or {}).get(f"{COUNTERFACTUAL}_{name.removeprefix('forget_')}"))
    return holdout(metrics, name) if metrics.get("yardstick") == "holdout" else None


def holdout(metrics: Mapping[str, Any], name: str) -> float | None:
    """The starting model's value on rows never seen, for a flat name of the forget side; else None."""
    return finite((metrics.get("before") or {}).get(_on_holdout(name)))


def intervals(metrics: Mapping[str, Any], name: str) -> dict[str, Interval]:
    """The 95 % intervals of ``name`` by moment: before, after, oracle, and holdout as ``holdout`` has it."""
    found = {moment: _interval(value) for moment, value in _by_moment(metrics.get("intervals"), name).items()}
    found["holdout"] = _interval(((metrics.get("intervals") or {}).get("before") or {}).get(_on_holdout(name)))
    return {moment: interval for moment, interval in found.items() if interval is not None}


def counted(metrics: Mapping[str, Any], name: str) -> dict[str, tuple[int, int]]:
    """By moment, how many rows have a value of ``name``, and of how many; {} in a run that did not count them."""
    found = {moment: value for moment, value in _by_moment(metrics.get("rows"), name).items() if _is_count(value)}
    return {moment: (int(value[0]), int(value[1])) for moment, value in found.items()}


def rows_of_sets(found: Iterable[Measure]) -> str:
    """A sentence on the rows of each set: "Rows: forget 40, retain 360. A number is of all of them unless ..."."""
    sizes: dict[str, int] = {}
    for row in found:
        if row.set and row.rows and not row.name.startswith(ATTACK):
            sizes[row.set] = max([sizes.get(row.set, 0), *(of for _, of in row.rows.values())])
    named = ", ".join(f"{label(name)} {number(of)}" for name, of in sizes.items())
    return f"Rows: {named}. A number is that of all rows of its set, unless it says of how many." if named else ""


def _is_count(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, int) for part in value)


def _on_holdout(name: str) -> str:
    """The flat name on holdout rows that matches ``name`` of the forget side; "" for any other."""
    for group in ("forget_test_", "forget_"):
        if name.startswith(group) and name != "forget_quality":
            return f"holdout_{name.removeprefix(group)}"
    return ""


def _by_moment(part: Any, name: str) -> dict[str, Any]:
    """By moment, the entry ``name`` of "intervals" or "details"."""
    return {moment: values[name] for moment, values in (part or {}).items() if values and name in values}


def _interval(value: Any) -> Interval | None:
    """[low, high] as a pair if both are finite numbers, else None."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = finite(value[0]), finite(value[1])
    return None if low is None or high is None else (low, high)


def _detail(name: str, value: Any) -> str:
    shown = number(value) if isinstance(value, int | float) else printable(value, one_line=True)
    return f"{_DETAILS.get(name) or label(name)} {shown}"


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
