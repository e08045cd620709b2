"""``mollm-compare``: runs beside each other, on stdout or in files."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mollm_cli import __version__
from mollm_cli.cli.arguments import Parser
from mollm_cli.cli.help import EXIT_CODES
from mollm_cli.cli.listing import table
from mollm_cli.core.errors import RequestError
from mollm_cli.core.privacy import as_asked
from mollm_cli.core.read_back import reading_back
from mollm_cli.core.secrets import redacted
from mollm_cli.launch.ending import exit_code

if TYPE_CHECKING:
    from mollm_cli.reporting.comparison.run_rows import RunRow
    from mollm_cli.reporting.comparison.table import Comparison

WIDE = 240
"""Columns of a table that goes into a file or a pipe: more go on below."""
_STDOUT = Path("-")
_EPILOG = (
    "The runs come first, then the flags. FILE is replaced where it exists; without FILE the table goes to stdout.\n"
    "A sweep writes SWEEP_DIR/sweep.csv itself; --csv makes the same table of any runs, a killed sweep's too.\n\n"
    "Examples:\n"
    "  mollm-compare outputs/sweeps/2026-01-31/12-00-00-000000_mollm\n"
    "  mollm-compare RUN_A RUN_B --metrics forget_rouge_l,retain_rouge_l\n"
    "  mollm-compare RUN_A RUN_B --markdown > table.md\n"
    "  mollm-compare SWEEP_DIR RUN_A --csv runs.csv --html runs.html\n"
    '  mollm-compare "$(mollm-unlearn -m loss=ga,ga_kl,mollm seed=0,1,2)"\n\n'
    "Exit codes:\n" + table({code: EXIT_CODES[code] for code in ("0", "2", "130")}, "  ")
)


def main(typed: Sequence[str] | None = None) -> int:
    """Answer the command line ``typed`` (sys.argv by default) and return the exit code; nothing is raised."""
    return exit_code("mollm-compare", lambda: _answer(_parser().parse_args(typed)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="mollm-compare",
        usage="mollm-compare RUN_DIR [RUN_DIR ...] | SWEEP_DIR [FLAGS]",
        description=(
            "Runs beside each other: forget and retain, mean and standard error over seeds, at matched forgetting,\n"
            "the Pareto front. Runs that failed or were interrupted are listed and are in no mean; groups whose data,\n"
            "starting model, metric versions, decoding or yardstick differ from the first run's are marked."
        ),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    where = {"nargs": "?", "type": Path, "const": _STDOUT, "metavar": "FILE"}
    parser.add_argument("directories", nargs="*", type=Path, metavar="DIR", help="run directories, or folders of them")
    parser.add_argument("--csv", help="every metric of every run, a row a run", **where)  # type: ignore[arg-type]
    parser.add_argument("--markdown", help="the table as Markdown", **where)  # type: ignore[arg-type]
    parser.add_argument("--html", type=Path, metavar="FILE", help="one self-contained page with the Pareto front")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--all", action="store_true", help="a column for every metric")
    chosen.add_argument("--metrics", metavar="NAME,NAME", help="these columns, named as in metrics.json")
    parser.add_argument("--version", action="version", version=f"mollm-unlearn {__version__}")
    return parser


def _answer(arguments: argparse.Namespace) -> int:
    from mollm_cli.reporting.run_comparison import collect, compare, html, markdown

    asked = {"csv": arguments.csv, "markdown": arguments.markdown, "html": arguments.html}
    targets = {flag: target for flag, target in asked.items() if target is not None}
    _check(targets)
    if not arguments.directories:
        raise RequestError("run directories or a sweep directory must come first, found none; name some, or see --help")
    rows = collect(arguments.directories)
    with reading_back(Path(arguments.directories[0]), "Name runs whose files are as they were written"):
        comparison = compare(rows, _names(arguments.metrics), arguments.all)
    made = {
        "csv": lambda: _csv(rows),
        "markdown": lambda: markdown(comparison) + "\n",
        "html": lambda: html(comparison),
    }
    for flag, target in targets.items():
        _put(flag, target, made[flag]())
    if not targets:
        _show(comparison)
    return 0


def _check(targets: dict[str, Path]) -> None:
    """Refuse a FILE that is a folder (a run named after the flag), and two tables on stdout."""
    for flag, target in targets.items():
        if target.is_dir():
            raise RequestError(
                f"--{flag} must be followed by a file to write or by nothing, found the folder '{target}'; "
                "name the runs before the flags"
            )
    loud = [f"--{flag}" for flag, target in targets.items() if target == _STDOUT]
    if len(loud) > 1:
        raise RequestError(f"one table can go to stdout, found {' and '.join(loud)}; give one of them a FILE")


def _names(metrics: str | None) -> list[str]:
    names = [name for name in (metrics or "").split(",") if name]
    if metrics is not None and not names:
        raise RequestError(
            "--metrics must be followed by names, found none; name some as in metrics.json, or use --all"
        )
    return names


def _csv(rows: Sequence[RunRow]) -> str:
    from mollm_cli.reporting.run_comparison import write_csv

    text = io.StringIO()
    write_csv(rows, text)
    return text.getvalue()


def _put(flag: str, target: Path, text: str) -> None:
    """Write ``text`` where it was asked; a file is told on stderr, for stdout carries tables alone."""
    if target == _STDOUT:
        print(text, end="")
        return
    try:
        with as_asked():
            target.write_text(redacted(text), encoding="utf-8")
    except OSError as refused:
        raise RequestError(
            f"--{flag} must name a file that can be written, found '{target}': {refused.strerror}; name another"
        ) from refused
    print(f"wrote {target}", file=sys.stderr)


def _show(comparison: Comparison) -> None:
    from rich.console import Console

    from mollm_cli.reporting.console import plain_console
    from mollm_cli.reporting.run_comparison import render

    console = plain_console(Console(width=None if sys.stdout.isatty() else WIDE, highlight=False))
    console.print(render(comparison, console.width))
