"""JSON Lines and JSON arrays. The extension decides nothing: files of either shape are called .json and .jsonl."""

from __future__ import annotations

import json

from mollm_cli.core.errors import RequestError
from mollm_cli.data.source_row import Numbered, Values


def read_json(text: str, name: str) -> Numbered:
    """The rows of ``text``; a row is an object. Raises RequestError, naming file and row."""
    if text.lstrip().startswith("["):
        yield from _array(text, name)
        return
    for row, line in enumerate(text.split("\n"), start=1):  # splitlines() would also split at U+2028 inside strings
        if line.strip():
            yield row, json_line(line, name, row)


def json_line(line: str, name: str, row: int) -> Values:
    """The object in one line. Raises RequestError, naming file and row."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as problem:
        raise RequestError(
            f"{name}: row {row} must be a JSON object, found text that is not JSON ({problem.msg}, column "
            f"{problem.colno}). {_remedy(line)}"
        ) from problem
    except (ValueError, RecursionError) as problem:
        raise _unreadable(f"{name}: row {row}", problem) from problem
    return _object(values, name, row)


def _remedy(line: str) -> str:
    if line.strip() == "{":
        return "Write each object in one line (jq -c . FILE), or all of them as one array"
    return "Repair the line, or name a file of plain text .txt"


def _array(text: str, name: str) -> Numbered:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as problem:
        raise RequestError(
            f"{name}: must be a JSON array of objects, found text that is not JSON from line {problem.lineno}, column "
            f"{problem.colno} on ({problem.msg}). Repair it, or write one object per line"
        ) from problem
    except (ValueError, RecursionError) as problem:
        raise _unreadable(f"{name}:", problem) from problem
    for row, values in enumerate(rows, start=1):
        yield row, _object(values, name, row)


def _object(values: object, name: str, row: int) -> Values:
    if not isinstance(values, dict):
        raise RequestError(
            f"{name}: row {row} must be a JSON object with named fields, found {type(values).__name__}. "
            'Write rows such as {"question": "...", "answer": "..."}'
        )
    return values


def _unreadable(where: str, problem: Exception) -> RequestError:
    """JSON that Python refuses: numbers of thousands of digits, lists in lists in lists."""
    return RequestError(f"{where} must hold JSON that can be read, found: {problem}. Write it plainer")
