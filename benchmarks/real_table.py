"""Rows of the real benchmark as Markdown, for the terminal and between the markers of docs/BENCHMARKS.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality_table import mean_error
from benchmarks.real_run import START, Row, best_rate

COLUMNS = {
    "forget": "forget, trained rows", "forget_other": "forget, other texts", "probes1": "probes, level 1 (cloze)",
    "probes2": "level 2 (short answers)", "probes3": "level 3 (adversarial)", "others": "other person, trained rows",
    "others_test": "other person, held out", "neighbours": "neighbours, held out", "general": "general, held out",
    "kl_retain": "KL to the start on retain rows", "kl": "KL on unseen text", "perplexity": "perplexity of the text",
    "plain": "plain questions still right",
}  # fmt: skip
DIGITS = {"perplexity": 1, "plain": 3}
"""After the point; others have four."""


def chosen(rows: Sequence[Row], method: str, tuning: int) -> list[Row]:
    """The runs of a method at its best rate, one a seed, under the settings of its last row."""
    last = [row["settings"] for row in rows if row["method"] == method][-1:]
    rows = [row for row in rows if row["method"] == method and row["settings"] in last]
    rate = best_rate(rows, method, tuning)
    mine = (row for row in rows if row["rate"] == rate)
    return sorted({row["seed"]: row for row in mine}.values(), key=lambda row: row["seed"])


def markdown(rows: Sequence[Row], methods: Sequence[str], tuning: int) -> str:
    """A row for each figure, a column for the start and for each method: means ± standard errors over its seeds.

    Methods without a run are named below. Quotes are of each method's first seed.
    """
    begun = [row for row in rows if row["method"] == START][-1]
    runs = {method: chosen(rows, method, tuning) for method in methods}
    there = {method: mine for method, mine in runs.items() if mine}
    facts = [
        ["rate", "", *("auto" if mine[0]["rate"] is None else f"{mine[0]['rate']:g}" for mine in there.values())],
        ["reached, of seeds", "", *(f"{sum(r['reached'] for r in mine)}/{len(mine)}" for mine in there.values())],
        ["steps", "", *("/".join(str(row["steps"]) for row in mine) for mine in there.values())],
        ["s of processor", "", *("/".join(f"{row['seconds']:.0f}" for row in mine) for mine in there.values())],
    ]
    lines = [
        [words, *(_cell([row["columns"][name] for row in mine], name) for mine in ([begun], *there.values()))]
        for name, words in COLUMNS.items()
    ]
    last = [["drift", *(_cell([row["drift"] for row in mine], "drift") for mine in ([begun], *there.values()))]]
    head = [["", "start", *(f"`{method}`" for method in there)], ["---", *["---:"] * (len(there) + 1)]]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in [*head, *facts, *lines, *last])
    absent = [method for method in methods if method not in there]
    missing = [f"Not measured: {', '.join(absent)}."] if absent else []
    return "\n\n".join([table, *missing, quotes({START: begun, **{m: mine[0] for m, mine in there.items()}})])


def quotes(rows: dict[str, Row]) -> str:
    """The answers to the first plain questions, method by method."""
    asked = [question for question, _ in rows[START]["said"]]
    head = [["", *map(_plain, asked)], ["---"] * (len(asked) + 1)]
    body = [[method, *(_plain(answer) for _, answer in row["said"])] for method, row in rows.items()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [*head, *body])


def into_page(page: Path, name: str, block: str) -> None:
    """Put ``block`` between the markers of ``name``, the first time at the end. Raises ValueError on a lone marker."""
    begin, end = f"<!-- real {name} -->", f"<!-- end of real {name} -->"
    text = page.read_text(encoding="utf-8")
    counts = text.count(begin), text.count(end)
    if counts == (0, 0):
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    elif counts != (1, 1):
        raise ValueError(f"{page} must have the lines '{begin}' and '{end}' once each, or neither; found {counts}")
    before, after = text.split(begin)[0], text.split(end)[1]
    page.write_text(f"{before}{begin}\n{block}\n{end}{after}", encoding="utf-8")


def _cell(values: Sequence[float], name: str) -> str:
    found = mean_error(values)
    if found is None:
        return ""
    mean, error = found
    digits = DIGITS.get(name, 4)
    return f"{mean:.{digits}f}" if error is None else f"{mean:.{digits}f} ± {error:.{digits}f}"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:120]
