"""The end that an exception makes of a command: status, exit code and last words, for all processes of it."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from mollm_cli.core.discretion import reason, trace
from mollm_cli.core.errors import GateError, InterruptionError, MollmError, NothingToForgetError
from mollm_cli.core.faults import explained

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Signals that end a run, with its exit code then: 128 and the signal's number, as a shell has it."""
INTERRUPTED = tuple(CODES.values())
NOTHING = "nothing_to_forget"
STATUS = {GateError: "gate_failed", InterruptionError: "interrupted", NothingToForgetError: NOTHING}
"""The status of a run by the error that ends it; any other error makes it "failed"."""


class Interrupted(KeyboardInterrupt):
    """A signal, raised where the program stands; no library takes a KeyboardInterrupt for a problem of its own."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


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
        return End("interrupted", getattr(error, "exit_code", 130), "interrupted")
    fault = explained(error, run_dir)
    return End("failed", 1, reason(error), defect=True) if fault is None else end_by(fault)


def tell(program: str, error: BaseException) -> End:
    """Say on stderr how ``error`` ends ``program``, nothing where somebody has stopped it; returns how that is."""
    end = end_by(error)
    if end.defect:
        print(trace(error), file=sys.stderr)
    elif end.told and not isinstance(error, KeyboardInterrupt):
        print(f"{program}: {end.told}", file=sys.stderr)
    return end
