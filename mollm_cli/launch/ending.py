"""How every command ends: with an exit code, whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mollm_cli.core.endings import tell
from mollm_cli.core.paths import short_paths
from mollm_cli.core.privacy import private
from mollm_cli.core.terminal import plain_streams


def exit_code(program: str, answer: Callable[[], int]) -> int:
    """What ``answer`` returns; of whatever it raises, which is told on stderr, the code of that."""
    with private(), plain_streams():
        try:
            with short_paths():
                code = _code(answer)
            sys.stdout.flush()
        except BaseException as error:
            code = tell(program, error).code
    return code


def _code(answer: Callable[[], int]) -> int:
    try:
        return answer()
    except SystemExit as done:  # of argparse and of Hydra, when they have printed what was asked for
        return done.code if isinstance(done.code, int) else int(done.code is not None)
