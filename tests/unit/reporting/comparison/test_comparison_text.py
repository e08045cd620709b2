from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from mollm_cli.reporting.comparison.run_rows import RunRow, collect
from mollm_cli.reporting.comparison.table import Comparison, compare
from mollm_cli.reporting.comparison.text import escaped, markdown, render

MakeRows = Callable[..., list[RunRow]]


def _shown(comparison: Comparison, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(comparison, width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_the_table_and_the_markdown_say_the_same(sweep: Path) -> None:
    comparison = compare(collect(sweep))
    header, ruler, mollm, ga, empty, *notes = markdown(comparison).splitlines()
    assert header.startswith("|  | runs | finished | front | forget prob. | to yardstick | retain prob. |")
    assert ruler.count("---") == header.count("|") - 1 == mollm.count(" | ") + 1
    assert "| A | mollm, dual_space_mgda, lr 0.001 | 3/3 |" in mollm and "0.920 ± 0.012" in mollm
    assert "| 1/2 | ★ |" in ga and empty == "" and notes == [f"- {note}" for note in comparison.notes]
    lines = _shown(comparison, 240)
    assert lines[0].split() == " ".join(comparison.header).split()
    for cells, line in zip(comparison.body, lines[1:], strict=False):
        assert line.split() == " ".join(cells).split()
    assert lines[-len(notes) :] == comparison.notes


@pytest.mark.parametrize("width", [60, 80, 100, 140, 400])
def test_a_narrow_terminal_gets_the_columns_below_each_other(sweep: Path, width: int) -> None:
    comparison = compare(collect(sweep), every=True)
    lines = _shown(comparison, width)
    assert max(map(len, lines)) <= width
    table = lines[: lines.index("", max(n for n, line in enumerate(lines) if line.startswith("B ")))]
    text = "\n".join(table)
    assert all(title in text for title in comparison.header)
    starts = [line.split()[0] for line in table if line[:1] in ("A", "B")]
    assert starts == ["A", "B"] * (len(starts) // 2)
    for mine in ("A", "B"):
        shown = " ".join(line[1:] for line in table if line.startswith(mine)).split()
        cells = comparison.body["AB".index(mine)][2:]
        assert [word for word in shown if word in " ".join(cells).split()][-20:] == " ".join(cells).split()[-20:]


def test_runs_without_numbers_are_a_table_too(make_rows: MakeRows) -> None:
    rows = make_rows({"metrics/after": {}, "metrics/before": {}, "metrics/oracle": {}, "metrics/verdict": None})
    assert _shown(compare(rows), 80)[0].split() == ["runs", "finished", "front"]


def test_markdown_reads_nothing_in_a_name_as_markup(make_rows: MakeRows) -> None:
    evil = {"manifest/loss": "![x](y) | <script> `a` *b* c\\"}
    table = markdown(compare(make_rows(evil | {"manifest/status": "failed", "manifest/error": "<b>"})))
    assert r"!\[x\](y) \| \<script\> \`a\` \*b\* c\\, dual_space_mgda" in table
    assert r"\<b\>" in table and "<b>" not in table.replace(r"\<b\>", "")
    assert escaped("a_b") == "a_b"
