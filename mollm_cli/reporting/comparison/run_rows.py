"""One row per run, from as much of its directory as there is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.core.printable import printable
from mollm_cli.core.read_back import reading_back
from mollm_cli.reporting import request_lines
from mollm_cli.reporting.comparison.comparability import MeasuredOn, measured_on
from mollm_cli.reporting.formatting import excerpt, finite
from mollm_cli.reporting.measures import Measure, measures, yardstick
from mollm_cli.reporting.run_files import Run, is_run, read_run
from mollm_cli.reporting.trajectory import evaluations, retain_at_matched_forgetting

FINISHED = ("completed", "gate_failed")
"""Statuses of a run that was trained and measured to its end; a failed gate changes no number."""

_NO_SETTINGS = ("seed", "run_name", "run_dir", "resume", "output_root")
"""Keys in which runs of one group may differ."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run.

    matched_retain: its retain probability at matched forgetting.
    settings: its configuration, flat.
    why: the reason why it stopped.
    intervals: 95 % (low, high) of its values after.
    attacks: the flat name of each attack's headline.
    powerless: flat names whose test has too few rows to say anything.
    rows: by flat name, how many rows have a value after, and of how many.
    measured_on: the data, model, versions, decoding and yardstick of its numbers.
    """

    run: str
    status: str
    exit_code: int | None
    loss: str
    solver: str
    seed: int | None
    learning_rate: float | None
    steps: int | None
    measures: Mapping[str, Measure]
    matched_retain: float | None
    settings: Mapping[str, str]
    why: str = ""
    wall_seconds: float | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    verdict: Mapping[str, str] = field(default_factory=dict)
    attacks: Mapping[str, str] = field(default_factory=dict)
    powerless: frozenset[str] = frozenset()
    rows: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    measured_on: MeasuredOn = field(default_factory=MeasuredOn)

    @property
    def finished(self) -> bool:
        """True if its numbers are those of a whole run; other runs are in no mean."""
        return self.status in FINISHED

    def partial(self, name: str) -> str:
        """The number of rows with a value of the metric ``name`` after, as "1 of 4"; "" if all have one."""
        valued, of = self.rows.get(name, (0, 0))
        return "" if valued == of else f"{valued} of {of}"

    def value(self, name: str, moment: str = "after") -> float | None:
        """The metric ``name`` at ``moment`` (before, after or oracle); None if it was not measured."""
        measure = self.measures.get(name)
        value: float | None = getattr(measure, moment) if measure else None
        return value


def collect(paths: Path | Sequence[Path]) -> list[RunRow]:
    """One row per run directory in ``paths``; a sweep directory stands for the runs directly inside it.

    A run that is named twice counts once. If folders share a name, the folder above is part of the runs' names.
    Raises RequestError if a path is neither, or if a file of a run cannot be read.
    """
    found = [run for path in ([paths] if isinstance(paths, Path) else paths) for run in _runs(path)]
    folders = list({folder.resolve(): folder for folder in found}.values())
    names = Counter(folder.resolve().name for folder in folders)
    rows = ((folder.resolve(), read_row(folder)) for folder in folders)
    return [row if names[at.name] == 1 else replace(row, run=_name(f"{at.parent.name}/{at.name}")) for at, row in rows]


def inside(sweep_dir: Path) -> list[Path]:
    """The run directories directly inside a folder; jobs are in order of their numbers."""
    found = [child for child in sweep_dir.iterdir() if is_run(child)] if sweep_dir.is_dir() else []
    return sorted(found, key=lambda run: (int(run.name) if run.name.isdecimal() else math.inf, run.name))


def read_row(folder: Path) -> RunRow:
    """The row of the run directory ``folder``. Raises RequestError where its files are none that a run wrote."""
    with reading_back(folder, "Restore its files from the run, or leave it out"):
        return row_of(read_run(folder))


def row_of(run: Run) -> RunRow:
    """The row of one run."""
    manifest, metrics = run.manifest, run.metrics or {}
    seed = manifest.get("seed", run.config.get("seed"))
    found = measures(metrics)
    return RunRow(
        run=_name(run.path.resolve().name),
        status=_name(manifest.get("status") or "unknown"),
        exit_code=manifest.get("exit_code"),
        loss=request_lines.component_name(run, "loss"),
        solver=request_lines.component_name(run, "solver"),
        seed=seed if isinstance(seed, int) else None,
        learning_rate=request_lines.learning_rate(run),
        steps=request_lines.steps_taken(run),
        measures={measure.name: measure for measure in found},
        matched_retain=retain_at_matched_forgetting(evaluations(run.steps), yardstick(metrics, "forget_probability")),
        settings=dict(_flat(run.config)),
        why=excerpt(_name(manifest.get("error") or manifest.get("stopped_because") or ""), 200),
        wall_seconds=finite(manifest.get("wall_seconds")),
        intervals={m.name: m.intervals["after"] for m in found if "after" in m.intervals},
        verdict={part: _name(word) for part, word in _mapping(metrics.get("verdict")).items()},
        attacks={name: str(a["headline"]) for name, a in _parts(metrics.get("attacks")) if a.get("headline")},
        powerless=frozenset(measure.name for measure in found if measure.powerless),
        rows={measure.name: measure.rows["after"] for measure in found if "after" in measure.rows},
        measured_on=measured_on(run),
    )


def _runs(path: Path) -> list[Path]:
    runs = [path] if is_run(path) else inside(path)
    if not runs:
        raise RequestError(f"a run directory or a folder of them is needed; '{path}' is neither. Name another folder.")
    return runs


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif name not in _NO_SETTINGS:
            yield name, printable(value, one_line=True)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _parts(value: object) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, _mapping(part)) for name, part in _mapping(value).items()]


def _name(text: object) -> str:
    return printable(text, one_line=True)
