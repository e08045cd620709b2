"""Rules that select a dataset's rows: one rule per field, and a row must pass all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mollm_cli.core.discretion import in_clear
from mollm_cli.core.errors import nearest

TESTS = ("matches", "not_matches", "min", "max", "except")


def check_rule(rule: Any) -> None:
    """Refuse a rule that tests nothing. Raises ValueError, whose text goes on after the field's name."""
    if not isinstance(rule, Mapping):
        return
    for test, wanted in rule.items():
        if test not in TESTS:
            raise ValueError(f"must be a value, a list of values, or tests out of {', '.join(TESTS)}; found '{test}'")
        if test in ("matches", "not_matches"):
            try:
                re.compile(wanted)
            except (re.error, TypeError) as problem:
                raise ValueError(f"must hold a regular expression in {test}, found {wanted!r}: {problem}") from problem
        elif test in ("min", "max") and not isinstance(wanted, int | float):
            raise ValueError(f"must hold a number in {test}, found {wanted!r}")


def keeps(rule: Any, value: Any) -> bool:
    """True if ``value`` passes ``rule``.

    Flags ({name: true or false}, as the harm categories of PKU-SafeRLHF) are the names that are set: a rule that is a
    name, or a list of names, passes where one of them is. Raises ValueError where min or max meets what is no number,
    and where there is no such flag.
    """
    if isinstance(value, Mapping) and not isinstance(rule, Mapping):
        return any(_flag(value, name) for name in (rule if isinstance(rule, list | tuple) else [rule]))
    if isinstance(rule, Mapping):
        return all(_passes(test, wanted, value) for test, wanted in rule.items())
    if isinstance(rule, list | tuple):
        return any(_same(wanted, value) for wanted in rule)
    return _same(rule, value)


def _passes(test: str, wanted: Any, value: Any) -> bool:
    if test in ("matches", "not_matches"):
        found = re.search(wanted, "" if value is None else str(value)) is not None
        return found == (test == "matches")
    if test == "except":
        return not keeps(wanted, value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{test} needs a number, found {type(value).__name__}") from None
    return bool(number >= wanted) if test == "min" else bool(number <= wanted)


def _flag(flags: Mapping[str, Any], name: Any) -> bool:
    if name not in flags:
        if in_clear():
            raise ValueError(f"'{name}' is none of its flags; {nearest(str(name), flags)}")
        raise ValueError(
            f"'{name}' is none of its {len(flags)} flags; name one of them (evaluation.keep_text=true shows them)"
        )
    return bool(flags[name])


def _same(wanted: Any, value: Any) -> bool:
    """Equality; a CSV holds text only, so there True and 3 are compared with their spelling."""
    if isinstance(value, str) and not isinstance(wanted, str):
        return value.strip().lower() == str(wanted).lower()
    return bool(wanted == value)
