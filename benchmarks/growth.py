"""How the cost of a step grows: with the model and the text, and with T, V and m one at a time.

Cells of three rows (our GA+KL and MOLLM, GA+KL by hand), interleaved within a cell. Sizes and sequences: one row per
role, a quarter of it answer. Growth: the smallest model, two rows per role, one quantity doubled twice; n is told by
the sizes. m: MOLLM's table shortened or lengthened by objectives on forget, for which no new forward pass is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.contender import Row, engine
from benchmarks.report import show_grid
from benchmarks.rows import ROWS
from benchmarks.timing import interleaved, turns
from benchmarks.workload import Workload
from mollm_cli.core.types import Loss
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.simnpo import simnpo
from mollm_cli.losses.wga import wga
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA

NAMES = ("ga_kl", "mollm", "plain_ga_kl")
SIZES = ("5m", "25m", "125m")
SEQUENCES = (128, 512)
LENGTHS = (128, 256, 512)
VOCABULARIES = (16_000, 32_000, 64_000, 128_000)
MOST = 5
"""Objectives."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is compared: rows on one workload; ``grows`` is the quantity, ``at`` its value."""

    grows: str
    at: str
    workload: Workload
    rows: tuple[Row, ...]


def with_objectives(m: int) -> Callable[[], Loss]:
    """MOLLM's table with ``m`` objectives, 2 to MOST."""
    more = (wga().objectives[0], simnpo().objectives[0])
    return lambda: Loss(f"mollm_{m}", (*mollm().objectives, *more)[:m])


def cells(device: str, precision: str, small: bool) -> list[Cell]:
    """Every cell of the tables. small: models for a test, and no more than two values of a quantity."""
    rows = tuple(row for row in ROWS if row.name in NAMES)

    def work(size: str, batch: int, tokens: int) -> Workload:
        return Workload(size, batch, tokens, tokens // 4, device, precision, small=small)

    def some(values: Sequence[Any]) -> Sequence[Any]:
        return values[:2] if small else values

    base = work("5m", 2, LENGTHS[0])
    sizes = [(size, tokens) for size in some(SIZES) for tokens in SEQUENCES]
    found = [Cell("n and T", f"{size}, {tokens}", work(size, 1, tokens), rows) for size, tokens in sizes]
    found += [Cell("T", str(tokens), work("5m", 2, tokens), rows) for tokens in some(LENGTHS)]
    found += [Cell("V", str(v), replace(base, vocabulary=v // (100 if small else 1)), rows) for v in some(VOCABULARIES)]
    for m in some(range(2, MOST + 1)):
        row = Row("mollm", f"MOLLM with {m} objectives", engine(with_objectives(m), DualSpaceMGDA))
        found.append(Cell("m", str(m), base, (row,)))
    return found


def measure_growth(device: str, precision: str, rounds: int, small: bool = False) -> list[dict[str, Any]]:
    """A line a cell: the workload and the best seconds of each row."""
    lines = []
    for cell in cells(device, precision, small):
        contenders = {row.name: row.build(cell.workload, turns(row, rounds)) for row in cell.rows}
        periods = {row.name: row.period for row in cell.rows}
        seconds = interleaved(contenders, periods, cell.workload, rounds)
        best = {name: min(found) for name, found in seconds.items()}
        lines.append({"grows": cell.grows, "at": cell.at, "workload": asdict(cell.workload), "minimum_seconds": best})
    return lines


def show_growth(lines: Sequence[dict[str, Any]]) -> None:
    """Print seconds, and those of each quantity's first value as 1."""
    first: dict[str, float] = {}
    table = []
    for line in lines:
        best = line["minimum_seconds"]
        start = first.setdefault(line["grows"], best["mollm"])
        seconds = [f"{best[name]:.3f}" if name in best else "" for name in NAMES]
        against = [f"{best['mollm'] / best[name]:.2f}" if name in best else "" for name in ("ga_kl", "plain_ga_kl")]
        table.append([line["grows"], line["at"], *seconds, f"{best['mollm'] / start:.2f}", *against])
    headings = ("grows", "at", *NAMES, "mollm / its first", "mollm/ga_kl", "mollm/plain_ga_kl")
    show_grid("How a step grows, seconds (minimum)", headings, table)
