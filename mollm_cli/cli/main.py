"""The answers to a command line: help, a listing, a configuration, a check, or a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mollm_cli import __version__
from mollm_cli.cli.arguments import PASSED_ON, Arguments, read
from mollm_cli.cli.help import help_text
from mollm_cli.cli.listing import listing
from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.first_look import first_look
from mollm_cli.configuration.programs import Command
from mollm_cli.core.allowed import allowing
from mollm_cli.core.endings import if_stopped
from mollm_cli.core.errors import RequestError
from mollm_cli.launch.ending import exit_code
from mollm_cli.launch.processes import follows


def main(command: Command, typed: Sequence[str] | None = None) -> int:
    """Answer the command line ``typed`` (sys.argv by default) and return the exit code; nothing is raised."""
    arguments = sys.argv[1:] if typed is None else list(typed)
    # Libraries take their time in a process of its own; where they are loaded already there is nothing to wait for.
    waits = typed is None
    return exit_code(command.program, lambda: _follow(arguments) if follows() else _answer(command, arguments, waits))


def _follow(typed: Sequence[str]) -> int:
    """Of several processes that were started with this command line, one answers: the others run with it, or end."""
    try:
        arguments = read(typed)
    except RequestError as refused:
        return refused.exit_code
    answers = (arguments.help, arguments.version, arguments.listed, arguments.purge, arguments.cfg)
    if any(answers) or arguments.check or arguments.plan:
        return 0
    from mollm_cli.launch.rank import follow

    return follow()


def _answer(command: Command, typed: Sequence[str], waits: bool) -> int:
    if any(text.split("=")[0] in PASSED_ON for text in typed):
        return _hydra_answers(command, typed)
    arguments = read(typed)
    with allowing(arguments.allowed(command.program, typed)):
        return _answer_to(command, arguments, waits)


def _answer_to(command: Command, arguments: Arguments, waits: bool) -> int:
    folders = arguments.folders(config_dir())
    if arguments.help:
        print(help_text(command, folders))
    elif arguments.version:
        print(f"mollm-unlearn {__version__}")
    elif arguments.listed is not None:
        print(listing(arguments.listed, folders))
    elif arguments.purge is not None:
        from mollm_cli.launch.purge import purge

        with if_stopped("not everything is removed"):
            purge(Path(arguments.purge))
    else:
        if arguments.config_dir is None and arguments.resume_sweep is None:
            first_look(command, arguments.overrides, folders[0])
        if waits and arguments.cfg is None:
            print(f"{command.program}: reading the request, loading libraries ...", file=sys.stderr, flush=True)
        from mollm_cli.cli.runs import compose_and_run

        return compose_and_run(command, arguments)
    return 0


def _hydra_answers(command: Command, typed: Sequence[str]) -> int:
    import hydra

    from mollm_cli.configuration.yaml_source import check_files

    check_files()
    flags = [text for text in typed if text.startswith("-")]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # it raises, and does not exit with 1
    sys.argv = [sys.argv[0], *flags, *(text for text in typed if text not in flags)]
    hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=command.config)(lambda cfg: None)()
    return 0
