"""Rows of the real benchmark as Markdown, for the terminal and between the markers of docs/BENCHMARKS.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality_table import mean_error
from benchmarks.real_files import Row
from benchmarks.real_run import START, best_rate

COLUMNS = {
    "forget": "forget, trained rows", "forget_other": "forget, other texts", "probes1": "probes, level 1 (cloze)",
    "probes2": "level 2 (short answers)", "probes3": "level 3 (adversarial)", "others": "other person, trained rows",
    "others_test": "other person, held out", "neighbours": "neighbours, held out", "general": "general, held out",
    "paraphrased": "forget, in other words", "retain": "retain, trained rows", "retain_test": "retain, held out",
    "real_authors": "real authors", "world_facts": "world facts",
    "kl_retain": "KL to the start on retain rows", "kl": "KL on unseen text", "perplexity": "perplexity of the text",
    "plain": "plain questions still right",
}  # fmt: skip
ORACLE = "oracle"
"""The method of the row that says what a model does that never saw what is to be forgotten."""
SHORT = ("mollm", "ga_kl", "npo", "open_unlearning_grad_diff_kl", "open_unlearning_npo")
LINES = {
    "what is forgotten: probability": ("forget",), "the same in other words": ("paraphrased",),
    "probes on it, levels 1 / 2 / 3": ("probes1", "probes2", "probes3"), "other person, held out": ("others_test",),
    "neighbours, held out": ("neighbours",), "other authors, held out": ("retain_test",),
    "real authors": ("real_authors",), "world facts": ("world_facts",), "KL on unseen text, nats a token": ("kl",),
    "plain questions still right": ("plain",),
}  # fmt: skip
"""The short form: a task shows those that it has all columns of."""
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
    beside = untrained(rows)
    runs = {method: chosen(rows, method, tuning) for method in methods}
    there = {method: mine for method, mine in runs.items() if mine}
    shown, blank = [*([row] for row in beside.values()), *there.values()], [""] * len(beside)
    facts = [
        ["rate", *blank, *("auto" if mine[0]["rate"] is None else f"{mine[0]['rate']:g}" for mine in there.values())],
        ["reached, of seeds", *blank, *(f"{sum(r['reached'] for r in mine)}/{len(mine)}" for mine in there.values())],
        ["steps", *blank, *(_each(mine, "steps") for mine in there.values())],
        ["s of processor", *blank, *(_each(mine, "seconds") for mine in there.values())],
    ]
    lines = [
        [words, *(_cell([row["columns"][name] for row in mine], name) for mine in shown)]
        for name, words in COLUMNS.items()
        if name in beside[START]["columns"]
    ]
    last = [["drift", *(_cell([row["drift"] for row in mine], "drift") for mine in shown)]]
    whole = table([["", *beside, *(f"`{method}`" for method in there)], *facts, *lines, *last], right=True)
    absent = [method for method in methods if method not in there]
    missing = [f"Not measured: {', '.join(absent)}."] if absent else []
    told = [quotes(beside | {m: mine[0] for m, mine in there.items()})] if beside[START]["said"] else []
    return "\n\n".join([whole, *missing, *told])


def untrained(rows: Sequence[Row]) -> dict[str, Row]:
    """The last row of the start, and of the oracle where there is one."""
    return {name: [r for r in rows if r["method"] == name][-1] for name in (START, ORACLE) if _known(rows, name)}


DRIFT = "drift: that KL + the largest change of what is held out, as a logarithm"
"""Seconds are not among the few lines: a command's have its loading and its own evaluation in them, a loop's have not.
"""


def short(rows: Sequence[Row], tuning: int, title: str, typed: str) -> str:
    """The few lines that say most, of the methods that were run among SHORT, and what is typed to make them."""
    beside = untrained(rows)
    there = {method: mine for method in SHORT if (mine := chosen(rows, method, tuning))}
    shown = [*([row] for row in beside.values()), *there.values()]
    lines = [
        [words, *(" / ".join(_cell([row["columns"][name] for row in mine], name) for name in names) for mine in shown)]
        for words, names in LINES.items()
        if all(name in beside[START]["columns"] for name in names)
    ]
    blank = [""] * len(beside)
    lines.append([DRIFT, *blank, *(_cell([row["drift"] for row in mine], "drift") for mine in there.values())])
    lines.append(["steps", *blank, *(_each(mine, "steps") for mine in there.values())])
    seeds = max((len(mine) for mine in there.values()), default=0)
    head = f"{title}, at matched forgetting; a method that needs a rate at the best of three; seeds: {seeds}. `{typed}`"
    return "\n\n".join([head, table([["", *beside, *(f"`{method}`" for method in there)], *lines], right=True)])


def quotes(rows: dict[str, Row]) -> str:
    """The answers to the first plain questions, method by method."""
    asked = [question for question, _ in rows[START]["said"]]
    body = [[method, *(_plain(answer) for _, answer in row["said"])] for method, row in rows.items()]
    return table([["", *map(_plain, asked)], *body])


def table(lines: Sequence[Sequence[str]], right: bool = False) -> str:
    """``lines``, the first of them the head, as Markdown; right: all but the first column are numbers."""
    rule = ["---", *["---:" if right else "---"] * (len(lines[0]) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [lines[0], rule, *lines[1:]])


def into_page(page: Path, name: str, block: str, add: bool = True) -> None:
    """Put ``block`` between the markers of ``name``; where there are none at the end, or (add false) nowhere.

    Raises ValueError on a lone marker.
    """
    begin, end = f"<!-- real {name} -->", f"<!-- end of real {name} -->"
    text = page.read_text(encoding="utf-8")
    counts = text.count(begin), text.count(end)
    if counts == (0, 0) and not add:
        return
    if counts == (0, 0):
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    elif counts != (1, 1):
        raise ValueError(f"{page} must have the lines '{begin}' and '{end}' once each, or neither; found {counts}")
    before, after = text.split(begin)[0], text.split(end)[1]
    page.write_text(f"{before}{begin}\n{block}\n{end}{after}", encoding="utf-8")


def _known(rows: Sequence[Row], method: str) -> bool:
    return any(row["method"] == method for row in rows)


def _each(mine: Sequence[Row], name: str) -> str:
    return "/".join(f"{row[name]:.0f}" for row in mine)


def _cell(values: Sequence[float], name: str) -> str:
    found = mean_error(values)
    if found is None:
        return ""
    mean, error = found
    digits = DIGITS.get(name, 4)
    return f"{mean:.{digits}f}" if error is None else f"{mean:.{digits}f} ± {error:.{digits}f}"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:120]
