"""Runs beside each other: one row a run, groups over seeds, sweep.csv."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.core.errors import RequestError
from mollm_cli.reporting import facts
from mollm_cli.reporting.measures import Measure, measures, yardstick
from mollm_cli.reporting.run_files import Run, is_run, read_run
from mollm_cli.reporting.trajectory import evaluations, retain_at_matched_forgetting
from mollm_cli.reporting.words import NONE, number, printable

if TYPE_CHECKING:
    from rich.table import Table

FIRST = ("forget_probability", "retain_probability", "forget_test_probability", "retain_test_probability")
"""The metrics that lead sweep.csv; its first two are there even where no run has them."""

_NO_SETTINGS = ("seed", "run_name", "run_dir", "resume", "output_root")
"""Keys in which runs of one group may differ."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run; ``matched_retain``: its retain probability at matched forgetting; ``settings``: its configuration."""

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

    def value(self, name: str, moment: str = "after") -> float | None:
        """The metric ``name`` at ``moment`` (before, after or oracle), None where it was not measured."""
        measure = self.measures.get(name)
        value: float | None = getattr(measure, moment) if measure else None
        return value


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean over the runs that have a value, its standard error (None for fewer than two), and their number."""

    mean: float | None
    error: float | None
    runs: int


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in the seed alone. ``varied`` names other settings in which groups of its kind differ."""

    loss: str
    solver: str
    learning_rate: float | None
    varied: str
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """Loss, solver, learning rate and what else sets the group apart."""
        rate = "" if self.learning_rate is None else f"lr {self.learning_rate:g}"
        return ", ".join(part for part in (self.loss, self.solver, rate, self.varied) if part)

    @property
    def completed(self) -> int:
        """How many of the runs completed."""
        return sum(row.status == "completed" for row in self.rows)

    def estimate(self, value: Callable[[Row], float | None]) -> Estimate:
        """Mean and standard error s / sqrt(n) of ``value`` over the runs that have it; s with n - 1."""
        found = [number for number in map(value, self.rows) if number is not None]
        if not found:
            return Estimate(None, None, 0)
        error = statistics.stdev(found) / math.sqrt(len(found)) if len(found) > 1 else None
        return Estimate(statistics.mean(found), error, len(found))


def collect(paths: Path | Sequence[Path]) -> list[Row]:
    """One row per run directory in ``paths``; a sweep directory stands for the runs directly inside it.

    Raises RequestError where a path is neither, or where a file of a run cannot be read.
    """
    return [_row(read_run(run)) for path in ([paths] if isinstance(paths, Path) else paths) for run in _runs(path)]


def groups(rows: Sequence[Row]) -> list[Group]:
    """``rows`` by loss, solver and learning rate, in order of first appearance.

    Where rows of one such group differ in another setting than the seed, they are told apart by it: a mean over
    different settings would be a mean of nothing.
    """
    alike: dict[tuple[str, str, float | None], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.loss, row.solver, row.learning_rate), []).append(row)
    found = []
    for (loss, solver, rate), members in alike.items():
        by_settings: dict[str, list[Row]] = {}
        for row, varied in zip(members, _varied(members), strict=True):
            by_settings.setdefault(varied, []).append(row)
        found += [Group(loss, solver, rate, varied, tuple(same)) for varied, same in by_settings.items()]
    return found


