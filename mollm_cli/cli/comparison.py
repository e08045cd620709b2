"""``mollm-compare``: runs beside each other, on stdout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mollm_cli import __version__
from mollm_cli.cli.arguments import Parser
from mollm_cli.cli.help import EXIT_CODES
from mollm_cli.cli.listing import table
from mollm_cli.core.errors import RequestError

WIDE = 240
"""Columns of a table that goes into a file or a pipe: nothing in it is wrapped."""
_EPILOG = (
    "Examples:\n"
    "  mollm-compare outputs/sweeps/2026-01-31/12-00-00-000000_mollm\n"
    "  mollm-compare RUN_A RUN_B\n"
    "  mollm-compare RUN_A RUN_B --markdown > table.md\n"
    "  mollm-compare SWEEP_DIR --csv\n"
    '  mollm-compare "$(mollm-unlearn -m loss=ga,ga_kl,mollm seed=0,1,2)"\n\n'
    "Exit codes:\n" + table({code: EXIT_CODES[code] for code in ("0", "2", "130")}, "  ")
)


def main(typed: Sequence[str] | None = None) -> int:
    """Answer the command line ``typed`` (sys.argv by default) and return the exit code; nothing is raised."""
    try:
        return _answer(_parser().parse_args(typed))
    except RequestError as refused:
        print(f"mollm-compare: {refused}", file=sys.stderr)
        return refused.exit_code
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="mollm-compare",
        usage="mollm-compare [FLAGS] RUN_DIR [RUN_DIR ...] | SWEEP_DIR",
        description="Runs beside each other: forget and retain, mean and standard error over seeds.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="run directories, or folders of them")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--csv", action="store_true", help="write DIR/sweep.csv, one row a run, and print its path")
    parser.add_argument("--version", action="version", version=f"mollm-unlearn {__version__}")
    return parser


def _answer(arguments: argparse.Namespace) -> int:
    from mollm_cli.reporting.compare import collect, markdown, render, write_sweep_csv

    if arguments.csv:
        if len(arguments.directories) != 1:
            raise RequestError(f"--csv must be given one sweep directory, found {len(arguments.directories)}; name one")
        print(write_sweep_csv(arguments.directories[0]))
        return 0
    rows = collect(arguments.directories)
    if arguments.markdown:
        print(markdown(rows))
        return 0
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDE).print(render(rows))
    return 0
