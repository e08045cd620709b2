"""Rows in order, and files in their place."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.hostile.hostile_input import PLANTED, Make, Place

ROWS = [{"question": f"Who is {PLANTED} {n}?", "answer": f"{PLANTED} of {n}."} for n in range(12)]
MIB = 1 << 20


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> object:
        return Path.touch, (self.canary,)


def lines(rows: list[Any]) -> bytes:
    """JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def forgetting(place: Place, path: Path | str, *typed: str) -> list[str]:
    """``--check`` of the file as the forget set, beside a retain set in order."""
    retain = place.write(
        "retain.jsonl", lines([{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(12)])
    )
    return place.checked("data=custom", f"data.forget.path={path}", f"data.retain.path={retain}", *typed)


def data_file(name: str, content: bytes | Callable[[], bytes], *typed: str) -> Make:
    """``--check`` of a file. content: a function where it takes time to make."""

    def write(place: Place, rng: random.Random) -> list[str]:
        return forgetting(place, place.write(name, content() if callable(content) else content), *typed)

    return write
