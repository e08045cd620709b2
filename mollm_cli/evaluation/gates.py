"""Gates: what a run must reach for exit code 0, e.g. ``retain_probability>=0.95*before``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mollm_cli.core.errors import nearest

GRAMMAR = "NAME OP NUMBER or NAME OP [NUMBER*](before|oracle)[+NUMBER|-NUMBER], with OP one of <= >= < > =="
"""NAME: a flat metric name of metrics.json; ``before`` and ``oracle``: the same metric's value there."""

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GATE = re.compile(
    rf"\s*(?P<name>[A-Za-z_][\w.-]*)\s*(?P<comparison><=|>=|==|<|>)\s*"
    rf"(?:(?P<number>[+-]?{_NUMBER})"
    rf"|(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<base>before|oracle)\s*(?P<offset>[+-]\s*{_NUMBER})?)\s*"
)


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate after the run: the value found, the bound it was held against (None where missing), whether it held."""

    gate: str
    value: float | None
    bound: float | None
    held: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """``name comparison factor * base + offset``; base None stands for a plain number, which is then the offset."""

    text: str
    name: str
    comparison: str
    factor: float
    base: str | None
    offset: float

    def check(self, record: Mapping[str, Any]) -> GateResult:
        """Hold ``after`` of a metrics record against the bound. A missing value or bound never holds."""
        value = record["after"].get(self.name)
        bound = self._bound(record)
        held = value is not None and bound is not None and _OPERATORS[self.comparison](value, bound)
        return GateResult(self.text, value, bound, held)

    def _bound(self, record: Mapping[str, Any]) -> float | None:
        if self.base is None:
            return self.offset
        base = (record[self.base] or {}).get(self.name)
        return None if base is None else self.factor * base + self.offset


def parse(text: str) -> Gate:
    """The gate that ``text`` spells; nothing of it is evaluated as code. Raises ValueError with the grammar."""
    match = _GATE.fullmatch(text)
    if match is None:
        raise ValueError(f"a gate must read {GRAMMAR}; found '{text}'. For example gates=['forget_probability<=0.6']")
    offset = match["number"] or match["offset"] or "0"
    return Gate(
        text=text,
        name=match["name"],
        comparison=match["comparison"],
        factor=float(match["factor"] or 1),
        base=match["base"],
        offset=float("".join(offset.split())),
    )


def check_names(gates: Iterable[Gate], known: Iterable[str]) -> None:
    """Refuse a gate on a metric that this run will not measure. Raises ValueError with the nearest names."""
    names = set(known)
    for gate in gates:
        if gate.name not in names:
            raise ValueError(
                f"gate '{gate.text}' must name a metric of this run, found '{gate.name}'; {nearest(gate.name, names)}"
            )
