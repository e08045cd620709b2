"""``mollm-try``: a prompt, and the answers before and after a run side by side."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mollm_cli import __version__
from mollm_cli.cli.arguments import Parser
from mollm_cli.cli.help import EXIT_CODES
from mollm_cli.cli.listing import table
from mollm_cli.core.discretion import told
from mollm_cli.core.endings import if_stopped
from mollm_cli.core.errors import RequestError
from mollm_cli.data.headers import is_known
from mollm_cli.launch.ending import exit_code

if TYPE_CHECKING:
    from rich.console import Console

    from mollm_cli.run.side_by_side import Conversation

BATCH = 16
"""Prompts of a pipe that are answered together."""
_EPILOG = (
    "On a terminal: type a prompt, read the answers in columns; Ctrl-D ends. Elsewhere JSON Lines: a row is\n"
    '{"prompt": "..."} or "..." on stdin, and {"prompt", "before", "after"} on stdout (and "oracle", with --oracle);\n'
    "before is null where that model is left out. All of stdin is read before a model is loaded.\n\n"
    "Examples:\n"
    "  mollm-try outputs/2026-01-31/12-00-00-000000_mollm\n"
    "  mollm-try RUN --oracle --max-tokens 128\n"
    "  mollm-try RUN < prompts.jsonl > answers.jsonl\n"
    "  echo '\"Who wrote it?\"' | mollm-try RUN --after-only --template none\n\n"
    "Exit codes:\n" + table({code: EXIT_CODES[code] for code in ("0", "2", "130")}, "  ")
)


def main(typed: Sequence[str] | None = None) -> int:
    """Answer the command line ``typed`` (sys.argv by default) and return the exit code."""

    def answer() -> int:
        arguments = _parser().parse_args(typed)
        with if_stopped("answers are kept nowhere"):
            return _answer(arguments)

    return exit_code("mollm-try", answer)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="mollm-try",
        usage="mollm-try [FLAGS] RUN_DIR",
        description="Ask a run's models, before and after, the same prompts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a run directory with checkpoint/")
    parser.add_argument("--after-only", action="store_true", help="leave the starting model out: half the memory")
    parser.add_argument("--oracle", action="store_true", help="ask the oracle that the run's config names as well")
    parser.add_argument(
        "--template",
        type=_template,
        help="auto (the tokenizer's chat template), none, or a text with {prompt}; default: that of data.forget",
    )
    parser.add_argument(
        "--max-tokens",
        type=_positive,
        metavar="N",
        help="longest answer; default: the run's evaluation.generate_tokens",
    )
    parser.add_argument(
        "--seed", type=int, metavar="S", help="draw answers at temperature 1, by this seed; default: greedy"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: auto")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="let the models run code of their own; read it first"
    )
    parser.add_argument("--version", action="version", version=f"mollm-unlearn {__version__}")
    return parser


def _template(text: str) -> str:
    if text not in ("auto", "none") and "{prompt}" not in text:
        raise argparse.ArgumentTypeError(f"must be auto, none or a text with {{prompt}}, found '{text}'")
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, found '{text}'")
    return int(text)


def _answer(arguments: argparse.Namespace) -> int:
    from mollm_cli.run.side_by_side import open_trial, require_run

    require_run(arguments.run_dir)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    prompts = [] if terminal else read_prompts(_stdin())
    if not terminal and not prompts:
        return 0
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for answers alone
        trial = open_trial(
            arguments.run_dir,
            after_only=arguments.after_only,
            oracle=arguments.oracle,
            template=arguments.template,
            max_tokens=arguments.max_tokens,
            seed=arguments.seed,
            device=arguments.device,
            trust_remote_code=arguments.trust_remote_code,
        )
    if terminal:
        return _converse(trial)
    return _pipe(trial, prompts)


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise RequestError(f"stdin must be UTF-8, found another byte at {problem.start}; convert it") from problem


def read_prompts(text: str) -> list[tuple[int, str]]:
    """The prompts in JSON Lines with their rows, 1-based; empty lines are passed over. Raises RequestError."""
    prompts = []
    for row, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise RequestError(
                f'stdin: row {row} must be {{"prompt": "..."}} or a JSON string, found text that is not JSON; '
                "put it in quotes"
            ) from problem
        prompt = value.get("prompt") if isinstance(value, dict) else value
        if not isinstance(prompt, str) or not prompt.strip():
            raise RequestError(
                f'stdin: row {row} must be {{"prompt": "..."}} or a JSON string that is not empty, found '
                f"{_shape(value)}; correct the row"
            )
        prompts.append((row, prompt))
    return prompts


def _shape(value: object) -> str:
    """A row that holds no prompt, in words that are not its own but for keys that are known."""
    if isinstance(value, dict):
        keys = [key if is_known(key) else told(key) for key in value]
        return f"an object with {', '.join(keys) or 'nothing'}"
    return "an empty text" if isinstance(value, str) else told(value)


def _pipe(trial: Conversation, prompts: Sequence[tuple[int, str]]) -> int:
    try:
        trial.check([prompt for _, prompt in prompts])
    except RequestError:
        for row, prompt in prompts:
            _check(trial, row, prompt)
        raise
    for start in range(0, len(prompts), BATCH):
        batch = [prompt for _, prompt in prompts[start : start + BATCH]]
        with contextlib.redirect_stdout(sys.stderr):
            answers = trial.answers(batch, BATCH)
        for prompt, said in zip(batch, answers, strict=True):
            print(json.dumps({"prompt": prompt, **said}), flush=True)
    return 0


def _check(trial: Conversation, row: int, prompt: str) -> None:
    try:
        trial.check([prompt])
    except RequestError as refused:
        raise RequestError(f"stdin: row {row}: {refused}") from refused


def _converse(trial: Conversation) -> int:
    from rich.console import Console

    from mollm_cli.reporting.console import plain_console

    with contextlib.suppress(ImportError):  # line editing and history, where the platform has them
        import readline  # noqa: F401
    console = plain_console(Console(markup=False, emoji=False, highlight=False))
    while True:
        try:
            prompt = input("> ")
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            print()
            raise
        if not prompt.strip():
            continue
        try:
            with contextlib.redirect_stdout(sys.stderr):
                (said,) = trial.answers([prompt])
        except RequestError as refused:
            print(refused, file=sys.stderr)
            continue
        _show(console, {moment: text for moment, text in said.items() if text is not None})


def _show(console: Console, said: dict[str, str]) -> None:
    """The answers in columns of equal width."""
    from rich.table import Table
    from rich.text import Text

    from mollm_cli.core.printable import printable

    answers = Table(expand=True, header_style="bold")
    for moment in said:
        answers.add_column(moment, ratio=1, overflow="fold")
    answers.add_row(*(Text(printable(text)) if text else Text("(nothing)", style="dim") for text in said.values()))
    console.print(answers)
