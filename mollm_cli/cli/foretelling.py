"""The answer to ``--plan``: a table on stderr, lines to paste, and one line of JSON for a script."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence

from mollm_cli.cli.arguments import Arguments
from mollm_cli.configuration.programs import Command
from mollm_cli.configuration.request import Request, TrainRequest
from mollm_cli.core.errors import RequestError
from mollm_cli.core.secrets import shown_override


def foretell(command: Command, arguments: Arguments, requests: Sequence[Request]) -> int:
    """Answer ``--plan``, to a stdout that is no terminal as one line of JSON too.

    Raises RequestError where there is no training, or more than one.
    """
    request, *more = requests
    if not isinstance(request, TrainRequest):
        raise RequestError("--plan is of a training, found mollm-evaluate; use it with mollm-unlearn or mollm-finetune")
    if more:
        raise RequestError(f"--plan is of one run, found {len(requests)} jobs; leave -m or sweep=NAME out")
    from mollm_cli import run
    from mollm_cli.reporting.formatting import size

    data = run.plan(request, command.name, arguments.hours)
    for less in data["remedies"]:
        typed = map(shown_override, (*arguments.overrides, *less["overrides"]))
        print(f"with {size(less['peak_bytes'])}: {shlex.join([command.program, *typed])}", file=sys.stderr)
    if not sys.stdout.isatty():
        print(json.dumps(data))
    return 0
