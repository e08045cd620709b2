"""One process of several: rank 0 says what is run, the others run it with it. ``python -m`` starts one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.configuration.request import request
from mollm_cli.core.allowed import Allowed, allowed, allowing
from mollm_cli.core.endings import tell
from mollm_cli.core.privacy import private
from mollm_cli.core.terminal import plain_streams
from mollm_cli.launch.leave import leave
from mollm_cli.launch.processes import follows, launched

if TYPE_CHECKING:
    from mollm_cli.run.process_group import ProcessGroup

ORPHANED_SECONDS = 60.0
"""How long a process goes on, to finish its step and save, when the one that has started it is gone."""
LAST_SECONDS = 5.0
"""How long it then has after a second signal, which ends it without a point, and a third, which is written down."""
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What is run: the command, its resolved configuration, where it writes, what it goes on with, what was typed.

    allowed: what the command line allows, which a process of its own does not see.
    """

    command: str
    config: Mapping[str, Any]
    run_dir: str
    resume: str | None
    typed: list[str]
    allowed: Mapping[str, Any] = field(default_factory=lambda: dataclasses.asdict(allowed()))


def run_here(job: RunSpec) -> int:
    """Run ``job`` in this process and those that are there with it; the exit code. Whatever goes wrong is said."""
    from mollm_cli.run.process_group import company

    _end_with_parent()
    with company() as peers:
        if peers.world.size > 1:
            peers.world.from_first(dataclasses.asdict(job))
        return _run(job, peers)


def nothing_to_do(code: int) -> int:
    """Let the processes that follow go, where the run is done already; ``code`` itself."""
    from mollm_cli.run.process_group import company

    with company() as peers:
        peers.world.from_first({"done": code})
        peers.tell("completed", 0, None)
    return code


def follow() -> int:
    """Do what rank 0 says, in silence; the exit code, which is rank 0's where that has one."""
    _end_with_parent()
    with _silent():
        from mollm_cli.run.process_group import company

        with company() as peers:
            said = peers.world.from_first(None)
            if "done" in said:
                peers.tell("completed", 0, None)
                return int(said["done"])
            job = RunSpec(**said)
            sys.argv = job.typed
            code = _run(job, peers)
            first = peers.ending_of_first()
            return code if first is None else first.code


def _run(job: RunSpec, peers: ProcessGroup) -> int:
    from mollm_cli import run

    commands: dict[str, Callable[..., int]] = {
        "unlearn": run.unlearn,
        "finetune": run.finetune,
        "evaluate": run.evaluate,
    }
    try:
        others = (peers,) if peers.world.size > 1 else ()
        with allowing(Allowed.from_plain(job.allowed)):
            asked = dataclasses.replace(request(job.config, job.command), resume=job.resume)
            code = commands[job.command](asked, Path(job.run_dir), dict(job.config), *others)
        told = None
    except BaseException as error:
        end = tell(f"mollm-{job.command}", error)
        code, told = end.code, end.told
    peers.tell("completed" if code == 0 else "failed", code, told)
    return code


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """What Python and its libraries print is not seen; a crash below Python still is."""
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def main() -> int:
    """One process that ``spawner`` has started, with a line on stdin: the job, for the first; the exit code."""
    line = sys.stdin.readline()
    with private():
        if follows():
            return follow()
        job = RunSpec(**json.loads(line))
        sys.argv = job.typed
        with plain_streams(), contextlib.redirect_stdout(sys.stderr):
            return run_here(job)


def _end_with_parent() -> None:
    """Of several processes none outlives what has started it, torchrun too: then as if it had been asked to end."""
    if launched() is None:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        for patience in (ORPHANED_SECONDS, LAST_SECONDS, LAST_SECONDS):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(patience)
        os._exit(143)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    leave(main())
