"""The end that an exception makes of a command: status, exit code and last words, for all processes of it."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mollm_cli.core.discretion import reason, trace
from mollm_cli.core.errors import GateError, InterruptionError, MollmError, NothingToForgetError
from mollm_cli.core.faults import explained
from mollm_cli.core.secrets import shown_override

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Signals that end a run, with its exit code then: 128 and the signal's number, as a shell has it."""
INTERRUPTED = tuple(CODES.values())
NOTHING = "nothing_to_forget"
STATUS = {GateError: "gate_failed", InterruptionError: "interrupted", NothingToForgetError: NOTHING}
"""The status of a run by the error that ends it; any other error makes it "failed"."""


NOTHING_KEPT, AS_IT_WAS = "nothing was kept", "the run is as it was"
"""The state of a new run, and of an older one, that is stopped before its directory is opened."""


class Interrupted(KeyboardInterrupt):
    """A signal, raised where the program stands; no library takes a KeyboardInterrupt for a problem of its own.

    kept: what is said of what the command leaves. again: the command that goes on, "" for the one that was typed.
    """

    def __init__(self, exit_code: int = 130, kept: str = NOTHING_KEPT, again: str = "") -> None:
        super().__init__()
        self.exit_code, self.kept, self.again = exit_code, kept, again


@dataclass(frozen=True, slots=True)
class End:
    """The end of a command. told: "" if there is nothing to say. defect: a fault of ours, so its trace is needed."""

    status: str
    code: int
    told: str
    defect: bool = False


def heeded() -> list[signal.Signals]:
    """The signals of CODES; not SIGHUP where this process was started to outlive its terminal (nohup)."""
    return [number for number in CODES if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def end_by(error: BaseException, run_dir: Path | None = None) -> End:
    """The end that ``error`` puts to a command. run_dir: the directory of a run that can be continued."""
    if isinstance(error, MollmError):
        return End(STATUS.get(type(error), "failed"), error.exit_code, str(error))
    if isinstance(error, KeyboardInterrupt):
        return End("interrupted", _as_interrupted(error).exit_code, "interrupted")
    fault = explained(error, run_dir)
    return End("failed", 1, reason(error), defect=True) if fault is None else end_by(fault)


@contextmanager
def if_stopped(kept: str, again: str = "") -> Iterator[None]:
    """Whoever stops the block is told ``kept`` and ``again`` (of Interrupted), unless the block has said it itself."""
    try:
        yield
    except KeyboardInterrupt as error:
        stopped = _as_interrupted(error)
        if stopped.kept == NOTHING_KEPT:
            stopped.kept, stopped.again = kept, again
        raise stopped from None


def tell(program: str, error: BaseException) -> End:
    """Say on stderr how ``error`` ends ``program``: to who stopped it, how to go on; returns how that is."""
    end = end_by(error)
    if end.defect:
        print(trace(error), file=sys.stderr)
    elif isinstance(error, KeyboardInterrupt):
        stopped = _as_interrupted(error)
        again = stopped.again or shlex.join([program, *map(shown_override, sys.argv[1:])])
        told = ", ".join(filter(None, ("interrupted", stopped.kept)))
        print(f"{program}: {told}; start again with: {again}", file=sys.stderr)
    elif end.told:
        print(f"{program}: {end.told}", file=sys.stderr)
    return end


def _as_interrupted(error: KeyboardInterrupt) -> Interrupted:
    return error if isinstance(error, Interrupted) else Interrupted()
