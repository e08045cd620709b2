"""report.html: one self-contained page about one run, from the files of its directory alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import write_text
from mollm_cli.core.printable import printable
from mollm_cli.core.secrets import redacted
from mollm_cli.reporting import attack_tables, charts, history, request_lines
from mollm_cli.reporting.bars import standing
from mollm_cli.reporting.descent_record import IS, IS_NOT, descent_record
from mollm_cli.reporting.drift_lines import drift_lines
from mollm_cli.reporting.examples import Examples, pick, pick_attacked
from mollm_cli.reporting.formatting import (
    headline,
    label,
    mood,
    nothing_to_forget,
    number,
    over,
    verdict_texts,
    with_span,
    yardstick_name,
)
from mollm_cli.reporting.measures import SAME, SIDE_BY_SIDE, Measure, columns, measures, of_set, others, rows_of_sets
from mollm_cli.reporting.pages import page
from mollm_cli.reporting.run_files import Run, read_run
from mollm_cli.reporting.trajectory import evaluations, retain_at_matched_forgetting, statuses

EXAMPLE_SETS = ("forget", "retain")

_SET_TITLES = {
    "forget": "Forget: rows trained on",
    "retain": "Retain: rows trained on",
    "forget_test": "Forget: rows never trained on",
    "retain_test": "Retain: rows never trained on",
}


@dataclass(frozen=True, slots=True)
class ReportTable:
    """The metrics of one set. measures: (title, measure) per metric of either side, None if this side lacks it."""

    title: str
    columns: tuple[str, ...]
    measures: tuple[tuple[str, Measure | None], ...]


def write_report(run_dir: Path) -> Path:
    """Write ``run_dir``/report.html and return its path. The page of a failed run shows how far it came.

    Raises RequestError if ``run_dir`` is no run directory or a file of it cannot be read.
    """
    target = run_dir / "report.html"
    write_text(target, redacted(page("report.html.j2", _view(read_run(run_dir)))))
    return target


def _view(run: Run) -> dict[str, Any]:
    """The values of the template."""
    metrics = run.metrics or {}
    found = measures(metrics)
    return {
        "title": printable(run.manifest.get("run_name") or run.path.name, one_line=True),
        "status": str(run.manifest.get("status") or "unknown"),
        "headline": _headline(run),
        "sentence": _sentence(found),
        "over": over(metrics, next((m.after for m in found if m.name == "forget_quality"), None)),
        "stopped": history.stopped(run),
        "kept": history.kept(run),
        "gates": history.gates(run),
        "lineage": history.lineage(run),
        "drift": drift_lines(metrics),
        "tiles": [] if run.metrics is None else _tiles(metrics),
        "started": printable(run.manifest.get("started") or "", one_line=True),
        "command": request_lines.command(run),
        "asked": request_lines.asked(run),
        "datasets": request_lines.datasets(run),
        "held_back": request_lines.held(run),
        "tables": [table for pair in SIDE_BY_SIDE for table in _tables(pair, found)],
        "others": _others(found),
        "standing": standing(found),
        "has_unseen": "holdout" in columns(found),
        **_attacked(run, found),
        "same_percent": number(round(100 * SAME)),
        "against": yardstick_name(metrics),
        "rows": rows_of_sets(found),
        "way_charts": charts.way_charts(run),
        "matched_retain": _matched(run, found),
        "chart_groups": charts.groups(run),
        "examples": _examples(run),
        "evaluation_cost": request_lines.evaluation_cost(run),
        "statuses": statuses(run.steps),
        "descent": descent_record(run.steps, run.objectives),
        "descent_is": IS,
        "descent_is_not": IS_NOT,
        "cost": request_lines.cost(run),
        "limits": request_lines.LIMITS,
        "not_tested": request_lines.not_tested(run.metrics),
        "robustness": verdict_texts(metrics)["robustness"],
        "made_with": request_lines.made_with(run),
        "files": _files(run),
        "config": _text(run.path / "config.yaml"),
    }


def _attacked(run: Run, found: list[Measure]) -> dict[str, Any]:
    """The values of the section about attacks."""
    rows = attack_tables.attacks(run.metrics or {}, found)
    rounded = attack_tables.roundings(rows)
    membership = [row for row in found if attack_tables.is_membership(row)]
    under = attack_tables.under_attack(found)
    return {
        "attacks": rows,
        "attacked_rows": request_lines.attacked_rows(run) if rows else "",
        "attack_charts": attack_tables.curves(rows),
        "roundings": rounded,
        "rounding_columns": attack_tables.rounding_columns(rounded),
        "membership": membership and ReportTable("Membership inference", columns(membership), _rows(membership)),
        "under_attack": under and ReportTable("Every number under attack", columns(under), _rows(under)),
    }


def _others(found: list[Measure]) -> ReportTable | None:
    rest = [measure for measure in others(found) if not attack_tables.is_membership(measure)]
    return ReportTable("Other sets and the model as a whole", columns(rest), _rows(rest)) if rest else None


def _rows(found: list[Measure]) -> tuple[tuple[str, Measure | None], ...]:
    return tuple((measure.title, measure) for measure in found)


def _headline(run: Run) -> str:
    """The verdict, or for a run without metrics its ending."""
    if run.metrics is not None:
        return headline(run.metrics)
    if nothing := nothing_to_forget(run.manifest):
        return f"{nothing}. No step was taken."
    ended = {"failed": "The run failed", "interrupted": "The run was interrupted", "running": "The run has not ended"}
    return f"{ended.get(str(run.manifest.get('status')), 'The run ended')} before anything was measured."


def _sentence(found: list[Measure]) -> str:
    """A sentence on each of the two probabilities."""
    by_name = {measure.name: measure for measure in found}
    parts = []
    for side in ("forget", "retain"):
        measure = by_name.get(f"{side}_probability")
        if measure is None or measure.after is None:
            continue
        start = "came " if measure.before is None else f"went from {number(measure.before)} "
        end = with_span(measure.after, measure.intervals.get("after"))
        part = f"The probability of the {side} answers {start}to {end}"
        oracle = "" if measure.oracle is None else f"; the oracle's is {number(measure.oracle)}"
        unseen = "" if measure.holdout is None else f"; of rows never seen it was {number(measure.holdout)}"
        parts.append(f"{part}{oracle}{unseen}.")
    return " ".join(parts)


def _tiles(metrics: dict[str, Any]) -> list[dict[str, str]]:
    parts = verdict_texts(metrics).items()
    return [{"part": part, "text": text, "mood": mood(part, metrics)} for part, text in parts]


def _tables(pair: tuple[str, str], found: list[Measure]) -> list[ReportTable]:
    """The tables of two sets shown side by side, with the same rows in the same order."""
    sides = [of_set(found, group) for group in pair]
    metrics = list(dict.fromkeys(measure.metric for measure in found if any(measure.metric in side for side in sides)))
    return [
        ReportTable(
            _SET_TITLES[group], columns(side.values()), tuple((label(metric), side.get(metric)) for metric in metrics)
        )
        for group, side in zip(pair, sides, strict=True)
        if metrics
    ]


def _matched(run: Run, found: list[Measure]) -> float | None:
    target = next((measure.yardstick for measure in found if measure.name == "forget_probability"), None)
    return retain_at_matched_forgetting(evaluations(run.steps), target)


def _examples(run: Run) -> list[Examples]:
    content = run.manifest.get("content") or {}
    picked = [pick(run.samples, group, str(content.get(group, "personal"))) for group in EXAMPLE_SETS]
    headlines = {
        row.name: row.headline for row in attack_tables.attacks(run.metrics or {}, measures(run.metrics or {}))
    }
    # Attacked rows are forget rows, so their text is shown as freely as that of the forget set.
    picked.append(pick_attacked(run.samples, headlines, str(content.get("forget", "personal"))))
    return [examples for examples in picked if examples is not None]


def _files(run: Run) -> list[tuple[str, dict[str, Any]]]:
    """The files of weights that the run read and wrote: (starting model or checkpoint, file)."""
    owners = (("starting model", "model"), ("checkpoint", "checkpoint"))
    return [
        (title, file)
        for title, key in owners
        for file in (run.manifest.get(key) or {}).get("files") or ()
        if isinstance(file, dict)
    ]


def _text(file: Path) -> str:
    return printable(file.read_text(encoding="utf-8")) if file.is_file() else ""
