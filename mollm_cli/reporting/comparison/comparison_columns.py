"""The columns of a comparison, and the text of a cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.core.printable import printable
from mollm_cli.reporting.comparison.front import FORGET, RETAIN, distance
from mollm_cli.reporting.comparison.groups import Group
from mollm_cli.reporting.comparison.run_rows import RunRow
from mollm_cli.reporting.formatting import NONE, label, number

DISTANCE, MATCHED = "forget_distance", "retain_at_matched_forgetting"
LEADING = (FORGET, DISTANCE, RETAIN, MATCHED)
_PROBABILITIES = ("forget_test_probability", "retain_test_probability")
_METRICS = ("forget_quality", "model_utility", "extraction_strength", "privacy_leakage")
"""Metrics of the whole model or of the forget set that get a column if a run has them."""
_TRAINED = ("forget", "retain", "holdout", "attack")
"""Sets whose perplexity does not measure how well the model still handles language."""
_SHORT = {"probability": "prob.", "perplexity": "ppl", "extraction strength": "extraction", "attack ": "attack: "}
NO_POWER, PARTIAL = "°", "◐"


@dataclass(frozen=True, slots=True)
class Column:
    """A column. key: its name for --metrics. cell: the text of a group."""

    key: str
    title: str
    cell: Callable[[Group], str]


def choose(rows: Sequence[RunRow], picked: Sequence[str] = (), every: bool = False) -> list[Column]:
    """The columns: ``picked`` in that order, else all (``every``), else the ones that most readers want.

    A column that would be empty in every group is left out unless it was picked.
    Raises RequestError for a picked column that no run has.
    """
    known = {column.key: column for column in _columns(rows)}
    if unknown := [key for key in picked if key not in known]:
        raise RequestError(
            f"--metrics must name what a run has measured, found '{unknown[0]}'; "
            f"{printable(nearest(unknown[0], known), one_line=True)}"
        )
    if picked:
        return [known[key] for key in dict.fromkeys(picked)]
    return [known[key] for key in (known if every else _usual(rows)) if key in known]


def _columns(rows: Sequence[RunRow]) -> list[Column]:
    """Every column that has a value in some row, the leading ones first."""
    names = list(dict.fromkeys(name for row in rows for name in row.measures))
    values: dict[str, Callable[[RunRow], float | None]] = {name: _after(name) for name in names}
    values |= {DISTANCE: distance, MATCHED: lambda row: row.matched_retain}
    order = [key for key in LEADING if key in values] + [name for name in names if name not in LEADING]
    filled = [key for key in order if any(_filled(key, values[key], row) for row in rows)]
    found = [Column(key, _title(key), _numbers(key, values[key])) for key in filled]
    if any(row.verdict for row in rows):
        found += [
            Column("verdict", "verdict", _texts(_verdict)),
            Column("robustness", "robustness", _texts(_robustness)),
        ]
    return found


def _usual(rows: Sequence[RunRow]) -> list[str]:
    measured = {name: measure for row in rows for name, measure in row.measures.items()}
    whole = [n for metric in _METRICS for n, m in measured.items() if m.metric == metric and m.set in ("", "forget")]
    text = [n for n, m in measured.items() if m.metric == "perplexity" and m.set.partition("_")[0] not in _TRAINED]
    attacks = dict.fromkeys(headline for row in rows for headline in row.attacks.values())
    tested = any(row.verdict.get("robustness", "untested") not in ("untested", "unknown") for row in rows)
    return [*LEADING, *_PROBABILITIES, *whole, *text, *attacks, "verdict", *(["robustness"] if tested else [])]


def _filled(key: str, value: Callable[[RunRow], float | None], row: RunRow) -> bool:
    """True if a row has a value; for MATCHED a yardstick is enough, because never reaching it is a result too."""
    return value(row) is not None or (key == MATCHED and distance(row) is not None)


def _after(name: str) -> Callable[[RunRow], float | None]:
    return lambda row: row.value(name)


def _title(key: str) -> str:
    known = {DISTANCE: "to yardstick", MATCHED: "retain at match"}
    title = known.get(key) or label(key)
    for long, short in _SHORT.items():
        title = title.replace(long, short)
    return title.replace("rouge l", "ROUGE-L")


def _numbers(key: str, value: Callable[[RunRow], float | None]) -> Callable[[Group], str]:
    """Mean ± standard error; for a single run its 95 % interval; (n=...) if some finished run has no value."""

    def cell(group: Group) -> str:
        estimate = group.estimate(value)
        if estimate.mean is None:
            return NONE
        text = number(estimate.mean)
        if estimate.error is not None:
            text += f" ± {number(estimate.error)}"
        elif len(group.finished) == 1 and (ends := group.finished[0].intervals.get(key)):
            text += f" [{number(ends[0])}, {number(ends[1])}]"
        if estimate.runs < len(group.finished):
            text += f" (n={estimate.runs})"
        marks = PARTIAL if any(row.partial(key) for row in group.finished) else ""
        return text + marks + (NO_POWER if any(key in row.powerless for row in group.finished) else "")

    return cell


def _texts(of: Callable[[RunRow], str]) -> Callable[[Group], str]:
    """The text of the finished runs; if they disagree, each text with its number of runs."""

    def cell(group: Group) -> str:
        found = Counter(of(row) for row in group.finished if row.verdict)
        if len(found) < 2:
            return next(iter(found), NONE)
        return "; ".join(f"{count}× {text}" for text, count in found.most_common())

    return cell


def _verdict(row: RunRow) -> str:
    return f"{label(row.verdict.get('forget', 'unknown'))}, {label(row.verdict.get('retain', 'unknown'))}"


def _robustness(row: RunRow) -> str:
    return row.verdict.get("robustness", "untested")
