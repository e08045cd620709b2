"""The table of areas, and the survivors with a reason each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.mutation.verdicts import ALIVE, TIMED_OUT

Row = dict[str, Any]
BEGIN, END = "<!-- mutants -->", "<!-- end of mutants -->"
HEAD = "| area | mutants | killed | by time | survived | share |\n|---|---:|---:|---:|---:|---:|"


def areas(rows: Sequence[Row]) -> str:
    """One line per area and one for all, as Markdown."""
    names = list(dict.fromkeys(row["area"] for row in rows))
    lines = [_line(name, [row for row in rows if row["area"] == name]) for name in names]
    return "\n".join([HEAD, *lines, _line("all", rows)])


def _line(name: str, rows: Sequence[Row]) -> str:
    alive, late = (sum(row["outcome"] in kinds for row in rows) for kinds in (ALIVE, [TIMED_OUT]))
    share = alive / len(rows) if rows else 0.0
    return f"| {name} | {len(rows)} | {len(rows) - alive} | {late} | {alive} | {share:.1%} |"


def survivors(rows: Sequence[Row], reasons: Mapping[str, str]) -> str:
    """One line per survivor; ``reasons`` by the mark of a mutant."""
    lines = [
        f"| `{row['name']}` | `{_cell(row['before'])}` → `{_cell(row['after'])}` | {reasons.get(row['mark'], '')} |"
        for row in rows
        if row["outcome"] in ALIVE
    ]
    return "\n".join(["| survivor | fault | why it survives |\n|---|---|---|", *lines])


def show(rows: Sequence[Row], reasons: Mapping[str, str]) -> None:
    """Print both."""
    for row in rows:
        if row["outcome"] in ALIVE:
            why = reasons.get(row["mark"], "no reason yet")
            print(f"{row['mark']} {row['name']} ({row['chosen']} tests): {row['before']} -> {row['after']}: {why}")
    print(areas(rows))


def into_page(page: Path, rows: Sequence[Row], reasons: Mapping[str, str], commit: str) -> None:
    """Put both between the page's markers. Raises ValueError where it has none, or a survivor has no reason."""
    alive = [row for row in rows if row["outcome"] in ALIVE]
    unknown = [f"{row['mark']} {row['name']}" for row in alive if row["mark"] not in reasons]
    if unknown:
        raise ValueError(f"every survivor must have a reason, found none for {unknown}: kill them, or say why")
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{page} must have the lines '{BEGIN}' and '{END}' once each, to put the tables between")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    block = f"Commit {commit}.\n\n{areas(rows)}\n\n{survivors(rows, reasons)}"
    page.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}", encoding="utf-8")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
