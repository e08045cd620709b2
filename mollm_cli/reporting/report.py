"""report.html: one self-contained page about one run, from the files of its directory alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mollm_cli.reporting import charts, facts
from mollm_cli.reporting.examples import Examples, pick
from mollm_cli.reporting.measures import SAME, SIDE_BY_SIDE, Measure, measures, of_set, others
from mollm_cli.reporting.pages import page
from mollm_cli.reporting.run_files import Run, read_run
from mollm_cli.reporting.trajectory import descent, evaluations, retain_at_matched_forgetting, statuses
from mollm_cli.reporting.words import headline, number, printable, verdict_words, yardstick_name

EXAMPLE_SETS = ("forget", "retain")

_SET_TITLES = {
    "forget": "Forget: rows trained on",
    "retain": "Retain: rows trained on",
    "forget_test": "Forget: rows never trained on",
    "retain_test": "Retain: rows never trained on",
}
_MOODS = {"matched": "good", "kept": "good", "under": "bad", "over": "bad", "damaged": "bad"}


@dataclass(frozen=True, slots=True)
class Table:
    """The metrics of one set; ``measures`` has a row for each metric of either side, None where this side lacks it."""

    title: str
    measures: tuple[tuple[str, Measure | None], ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """One part of the verdict; mood is good, bad or open."""

    part: str
    words: str
    mood: str


def write_report(run_dir: Path) -> Path:
    """Write ``run_dir``/report.html and return its path. A run that failed gets a page about how far it came.

    Raises RequestError where ``run_dir`` is no run directory or a file of it cannot be read.
    """
    target = run_dir / "report.html"
    target.write_text(page("report.html.j2", _view(read_run(run_dir))), encoding="utf-8")
    return target


def _view(run: Run) -> dict[str, Any]:
    """Everything the template names."""
    metrics = run.metrics or {}
    found = measures(metrics)
    return {
        "title": printable(run.manifest.get("run_name") or run.path.name, one_line=True),
        "status": str(run.manifest.get("status") or "unknown"),
        "headline": _headline(run),
        "sentence": _sentence(found),
        "stopped_because": printable(run.manifest.get("stopped_because") or "", one_line=True),
        "tiles": [] if run.metrics is None else _tiles(metrics),
        "started": printable(run.manifest.get("started") or "", one_line=True),
        "command": facts.command(run),
        "asked": facts.asked(run),
        "datasets": facts.datasets(run),
        "tables": [table for pair in SIDE_BY_SIDE for table in _tables(pair, found)],
        "others": others(found),
        "same_percent": number(round(100 * SAME)),
        "against": yardstick_name(metrics),
        "way_charts": charts.way_charts(run),
        "matched_retain": _matched(run, found),
        "chart_groups": charts.groups(run),
        "examples": _examples(run),
        "statuses": statuses(run.steps),
        "descents": [descent(run.steps, objective) for objective in run.objectives if _is_recorded(run, objective)],
        "cost": facts.cost(run),
        "limits": facts.LIMITS,
        "not_tested": facts.NOT_TESTED,
        "robustness": verdict_words(metrics)["robustness"],
        "made_with": facts.made_with(run),
        "files": _files(run),
        "config": _text(run.path / "config.yaml"),
    }


def _headline(run: Run) -> str:
    """The verdict; of a run without metrics, how it ended."""
    if run.metrics is not None:
        return headline(run.metrics)
    ended = {"failed": "The run failed", "interrupted": "The run was interrupted", "running": "The run has not ended"}
    return f"{ended.get(str(run.manifest.get('status')), 'The run ended')} before anything was measured."


def _sentence(found: list[Measure]) -> str:
    """The two probabilities in words, on rows never trained on where there are such."""
    by_name = {measure.name: measure for measure in found}
    parts = []
    for side in ("forget", "retain"):
        measure = by_name.get(f"{side}_probability")
        if measure is None or measure.after is None:
            continue
        start = "" if measure.before is None else f"went from {number(measure.before)} "
        part = f"The probability of the {side} answers {start or 'came '}to {number(measure.after)}"
        parts.append(part + ("." if measure.oracle is None else f"; the oracle's is {number(measure.oracle)}."))
    return " ".join(parts)


def _is_recorded(run: Run, objective: str) -> bool:
    """Whether the solver told anything about this objective; a plain weighted sum does not."""
    return any(f"{quantity}.{objective}" in record for record in run.steps for quantity in ("live", "realised"))


def _tiles(metrics: dict[str, Any]) -> list[Tile]:
    verdict = metrics.get("verdict") or {}
    words = verdict_words(metrics)
    return [Tile(part, words[part], _MOODS.get(str(verdict.get(part)), "open")) for part in words]


def _tables(pair: tuple[str, str], found: list[Measure]) -> list[Table]:
    """The tables of two sets that stand side by side, with the same rows in the same order."""
    sides = [of_set(found, group) for group in pair]
    metrics = list(dict.fromkeys(measure.metric for measure in found if any(measure.metric in side for side in sides)))
    return [
        Table(_SET_TITLES[group], tuple((metric, side.get(metric)) for metric in metrics))
        for group, side in zip(pair, sides, strict=True)
        if metrics
    ]


def _matched(run: Run, found: list[Measure]) -> float | None:
    target = next((measure.yardstick for measure in found if measure.name == "forget_probability"), None)
    return retain_at_matched_forgetting(evaluations(run.steps), target)


def _examples(run: Run) -> list[Examples]:
    content = run.manifest.get("content") or {}
    picked = (pick(run.samples, group, str(content.get(group, "personal"))) for group in EXAMPLE_SETS)
    return [examples for examples in picked if examples is not None]


def _files(run: Run) -> list[tuple[str, dict[str, Any]]]:
    """The weight files in and out: (starting model or checkpoint, file)."""
    owners = (("starting model", "model"), ("checkpoint", "checkpoint"))
    return [
        (title, file)
        for title, key in owners
        for file in (run.manifest.get(key) or {}).get("files") or ()
        if isinstance(file, dict)
    ]


def _text(file: Path) -> str:
    return printable(file.read_text(encoding="utf-8")) if file.is_file() else ""
