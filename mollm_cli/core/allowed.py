"""Permissions that the command line gives to strangers' files, which cannot give themselves any."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from mollm_cli.core.secrets import shown_override

CODE, VARIABLE = "--allow-code", "--allow-env"
_READ = re.compile(r"\$\{\s*oc\.env\s*:\s*(\w+)")


@dataclass(frozen=True, slots=True)
class Allowed:
    """Nothing, unless it was typed.

    code: packages whose callables a ``_target_`` may name. variables: of the environment, which a YAML may read.
    keys: every key that was typed. line: the whole command line, without its secrets, to be shown with what to add.
    """

    code: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    line: str = ""

    @classmethod
    def typed(
        cls, program: str, words: Sequence[str], overrides: Sequence[str], code: Sequence[str], variables: Sequence[str]
    ) -> Allowed:
        """The permissions on a command line of ``program``: ``words`` are all of it, ``overrides`` those with a value.

        An override that reads a variable of the environment names that variable.
        """
        read = [name for text in overrides for name in _READ.findall(text)]
        keys = tuple(text.partition("=")[0].lstrip("+~") for text in overrides)
        return cls(tuple(code), (*variables, *read), keys, shlex.join([program, *map(shown_override, words)]))

    @classmethod
    def from_plain(cls, said: Mapping[str, Any]) -> Allowed:
        """The permissions of another process of this run, from ``dataclasses.asdict`` by way of JSON."""
        return cls(tuple(said["code"]), tuple(said["variables"]), tuple(said["keys"]), said["line"])

    def with_flag(self, flag: str) -> str:
        """The line to type, with ``flag``."""
        return f"{self.line} {flag}".lstrip()


_NOTHING = Allowed()
_CURRENT: ContextVar[Allowed] = ContextVar("allowed", default=_NOTHING)


def allowed() -> Allowed:
    """The permissions of the command line that is being answered; none outside of one."""
    return _CURRENT.get()


@contextmanager
def allowing(what: Allowed) -> Iterator[None]:
    """Within the block ``allowed`` is ``what``."""
    before = _CURRENT.set(what)
    try:
        yield
    finally:
        _CURRENT.reset(before)