def write_sweep_csv(sweep_dir: Path) -> Path:
    """Write ``sweep_dir``/sweep.csv, one row per run directly inside it, and return its path.

    A value that is not there is empty; of a sweep without any run only the header is written.
    Raises RequestError where a file of a run cannot be read.
    """
    import csv

    rows = [_row(read_run(run)) for run in _inside(sweep_dir)]
    names = [*FIRST[:2], *dict.fromkeys(name for row in rows for name in row.measures)]
    names = sorted(dict.fromkeys(names), key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    target = sweep_dir / "sweep.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        identity = ["run", "status", "exit_code", "loss", "solver", "seed", "learning_rate", "steps"]
        values = [(name, moment) for name in names for moment in ("before", "after", "oracle")]
        writer.writerow([*identity, "retain_at_matched_forgetting", *(f"{name}_{moment}" for name, moment in values)])
        for row in rows:
            known = [getattr(row, key) for key in identity]
            writer.writerow([*known, row.matched_retain, *(row.value(name, moment) for name, moment in values)])
    return target


def render(rows: Sequence[Row]) -> Table:
    """``rows``, grouped over seeds, as a table for a console."""
    from rich.table import Table
    from rich.text import Text

    header, *body = _cells(rows)
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    for column, title in enumerate(header):
        table.add_column(_short(title), justify="right" if column else "left", overflow="fold")
    for cells in body:
        table.add_row(*map(Text, cells))
    return table


def _short(title: str) -> str:
    for long, short in (("probability", "prob."), ("perplexity", "ppl"), ("at matched forgetting", "at match")):
        title = title.replace(long, short)
    return title


def markdown(rows: Sequence[Row]) -> str:
    """``rows``, grouped over seeds, as a Markdown table."""
    header, *body = _cells(rows)
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (header, ruler, *body)
    )


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    """Header and body of the comparison; metrics that no run has take no column."""
    measured = dict.fromkeys(name for row in rows for name in row.measures)
    names = [name for name in FIRST if name in measured]
    perplexities = [name for name in measured if name.endswith("_perplexity") and _of_test(name) not in measured]
    values: list[tuple[str, Callable[[Row], float | None]]] = []
    values.append(("retain at matched forgetting", lambda row: row.matched_retain))
    values += [(name.replace("_", " "), _after(name)) for name in (*names, *perplexities)]
    header = ["run", "completed", *(title for title, _ in values)]
    body = [
        [
            group.name,
            f"{group.completed}/{len(group.rows)}",
            *(_text(group.estimate(value), group) for _, value in values),
        ]
        for group in groups(rows)
    ]
    return [header, *body]


def _of_test(name: str) -> str:
    """The same metric on the rows never trained on, where ``name`` is of the trained rows: it says more."""
    group, _, metric = name.partition("_")
    return f"{group}_test_{metric}" if group in ("forget", "retain") else ""


def _after(name: str) -> Callable[[Row], float | None]:
    return lambda row: row.value(name)


def _text(estimate: Estimate, group: Group) -> str:
    """Mean ± standard error, with the number of runs behind it where that is not all of them."""
    if estimate.mean is None:
        return NONE
    error = "" if estimate.error is None else f" ± {number(estimate.error)}"
    return f"{number(estimate.mean)}{error}" + (f" (n={estimate.runs})" if estimate.runs < len(group.rows) else "")


def _runs(path: Path) -> list[Path]:
    runs = [path] if is_run(path) else _inside(path)
    if not runs:
        raise RequestError(f"a run directory or a folder of them is needed; '{path}' is neither. Name another folder.")
    return runs


def _inside(sweep_dir: Path) -> list[Path]:
    """The run directories directly inside a folder, jobs in the order of their numbers."""
    found = [child for child in sweep_dir.iterdir() if is_run(child)] if sweep_dir.is_dir() else []
    return sorted(found, key=lambda run: (int(run.name) if run.name.isdecimal() else math.inf, run.name))


def _row(run: Run) -> Row:
    manifest, metrics = run.manifest, run.metrics or {}
    seed = manifest.get("seed", run.config.get("seed"))
    return Row(
        run=printable(run.path.name, one_line=True),
        status=printable(manifest.get("status") or "unknown", one_line=True),
        exit_code=manifest.get("exit_code"),
        loss=facts.loss_name(run),
        solver=facts.solver_name(run),
        seed=seed if isinstance(seed, int) else None,
        learning_rate=facts.learning_rate(run),
        steps=facts.steps_taken(run),
        measures={measure.name: measure for measure in measures(metrics)},
        matched_retain=retain_at_matched_forgetting(evaluations(run.steps), yardstick(metrics, "forget_probability")),
        settings=dict(_flat(run.config)),
    )


def _varied(rows: Sequence[Row]) -> list[str]:
    """For each row the settings in which ``rows`` differ, "direction.kl_budget=0.02"."""
    keys = sorted({key for row in rows for key in row.settings})
    differing = [key for key in keys if len({row.settings.get(key) for row in rows}) > 1]
    return [", ".join(f"{key}={row.settings.get(key, NONE)}" for key in differing) for row in rows]


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif name not in _NO_SETTINGS:
            yield name, printable(value, one_line=True)
