"""The end of every command and every run: an exit code, whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mollm_cli.core.endings import End, tell
from mollm_cli.core.paths import short_paths
from mollm_cli.core.privacy import private
from mollm_cli.core.terminal import plain_streams
from mollm_cli.launch.signals import Signals, behind, listening


def ended(program: str, answer: Callable[[], int]) -> End:
    """Run ``answer`` to its end: the code that it returns, or that of the exception it raises, told on stderr.

    Nowhere else does an exception become an exit code.
    """
    try:
        code = answer()
    except BaseException as error:
        return tell(program, behind(error))
    return End("completed" if code == 0 else "failed", code, "")


def exit_code(program: str, answer: Callable[[], int]) -> int:
    """The exit code of a command whose whole work is ``answer``, which a signal ends where it stands."""
    with private(), plain_streams(), listening() as signals:
        return ended(program, lambda: _flushed(answer, signals)).code


def _flushed(answer: Callable[[], int], signals: Signals) -> int:
    signals.heed()
    with short_paths():
        try:
            code = answer()
        except SystemExit as done:  # of argparse and of Hydra, when they have printed what was asked for
            code = done.code if isinstance(done.code, int) else int(done.code is not None)
    sys.stdout.flush()
    return code
