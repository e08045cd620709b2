"""The help text, printed before Hydra is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mollm_cli.cli.listing import table
from mollm_cli.configuration.choices import choices
from mollm_cli.configuration.programs import Command

FLAGS = {
    "-h, --help": "this text",
    "--version": "the version",
    "--list GROUP": "the choices of a group, a line each",
    "--check": "go through configuration, files and tokenizer; load no model",
    "--plan [--hours]": "memory and disk of a training, before its weights are loaded; its hours by three steps",
    "--cfg job [--resolve]": "print the composed configuration",
    "--config-dir DIR": "a folder with YAML files of your own, laid out like conf/",
    "--allow-code PACKAGE": "let _target_ name code of a package that is yours, or that you have read; may be repeated",
    "--allow-env NAME": "let YAML files that are not ours read this variable of the environment; may be repeated",
    "--purge RUN": "remove what a run that has ended keeps of its rows: its caches and its texts",
    "-m, --multirun": "one run for each combination of comma-separated values",
    "--resume-sweep DIR": "run what is missing of a sweep: jobs that failed, were killed, or never began",
    "--hydra-help": "Hydra's own flags; tab completion: --shell-completion install=bash",
}
EXIT_CODES = {
    "0": "done",
    "1": "the run failed",
    "2": "the request was wrong (configuration, data, model files, output folder), or there is nothing to forget",
    "3": "the run finished and a gate failed",
    "130": "interrupted",
    "143": "terminated",
    "129": "hung up: the terminal or the connection was closed (not under nohup)",
}


def help_text(command: Command, folders: Sequence[Path]) -> str:
    """The text of ``--help``: usage, groups with their choices, examples, flags, exit codes."""
    parts = [
        f"{command.about}\n\nUsage: {command.program} [FLAGS] [GROUP=NAME ...] [KEY=VALUE ...]",
        "Groups (GROUP=NAME), and what can be chosen:",
        *(_group(group, folders) for group in command.groups),
        "Examples:\n" + "\n".join(_example(command.program, *example) for example in command.examples),
        "Flags:\n" + table(FLAGS, "  "),
        "Exit codes (of a sweep: the worst of its jobs, 1 before 3):\n" + table(EXIT_CODES, "  "),
        "stdout carries one line, the run directory; everything else goes to stderr. "
        "Every key and its default: --cfg job.\n"
        "A value with = or ( in it needs quotes: 'data.forget.path=\"a=b.jsonl\"'.",
    ]
    return "\n\n".join(parts)


def _example(program: str, line: str, why: str) -> str:
    return f"  {program} {line}".rstrip() + f"\n      {why}"


def _group(group: str, folders: Sequence[Path]) -> str:
    found = choices(group, folders)
    return f"{group}\n{table(found, '  ')}" if found else f"{group}\n  (none; add your own with --config-dir)"
