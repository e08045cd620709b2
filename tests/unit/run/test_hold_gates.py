"""What gates come to at the end of a run: told in the manifest, and exit code 3 where one does not hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import GateError
from mollm_cli.evaluation.gates import parse
from mollm_cli.run.evidence import hold_gates

RECORD = {
    "before": None,
    "after": {"forget_probability": 0.25, "forget_quality": None, "retain_probability": float("nan")},
    "oracle": None,
}


def _held(*gates: str) -> list[dict[str, Any]]:
    """``gates`` of the manifest."""
    told: dict[str, Any] = {}
    manifest = SimpleNamespace(facts=told, set=lambda **facts: told.update(facts))
    request = SimpleNamespace(gates=tuple(map(parse, gates)))
    try:
        hold_gates(request, RECORD, manifest)  # type: ignore[arg-type]
    finally:
        found: list[dict[str, Any]] = told["gates"]
    return found


@pytest.mark.parametrize(
    "gate",
    [
        "forget_probability<=0.1",
        "forget_quality>=0.05",  # null
        "forget_quality<=0.05",
        "unmeasured<=1",
        "forget_probability<=before",  # nothing to hold it against
        "retain_probability>=0.5",  # not a number
        "retain_probability<=0.5",
    ],
)
def test_a_gate_that_does_not_hold_fails_the_run_and_a_missing_value_never_holds(gate: str) -> None:
    with pytest.raises(GateError, match="1 of 2 gates failed: ") as caught:
        _held("forget_probability<=0.6", gate)
    assert str(caught.value).endswith(f"failed: {gate}")
    assert caught.value.exit_code == 3


def test_gates_that_hold_are_told_and_fail_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert [(gate["gate"], gate["held"]) for gate in _held("forget_probability<=0.6")] == [
        ("forget_probability<=0.6", True)
    ]
    assert "gate held: forget_probability<=0.6" in capsys.readouterr().err
    assert _held() == []
    assert capsys.readouterr().err == ""
