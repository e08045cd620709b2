"""Tokens, keys and passwords, which no file and no terminal is told. What is written or said goes through here."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "***"
"""The text that stands in place of a secret."""
SHORTEST = 8
"""Characters: a shorter value is looked for nowhere, since it would be found in ordinary words."""
_KEY = r"(api|access|private|secret|auth|signing|encryption|service|account|master|shared|ssh|client)[_-]?keys?"
_NAMES = re.compile(
    rf"(token|secrets?|passwords?|passwd|passphrase|credentials?|authorization|cookie|connection[_-]?string|webhook|{_KEY}"
    r"|(api|access|auth|refresh|bearer)[_-]?tokens|(?<=[_-])pwd|(^|[_-])(pat|jwt|dsn|auth)|^pass)([_-]?\d+)?$",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"\b(hf_|api_org_|npm_|gh[opsur]_|github_pat_|glpat-|sk-|[prs]k_live_|[prs]k_test_|dop_v1_|ya29\.)[\w-]{20,}"
    r"|\b(xox[abeprs]-|xapp-)[\w-]{10,}|\b(AKIA|ASIA)[0-9A-Z]{16}|\bAIza[\w-]{35}|\bpypi-AgE[\w-]{20,}"
    r"|\bSG\.[\w-]{16,}\.[\w-]{16,}|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}(\.[\w-]*)?"
    r"|(?<=://)(?!git@)[^/\s@]+(?=@)|(?<=Bearer )\S{8,}|(?<=bearer )(?=\S*\d)\S{8,}|(?<=uthorization: Basic )\S{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----.*?(-----END [A-Z ]*PRIVATE KEY( BLOCK)?-----|\Z)",
    re.DOTALL,
)
"""The look of a secret, wherever it stands: the forms of well-known services, and a login inside an address."""
_GIVEN = re.compile(
    rf"\b(?P<name>[\w.-]*(token|secret|password|passwd|pwd|signature|\bsig|{_KEY})\s*=\s*)[^\s&;,'\"]{{{SHORTEST},}}",
    re.IGNORECASE,
)
"""A value beside the name of a secret: in the query of an address, in a connection string."""


def is_secret(key: str) -> bool:
    """True if the last part of the dotted ``key`` (or the name of an environment variable) names a secret."""
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
    return _GIVEN.sub(rf"\g<name>{HIDDEN}", _SHAPES.sub(HIDDEN, text))


def _hidden(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _hidden(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(each) for each in value]
    return HIDDEN if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "" else value


def _known() -> list[str]:
    """The values that this process was given as secrets, the longest first: one may be part of another."""
    pairs = [*os.environ.items(), *(argument.partition("=")[::2] for argument in sys.argv[1:])]
    return sorted({v for key, v in pairs if len(v) >= SHORTEST and is_secret(key)}, key=len, reverse=True)
