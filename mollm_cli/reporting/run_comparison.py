"""Comparison of runs: rows from run directories, the comparison as text and as a page, a sweep's summary."""

from __future__ import annotations

from pathlib import Path

from mollm_cli.core.atomic import whole, write_text
from mollm_cli.core.secrets import redacted
from mollm_cli.reporting.comparison.csv_file import write_csv
from mollm_cli.reporting.comparison.page import html
from mollm_cli.reporting.comparison.run_rows import collect, inside, read_row
from mollm_cli.reporting.comparison.table import compare
from mollm_cli.reporting.comparison.text import markdown, render

__all__ = ["collect", "compare", "html", "markdown", "render", "write_csv", "write_summary", "write_sweep_csv"]


def write_sweep_csv(sweep_dir: Path) -> Path:
    """Write ``sweep_dir``/sweep.csv, one row per run directly inside it, and return its path.

    A sweep without any run gets only the header. Raises RequestError if a file of a run cannot be read.
    """
    rows = [read_row(run) for run in inside(sweep_dir)]
    target = sweep_dir / "sweep.csv"
    with whole(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        write_csv(rows, file)
    return target


def write_summary(sweep_dir: Path) -> None:
    """Write the summary of a sweep: sweep.csv and, if it has a run, sweep.md and sweep.html with the Pareto front.

    Each file is replaced as a whole. Raises RequestError if a file of a run cannot be read.
    """
    write_sweep_csv(sweep_dir)
    rows = [read_row(run) for run in inside(sweep_dir)]
    if not rows:
        return
    comparison = compare(rows)
    write_text(sweep_dir / "sweep.md", redacted(markdown(comparison)) + "\n")
    write_text(sweep_dir / "sweep.html", redacted(html(comparison)))
