"""Gates: conditions that a run must meet for exit code 0, e.g. ``retain_probability>=0.95*before``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mollm_cli.core.errors import nearest

GRAMMAR = (
    "NAME OP NUMBER or NAME OP [NUMBER*](before|oracle|holdout)[+NUMBER|-NUMBER], with OP one of <= >= < > ==, "
    "NAME@partial where some rows may be without a value"
)
"""The form of a gate.

NAME: a flat metric name of metrics.json. A gate on a value that some rows have no part in does not hold, unless the
name (or the whole gate) ends in @partial.
before, oracle: the same metric's value at that moment.
holdout: of a ``forget_...`` metric, the starting model's value on rows of the same kind that it never saw.
"""

_FORGET, _HOLDOUT = "forget_", "holdout_"

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
_PARTIAL = "@partial"
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GATE = re.compile(
    rf"\s*(?P<name>[A-Za-z_][\w.-]*)(?P<partial>{_PARTIAL})?\s*(?P<comparison><=|>=|==|<|>)\s*"
    rf"(?:(?P<number>[+-]?{_NUMBER})"
    rf"|(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<base>before|oracle|holdout)\s*(?P<offset>[+-]\s*{_NUMBER})?)\s*"
    rf"(?P<partial_too>{_PARTIAL})?\s*"
)


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate after the run; ``value`` and ``bound`` are None where missing.

    why: the reason why it did not hold; "" if it held.
    """

    gate: str
    value: float | None
    bound: float | None
    held: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """``name comparison factor * base + offset``; for a plain number, base is None and the number is the offset.

    partial: a value counts that some rows have no part in.
    """

    text: str
    name: str
    comparison: str
    factor: float
    base: str | None
    offset: float
    partial: bool = False

    def check(self, record: Mapping[str, Any]) -> GateResult:
        """Hold the value after the run against the bound. A gate whose value or bound is missing does not hold."""
        value, why = self._read(record, "after", self.name)
        bound, missing = self._bound(record)
        if why or missing or value is None or bound is None:
            return GateResult(self.text, value, bound, False, why or missing)
        if _OPERATORS[self.comparison](value, bound):
            return GateResult(self.text, value, bound, True)
        return GateResult(self.text, value, bound, False, f"{value:.4g} is not {self.comparison} {bound:.4g}")

    @property
    def beside(self) -> str:
        """The flat name that the bound is read from: the gate's own, or the one on holdout rows."""
        return self.name.replace(_FORGET, _HOLDOUT, 1) if self.base == "holdout" else self.name

    def _bound(self, record: Mapping[str, Any]) -> tuple[float | None, str]:
        if self.base is None:
            return self.offset, ""
        base, why = self._read(record, "oracle" if self.base == "oracle" else "before", self.beside)
        return (None if base is None else self.factor * base + self.offset), why

    def _read(self, record: Mapping[str, Any], moment: str, name: str) -> tuple[float | None, str]:
        """A value of a metrics record, and what keeps the gate from holding with it; "" for nothing."""
        value, why = _value(record, moment, name)
        valued, of = ((record.get("rows") or {}).get(moment) or {}).get(name) or (0, 0)
        if value is None or self.partial or valued == of:
            return value, why
        return value, f"{name} has a value for {valued} of {of} rows in {moment!r}; {self.name}@partial lets that count"


def _value(record: Mapping[str, Any], moment: str, name: str) -> tuple[float | None, str]:
    """A value of a metrics record, and the reason if it is None."""
    values = record[moment]
    if values is None:
        return None, f"there is no {moment!r} in this run"
    value = values.get(name)
    if value is None:
        return None, f"{name} is {'null' if name in values else 'not measured'} in {moment!r}"
    return value, ""


def parse(text: str) -> Gate:
    """Parse a gate; no part of the text is evaluated as code. Raises ValueError with the grammar."""
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
        partial=bool(match["partial"] or match["partial_too"]),
    )


def check_names(gates: Iterable[Gate], known: Iterable[str]) -> None:
    """Raise ValueError, with the nearest names, for a gate on a metric that this run will not measure."""
    names = set(known)
    for gate in gates:
        if gate.base == "holdout" and not gate.name.startswith(_FORGET):
            raise ValueError(
                f"gate '{gate.text}' must name a forget_... metric, because it is held against holdout rows, found "
                f"'{gate.name}'; {nearest(gate.name, (name for name in names if name.startswith(_FORGET)))}"
            )
        for name in (gate.name, gate.beside):
            if name not in names:
                raise ValueError(
                    f"gate '{gate.text}' must name a metric of this run, found '{name}'; {nearest(name, names)}"
                )
