"""From rows to shapes, and the refusal of what does not fit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.engine.facts import Shape
from mollm_cli.engine.planner import Plan
from mollm_cli.engine.terms import Phase, Term
from mollm_cli.run import planning

GIB = 2**30


def row(length: int, targets: int) -> Encoded:
    return Encoded("x", (1,) * length, (-100,) * (length - targets) + (1,) * targets)


def test_the_largest_micro_batch_is_of_the_longest_rows():
    rows = [row(4, 2), row(9, 3), row(6, 5)]
    assert planning.shape(rows, 2, compared=True) == Shape(2, 9, 8, padded=True, compared=10)
    assert planning.shape([row(4, 2)], 3, compared=False) == Shape(3, 4, 6, padded=False, compared=0)


def found(size: int) -> Plan:
    return Plan((Phase("step", (Term("weights", size),)), Phase("evaluation", ())), (), (), 7, 5)


def test_as_data(monkeypatch):
    monkeypatch.setattr(planning, "free_bytes", lambda device: 10)
    data = planning.as_data(found(11), torch.device("cpu"))
    assert (data["peak_bytes"], data["fits"], data["parameters"], data["trained_parameters"]) == (11, False, 7, 5)
    assert data["phases"][0]["terms"] == [{"name": "weights", "bytes": 11, "why": ""}]


def test_several_processes_on_cpus_are_not_held_against_this_machine(monkeypatch):
    monkeypatch.setattr(planning, "free_bytes", lambda device: 10)
    data = planning.as_data(found(11), torch.device("cpu"), 16)
    assert (data["processes"], data["fits"]) == (16, None)
    assert "at the peak (step) on each of 16 processes" in planning.told.verdict(data)
    monkeypatch.setattr(planning, "device_name", lambda device: "card")
    assert planning.as_data(found(11), torch.device("cuda"), 16)["fits"] is False


@pytest.mark.parametrize(
    ("less", "advice"),
    [
        (SimpleNamespace(overrides=("engine.micro_batch=2",), plan=found(GIB)), r"engine.micro_batch=2 \(1.00 GiB\)"),
        (None, "No setting of this tool makes it fit"),
    ],
)
def test_what_does_not_fit_is_refused_with_advice(monkeypatch, less, advice):
    monkeypatch.setattr(planning, "remedy", lambda facts, free: less)
    data = {"fits": False, "device": {"free_bytes": 2 * GIB}}
    with pytest.raises(RequestError, match=f"2.00 GiB; found 3.00 GiB at the peak of 'step'. .*{advice}"):
        planning.require_room(None, found(3 * GIB), data)
    planning.require_room(None, found(1), data | {"fits": None})


def test_nothing_is_planned_unasked_off_cuda():
    assert planning.before_loading(None, None, None, torch.device("cpu")) is None


def test_on_cuda_it_is_planned_unasked_and_no_plan_stops_no_run(monkeypatch, capsys):
    def refuse(facts):
        raise RequestError("its code reads values")

    monkeypatch.setattr(planning, "facts", lambda *given: SimpleNamespace(processes=1))
    monkeypatch.setattr(planning, "free_bytes", lambda device: 10)
    monkeypatch.setattr(planning, "device_name", lambda device: "card")
    monkeypatch.setattr(planning.planner, "plan", lambda facts: found(9))
    card = torch.device("cuda")
    assert planning.before_loading(None, None, None, card) == {"peak_bytes": 9, "phase": "step", "free_bytes": 10}
    monkeypatch.setattr(planning.planner, "plan", refuse)
    assert planning.before_loading(None, None, None, card) is None
    assert "there is no memory plan: its code reads values" in capsys.readouterr().err
