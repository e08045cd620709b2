"""The plan as people read it."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from mollm_cli.planning import plan_table
from mollm_cli.planning.memory_plan import MemoryPlan, Phase, Term
from mollm_cli.planning.plan_table import as_data, hours, show, verdict

GIB = 2**30
TERM = {"name": "weights", "bytes": 2 * GIB, "why": "bfloat16"}
PLAN = {
    "device": {"name": "cpu", "kind": "cpu", "free_bytes": 3 * GIB},
    "phases": [
        {"name": "step", "bytes": 2 * GIB, "terms": [TERM]},
        {"name": "evaluation", "bytes": GIB, "terms": [TERM | {"why": ""}]},
    ],
    "host": [],
    "disk": [{"name": "resume/", "bytes": GIB, "why": ""}],
    "processes": 1,
    "fits": True,
}


@pytest.mark.parametrize("terminal", [True, False])
def test_every_term_is_shown(terminal):
    out = io.StringIO()
    show(PLAN, Console(file=out, width=100, force_terminal=terminal, color_system=None))
    text = out.getvalue()
    for word in ("weights", "2.00 GiB", "bfloat16", "step", "evaluation", "disk", "resume/"):
        assert word in text
    assert "fits into 3.00 GiB" in text
    assert ("step: weights 2.00 GiB (bfloat16)\nevaluation: weights 2.00 GiB\n" in text) is not terminal


def test_verdicts():
    assert verdict(PLAN) == "memory plan: 2.00 GiB at the peak (step) fits into 3.00 GiB free on cpu"
    assert "peak (step) on each of 2 processes fits" in verdict(PLAN | {"processes": 2})
    assert "does not fit into" in verdict(PLAN | {"fits": False})
    unknown = PLAN | {"device": PLAN["device"] | {"free_bytes": None}, "fits": None}
    assert verdict(unknown).endswith("what cpu has free is not known")


def test_hours():
    measured = {"steps": 100, "seconds_per_step": 2.0, "evaluations": 5, "seconds_per_evaluation": 32.0, "hours": 0.1}
    assert hours(measured) == (
        "training: about 6 min 0 s (0.10 h): 100 steps of 2.00 s, 5 progress evaluations of 32.0 s; "
        "the final evaluation comes on top"
    )
    assert "evaluations of" not in hours(measured | {"evaluations": 0})


def found(size: int) -> MemoryPlan:
    return MemoryPlan((Phase("step", (Term("weights", size),)), Phase("evaluation", ())), (), (), 7, 5)


def test_as_data(monkeypatch):
    monkeypatch.setattr(plan_table, "free_bytes", lambda device: 10)
    data = as_data(found(12), torch.device("cpu"), own=1)  # what this process has is free when the run begins
    assert (data["peak_bytes"], data["fits"], data["device"]["free_bytes"]) == (12, False, 11)
    assert (data["parameters"], data["trained_parameters"]) == (7, 5)
    assert data["phases"][0]["terms"] == [{"name": "weights", "bytes": 12, "why": ""}]


def test_several_processes_on_cpus_are_not_held_against_this_machine(monkeypatch):
    monkeypatch.setattr(plan_table, "free_bytes", lambda device: 10)
    data = as_data(found(11), torch.device("cpu"), 16)
    assert (data["processes"], data["fits"]) == (16, None)
    assert "at the peak (step) on each of 16 processes" in verdict(data)
    monkeypatch.setattr(plan_table, "device_name", lambda device: "card")
    assert as_data(found(11), torch.device("cuda"), 16)["fits"] is False
