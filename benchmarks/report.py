"""From measured seconds to rows, ratios, a table and a JSON file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def summary(seconds: Sequence[float], tokens: int, flops: Mapping[str, float], peak_flops: float) -> dict[str, Any]:
    """A row's numbers; flops: see benchmarks/timing.py. noise: how far the median lies above the minimum.

    useful_share, plain_share: of the machine's best measured rate of matrix products, at the minimum.
    """
    median, minimum = statistics.median(seconds), min(seconds)
    shares = {f"{kind}_share": flops[kind] / minimum / peak_flops for kind in ("useful", "plain")}
    return {
        "median_seconds": median,
        "minimum_seconds": minimum,
        "noise": median / minimum - 1,
        "seconds": list(seconds),
        "tokens_per_second": tokens / minimum,
        "flops": dict(flops),
        **shares,
    }


def ratios(rows: Sequence[dict[str, Any]], pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """a/b of minima (what else a machine does only adds), median:a/b, memory:a/b of peak bytes, where both ran."""
    measured = {row["name"]: row for row in rows if "skipped" not in row}
    prefixes = {"": "minimum_seconds", "median:": "median_seconds", "memory:": "peak_memory_bytes"}
    return {
        f"{prefix}{a}/{b}": measured[a][key] / measured[b][key]
        for prefix, key in prefixes.items()
        for a, b in pairs
        if a in measured and b in measured and measured[a].get(key) and measured[b].get(key)
    }


def write(result: dict[str, Any], path: Path) -> None:
    """Write the JSON file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def merge(path: Path, part: str, content: Any, ratios: Mapping[str, float]) -> None:
    """Put a part of the benchmark and its ratios into the JSON file, beside what is there."""
    found = json.loads(path.read_text()) if path.exists() else {"ratios": {}}
    found[part] = content
    found["ratios"] = found["ratios"] | dict(ratios)
    write(found, path)


def show(rows: Sequence[dict[str, Any]], found: Mapping[str, float], title: str) -> None:
    """Print rows and ratios. MiB is the peak above model and optimizer."""
    table = _table(title, "row", "min s", "median s", "tokens/s", "useful", "plain", "MiB")
    for row in rows:
        table.add_row(row["name"], *_cells(row))
    other = _table("Ratios", "pair", "minimum", "median", "memory")
    for pair in dict.fromkeys(key.split(":")[-1] for key in found):
        values = [found.get(f"{prefix}{pair}") for prefix in ("", "median:", "memory:")]
        other.add_row(pair, *("" if v is None else f"{v:.2f}" for v in values))
    _print(table, *([other] if found else []))


def show_grid(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table of text."""
    table = _table(title, *headings)
    for line in lines:
        table.add_row(*line)
    _print(table)


def _table(title: str, *headings: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k else "left", overflow="fold")
    return table


def _print(*tables: Any) -> None:
    from rich.console import Console

    console = Console()
    console.width = max(console.width, 100)
    console.print(*tables)


def _cells(row: dict[str, Any]) -> list[str]:
    if "skipped" in row:
        return [row["skipped"]]
    memory = row.get("peak_memory_bytes")
    return [
        f"{row['minimum_seconds']:.3f}",
        f"{row['median_seconds']:.3f}",
        f"{row['tokens_per_second']:.0f}",
        f"{row['useful_share']:.0%}",
        f"{row['plain_share']:.0%}",
        "" if memory is None else f"{memory / 2**20:.1f}",
    ]
