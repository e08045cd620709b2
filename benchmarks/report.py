"""From measured seconds to rows, ratios, a table and a JSON file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def summary(seconds: Sequence[float], tokens: int, flops: int, peak_flops: float) -> dict[str, Any]:
    """A row's numbers. noise: how far the median lies above the minimum. matmul_share: of the machine's best rate."""
    median, minimum = statistics.median(seconds), min(seconds)
    return {
        "median_seconds": median,
        "minimum_seconds": minimum,
        "noise": median / minimum - 1,
        "seconds": list(seconds),
        "tokens_per_second": tokens / median,
        "flops": flops,
        "matmul_share": flops / minimum / peak_flops,
    }


def ratios(rows: Sequence[dict[str, Any]], pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """a/b of medians, minimum:a/b of minima, memory:a/b of peak bytes, for the pairs that were measured."""
    measured = {row["name"]: row for row in rows if "skipped" not in row}
    prefixes = {"": "median_seconds", "minimum:": "minimum_seconds", "memory:": "peak_memory_bytes"}
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


def show(result: dict[str, Any]) -> None:
    """Print rows and ratios. MiB is the peak above model and optimizer."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.width = max(console.width, 100)
    table = Table(title=f"One step, {result['rounds']} interleaved rounds", title_justify="left")
    for heading in ("row", "median s", "min s", "noise", "tokens/s", "Gflop", "matmul share", "MiB"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for row in result["rows"]:
        table.add_row(row["name"], *_cells(row))
    console.print(table)
    other = Table(title="Ratios", title_justify="left")
    for heading in ("pair", "median", "minimum", "memory"):
        other.add_column(heading, justify="left" if heading == "pair" else "right")
    found = result["ratios"]
    for pair in [key for key in found if ":" not in key]:
        values = [found.get(f"{prefix}{pair}") for prefix in ("", "minimum:", "memory:")]
        other.add_row(pair, *("" if v is None else f"{v:.2f}" for v in values))
    console.print(other)


def _cells(row: dict[str, Any]) -> list[str]:
    if "skipped" in row:
        return [row["skipped"]]
    memory = row.get("peak_memory_bytes")
    return [
        f"{row['median_seconds']:.3f}",
        f"{row['minimum_seconds']:.3f}",
        f"{row['noise']:.0%}",
        f"{row['tokens_per_second']:.0f}",
        f"{row['flops'] / 1e9:.0f}",
        f"{row['matmul_share']:.0%}",
        "" if memory is None else f"{memory / 2**20:.1f}",
    ]
