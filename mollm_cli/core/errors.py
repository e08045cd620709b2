"""The exceptions that callers catch.

MollmError
├── RequestError        exit code 2: the request was wrong; found before the first step
│   └── NothingToForgetError  the forget rows already score at or below the target
├── RunError            exit code 1: the run failed
│   └── NonFiniteError  a loss, a Gram matrix or a gradient is not finite; the optimizer has not moved
├── GateError           exit code 3: the run finished and a gate failed
├── InterruptionError   exit code 130, 143 or 129
└── OutputError         exit code 1: stdout does not take what is printed
    └── UnreadError     exit code 0: who read it has gone, and wants no more

A wrong argument of a constructor is a ValueError; run.py turns it into exit code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MollmError(Exception):
    """The root of the tree."""

    exit_code = 1


class RequestError(MollmError):
    """A request that cannot be met: the configuration, data, model files or output folder are wrong."""

    exit_code = 2


class NothingToForgetError(RequestError):
    """The forget rows already score at or below the target: whatever came out would pass for forgotten."""


class RunError(MollmError):
    """The run began and failed."""


class NonFiniteError(RunError):
    """A loss, a Gram matrix or a gradient is not finite; the model on disk is the last good one."""


class GateError(MollmError):
    """The run finished, and what it reached is not what was demanded."""

    exit_code = 3


class InterruptionError(MollmError):
    """A signal ended the run after a whole step; ``exit_code`` is 130 (SIGINT), 143 (SIGTERM) or 129."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class OutputError(MollmError):
    """stdout does not take what is printed: a full disk, a terminal that is gone."""


class UnreadError(OutputError):
    """Whoever read stdout has closed it (``| head``): there is nothing to say, and nothing went wrong."""

    exit_code = 0


MOST_CHOICES = 50
"""Choices that a message still lists."""


def nearest(name: str, choices: Iterable[str], most: int = 3) -> str:
    """``choices`` in one line, those that look like ``name`` first: "did you mean 'a'? choices: a, b, c".

    Of more than MOST_CHOICES the five that look most like it.
    """
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=most, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    if len(known) > MOST_CHOICES:
        return f"{hint}the nearest of {len(known)}: {', '.join(difflib.get_close_matches(name, known, 5, 0.0))}"
    rest = [c for c in known if c not in close]
    return f"{hint}choices: {', '.join(close + rest)}"
