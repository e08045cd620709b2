"""Tokens, keys and passwords, which no file and no terminal is told. What is written or said goes through here."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "***"
"""What stands in place of a secret."""
SHORTEST = 8
"""Characters: a shorter value is looked for nowhere, since it would be found in ordinary words."""
_NAMES = re.compile(
    r"(token|secret|password|passwd|passphrase|credentials?|(api|access|private|secret|auth)[_-]?key)$", re.IGNORECASE
)
_SHAPES = re.compile(
    r"hf_[A-Za-z0-9]{20,}|gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|sk-[\w-]{20,}|xox[abprs]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?<=Bearer )\S{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
"""What a secret looks like wherever it stands: the forms of well-known services, a password in an address."""


def is_secret(key: str) -> bool:
    """Whether the last part of the dotted ``key`` (or the name of an environment variable) names a secret."""
    return bool(_NAMES.search(key.rpartition(".")[2]))


def redacted(text: str) -> str:
    """``text`` with HIDDEN for each secret of the environment and the command line, and for what looks like one."""
    return _clean(text, _known())


def without_secrets(node: Any) -> Any:
    """``node`` (mappings, lists, plain values) with HIDDEN under each key that names a secret; texts are ``redacted``.

    A key keeps null, so that what was never given is not taken for a secret.
    """
    return _without(node, _known())


def shown_override(text: str) -> str:
    """``KEY=VALUE`` as it may be shown: the value is HIDDEN where KEY names a secret."""
    key, equals, _ = text.partition("=")
    return f"{key}={HIDDEN}" if equals and is_secret(key) else redacted(text)


def _without(node: Any, known: Sequence[str]) -> Any:
    if isinstance(node, Mapping):
        return {
            _clean(key, known) if isinstance(key, str) else key: _hidden(value)
            if is_secret(str(key))
            else _without(value, known)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [_without(value, known) for value in node]
    return _clean(node, known) if isinstance(node, str) else node


def _clean(text: str, known: Sequence[str]) -> str:
    for value in known:
        text = text.replace(value, HIDDEN)
    return _SHAPES.sub(HIDDEN, text)


def _hidden(value: object) -> object:
    return HIDDEN if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "" else value


def _known() -> list[str]:
    """The values that this process was given as secrets, the longest first: one may be part of another."""
    pairs = [*os.environ.items(), *(argument.partition("=")[::2] for argument in sys.argv[1:])]
    return sorted({v for key, v in pairs if len(v) >= SHORTEST and is_secret(key)}, key=len, reverse=True)
