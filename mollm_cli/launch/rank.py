"""One process of several: rank 0 says what is run, the others run it with it. ``python -m`` starts one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from mollm_cli.core.endings import heeded
from mollm_cli.core.privacy import private
from mollm_cli.launch.door import enter, take_part, typed
from mollm_cli.launch.ending import exit_code
from mollm_cli.launch.leave import leave
from mollm_cli.launch.processes import follows
from mollm_cli.launch.run_spec import RunSpec
from mollm_cli.launch.signals import let_through


def nothing_to_do(code: int) -> int:
    """Let the processes that follow go, where the run is done already; ``code`` itself."""
    from mollm_cli.launch.process_group import company

    with company() as peers:
        peers.world.from_first({"done": code})
        peers.tell("completed", 0, None)
    return code


def follow() -> int:
    """Do what rank 0 says, in silence; the exit code, which is rank 0's where that has one.

    Until its session begins there is nothing to finish, and a signal ends the process without a word.
    """
    for number in heeded():
        signal.signal(number, signal.SIG_DFL)
    let_through()
    with _silent():
        from mollm_cli.launch.process_group import company

        with company() as peers:
            said = peers.world.from_first(None)
            if "done" in said:
                peers.tell("completed", 0, None)
                return int(said["done"])
            end, first = take_part(RunSpec(**said), peers), peers.ending_of_first()
            return end.code if first is None else first.code


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Hide the output of Python and its libraries; a crash below Python still shows."""
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def main() -> int:
    """One process that ``spawner`` has started, with a line on stdin: the run, for the first; the exit code."""
    line = sys.stdin.readline()
    if follows():
        with private():
            return follow()
    spec = RunSpec(**json.loads(line))
    with typed(spec.typed), contextlib.redirect_stdout(sys.stderr):
        return exit_code(spec.program, lambda: enter(spec))


if __name__ == "__main__":
    leave(main())
