"""The plan as people read it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mollm_cli.reporting.plan import hours, show, verdict

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
    "traffic": [{"name": "gradients", "bytes": 3 * GIB, "why": "all-reduce"}],
    "processes": 1,
    "fits": True,
}


@pytest.mark.parametrize("terminal", [True, False])
def test_every_term_is_shown(terminal):
    out = io.StringIO()
    show(PLAN, Console(file=out, width=100, force_terminal=terminal, color_system=None))
    text = out.getvalue()
    for word in (
        "weights",
        "2.00 GiB",
        "bfloat16",
        "step",
        "evaluation",
        "disk",
        "resume/",
        "sent in a step",
        "all-reduce",
    ):
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
