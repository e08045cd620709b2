"""Values on their way from one process to another as JSON: no pickle, so nothing that arrives is code."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from typing import Any

KINDS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "span": (datetime.timedelta, lambda x: repr(x.total_seconds()), lambda x: datetime.timedelta(seconds=float(x))),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "uuid": (uuid.UUID, str, uuid.UUID),
}
"""Types that a table may hold beside JSON's own: how each is written as text, and read."""


class Crossing:
    """Both ends of one way. ``mark`` is drawn anew for each, so that no row can look like a value of KINDS."""

    def __init__(self) -> None:
        self.mark, self._marked = uuid.uuid4().hex, False
        self._encoder = json.JSONEncoder(default=self._written, separators=(",", ":"))

    def pack(self, value: Any) -> bytes:
        """``value`` as JSON; what JSON does not know and KINDS neither as its type's name. Raises ValueError."""
        return self._encoder.encode(value).encode()

    def unpack(self, packed: bytes) -> Any:
        """The values that were packed; tuples come back as lists."""
        return json.loads(packed, object_hook=self._read) if self.mark.encode() in packed else json.loads(packed)

    def _written(self, value: Any) -> dict[str, Any]:
        for kind, (type_, write, _) in KINDS.items():
            if isinstance(value, type_):
                return {self.mark: kind, "text": write(value)}
        raise ValueError(f"a value of the type {type(value).__name__}")

    def _read(self, node: dict[str, Any]) -> Any:
        return KINDS[node[self.mark]][2](node["text"]) if self.mark in node else node
