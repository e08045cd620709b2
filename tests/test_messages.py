"""Every message that a user may get says what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import mollm_cli

RAISED = ("RequestError", "RunError", "OutputError")
REMEDIES = re.compile(
    r"[;.?] ['\"{]?\w|must be in \[|describe\(|: \{(refused|problem)\}|(remedy|nearest|advice|row_for_header)\("
)
"""A second clause; a range or a type, which is its own remedy; another's message; or a function that has the remedy."""


def without_remedy(source: str) -> Iterator[str]:
    """The messages that nothing follows upon what was found; one that a function makes is looked at by its own test."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) in RAISED:
            (message,) = node.exc.args
            if not isinstance(message, ast.Call) and not REMEDIES.search(text := ast.unparse(message)):
                yield text


def test_every_message_says_what_to_do() -> None:
    sources = sorted(Path(mollm_cli.__path__[0]).rglob("*.py"))
    assert len(sources) > 300
    assert [(file.name, text) for file in sources for text in without_remedy(file.read_text(encoding="utf-8"))] == []


def test_a_message_that_does_not_is_seen() -> None:
    said = "raise RequestError(f'{key} must be a file, found {value}')"
    assert list(without_remedy(said)) and not list(without_remedy(said.replace("}')", "}; set {key}=FILE')")))
