"""Attacks as rows of a table: each attack's result beside its result on a model that never saw the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mollm_cli.core.printable import printable
from mollm_cli.reporting.bars import NEVER_SEEN, Bar, Bars
from mollm_cli.reporting.formatting import Mood, finite, label
from mollm_cli.reporting.measures import ATTACK, Interval, Measure
from mollm_cli.reporting.plots import Chart, Series

Point = tuple[float, Mapping[str, float]]

MEMBERSHIP = ("mia_", "privacy_leakage")
"""Beginnings of the names of membership-inference metrics."""

OTHER_ROWS = ("retain", "holdout")
"""Rows besides the forget rows that a curve may have; the names of their values begin so."""

UNIT = (0.0, 1.0)
_MOODS: dict[str, Mood] = {"held": "good", "recovered": "bad"}
_TONES = {"after": 1, "oracle": 0}


@dataclass(frozen=True, slots=True)
class AttackTable:
    """One attack.

    measure: the values of its headline metric under the attack.
    yardstick: the value that ``after`` was judged by.
    plain, plain_interval: the same model's value without the attack.
    holdout, holdout_interval: the attack's value on never-seen rows, from the starting model if only the question
    changes, else from the attacked model.
    curve: its points, by moment.
    """

    name: str
    kind: str
    what: str
    cost: str
    verdict: str
    measure: Measure
    yardstick: float | None
    plain: float | None
    plain_interval: Interval | None
    holdout: float | None
    holdout_interval: Interval | None
    x: str
    curve: Mapping[str, tuple[Point, ...]]

    @property
    def title(self) -> str:
        """The attack's name for people."""
        return label(self.name)

    @property
    def headline(self) -> str:
        """The name of the metric that decides, without the attack's name."""
        return self.measure.name.removeprefix(f"{ATTACK}{self.name}_")

    @property
    def mood(self) -> Mood:
        """Good only if the model withstood it, judged by a yardstick."""
        return "open" if self.yardstick is None else _MOODS.get(self.verdict, "open")

    @property
    def word(self) -> str:
        """The recorded verdict: held, recovered or unknown; always unknown without a yardstick."""
        return "unknown" if self.yardstick is None else self.verdict

    @property
    def bars(self) -> Bars:
        """The model's value under attack, beside the one without it and those of models and rows to compare with."""
        oracle, spans = self.measure.oracle, self.measure.intervals
        has_reference = oracle is not None or self.holdout is not None
        rows = (
            ("without it", self.plain, self.plain_interval, "start"),
            ("under attack", self.measure.after, spans.get("after"), "after"),
            ("oracle, attacked alike", oracle, spans.get("oracle"), "aim"),
            (f"{NEVER_SEEN}, attacked alike", self.holdout, self.holdout_interval, "aim"),
            ("yardstick", None if has_reference else self.yardstick, None, "aim"),
        )
        bars = tuple(Bar(title, value, span, kind) for title, value, span, kind in rows if value is not None)
        return Bars(label(self.headline), bars, note=self.measure.note)


@dataclass(frozen=True, slots=True)
class Rounding:
    """The values of a model whose weights were rounded to ``bits`` bits, by (moment, metric)."""

    bits: float
    values: Mapping[tuple[str, str], float]


def attacks(metrics: Mapping[str, Any], found: Sequence[Measure]) -> list[AttackTable]:
    """The attacks that were run: first those that recovered rows, then the unknown ones, then those that failed."""
    by_name = {measure.name: measure for measure in found}
    rows = [_attack(str(name), entry, metrics, by_name) for name, entry in (metrics.get("attacks") or {}).items()]
    return sorted(rows, key=lambda row: {"recovered": 0, "unknown": 1}.get(row.word, 2))


def under_attack(found: Iterable[Measure]) -> list[Measure]:
    """Every measure under an attack."""
    return sorted((row for row in found if row.name.startswith(ATTACK)), key=lambda row: row.name)


def is_membership(measure: Measure) -> bool:
    """True of a metric that tells members of the forget set from rows never seen."""
    return measure.metric.startswith(MEMBERSHIP)


def curves(rows: Iterable[AttackTable]) -> list[Chart]:
    """Charts over the steps of an attack, one per metric: the model beside the oracle, both attacked alike."""
    charts = []
    for row in rows:
        if row.x != "step":
            continue
        for metric in _metrics(row):
            series = tuple(
                Series(moment, tuple((x, values.get(metric)) for x, values in points), _TONES.get(moment, 2), dots=True)
                for moment, points in row.curve.items()
                if any(metric in values for _, values in points)
            )
            known = [y for line in series for _, y in line.points if y is not None]
            unit = UNIT if all(0 <= y <= 1 for y in known) else None
            side = next((group for group in OTHER_ROWS if metric.startswith(f"{group}_")), "forget")
            title = f"{row.title}: {label(metric.removeprefix(f'{side}_'))}, {side} rows"
            charts.append(Chart(title, "step of the attack", series, y_range=unit))
    return [chart for chart in charts if not chart.empty]


def roundings(rows: Iterable[AttackTable]) -> list[Rounding]:
    """The points of every attack that rounds weights, the most bits first."""
    found: dict[float, dict[tuple[str, str], float]] = {}
    for row in rows:
        for moment, points in row.curve.items() if row.x == "bits" else ():
            for bits, values in points:
                found.setdefault(bits, {}).update({(moment, metric): y for metric, y in values.items()})
    return [Rounding(bits, found[bits]) for bits in sorted(found, reverse=True)]


def rounding_columns(rows: Sequence[Rounding]) -> list[tuple[str, str]]:
    """The (moment, metric) columns of a table of ``rows``: first those on forget rows; after comes before oracle."""
    columns = dict.fromkeys(column for row in rows for column in row.values)
    return sorted(columns, key=lambda column: (column[1].startswith(OTHER_ROWS), column[1], column[0]))


def _metrics(row: AttackTable) -> list[str]:
    """The metrics of a curve, the one that decides first."""
    names = dict.fromkeys(name for points in row.curve.values() for _, values in points for name in values)
    return sorted(names, key=lambda name: (name != row.headline, name.startswith("holdout_")))


def _attack(
    name: str, entry: Mapping[str, Any], metrics: Mapping[str, Any], by_name: Mapping[str, Measure]
) -> AttackTable:
    headline = str(entry.get("headline") or "")
    metric = headline.removeprefix(f"{ATTACK}{name}_")
    measure = by_name.get(headline) or Measure(headline, metric, "", "", "", None, None, None, None)
    plain = by_name.get(f"forget_{metric}")
    on_holdout = by_name.get(f"{ATTACK}{name}_holdout_{metric}")
    moment: Literal["before", "after"] = "before" if entry.get("kind") == "rewrite" else "after"
    return AttackTable(
        name=name,
        kind=str(entry.get("kind") or ""),
        what=printable(entry.get("what") or "", one_line=True),
        cost=printable(entry.get("cost") or "", one_line=True),
        verdict=printable(entry.get("verdict") or "unknown", one_line=True),
        measure=measure,
        yardstick=finite(entry.get("yardstick")),
        plain=None if plain is None else plain.after,
        plain_interval=None if plain is None else plain.intervals.get("after"),
        holdout=None if on_holdout is None else getattr(on_holdout, moment),
        holdout_interval=None if on_holdout is None else on_holdout.intervals.get(moment),
        x=str(entry.get("x") or ""),
        curve={str(moment): _points(points) for moment, points in (entry.get("curve") or {}).items()},
    )


def _points(points: Any) -> tuple[Point, ...]:
    """The points of [[x, {metric: value}], ...], without values that are not finite numbers."""
    found = []
    for x, values in points or ():
        place = finite(x)
        known = {str(name): y for name, value in values.items() if (y := finite(value)) is not None}
        if place is not None and known:
            found.append((place, known))
    return tuple(found)
