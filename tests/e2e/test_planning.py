"""``--plan`` on the embedded model: what is asked of the command line comes to the plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import unlearn

FSDP = ("engine.processes=2", "engine.parallel=fsdp", "engine.batch_size=7")


def _plan(root: Path, *typed: str) -> tuple[dict[str, Any], str]:
    done = unlearn(root, "--plan", "evaluation.oracle=null", *typed)
    assert done.code == 0, done.err
    assert not root.exists()
    plan: dict[str, Any] = json.loads(done.out)
    return plan, done.err


def _terms(plan: dict[str, Any]) -> dict[str, Any]:
    return {term["name"]: term for term in plan["phases"][0]["terms"]}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The plan of one process."""
    return _plan(tmp_path_factory.mktemp("one") / "out", "engine.batch_size=7")


def test_one_process_is_planned_and_timed(one: tuple[dict[str, Any], str]) -> None:
    plan, err = one
    assert (plan["processes"], plan["traffic"], plan["fits"]) == (1, [], True)
    assert _terms(plan)["activations"]["why"].startswith("forget 7 x ")
    assert plan["training"]["steps"] == 3 and "training: about " in err


def test_two_processes_have_half_of_the_rows_and_of_the_weights(one: tuple[dict[str, Any], str], root: Path) -> None:
    two, err = _plan(root, *FSDP)
    assert (two["processes"], two["fits"]) == (2, None)  # of which machine, nobody knows
    assert _terms(two)["activations"]["why"].startswith("forget 4 x ")  # the process that has more of 7
    for name in ("weights", "optimizer state"):
        assert _terms(two)[name]["bytes"] == pytest.approx(_terms(one[0])[name]["bytes"] / 2, rel=0.01)
    assert [term["name"] for term in two["traffic"]] == ["weights", "gradients", "Gram matrix"]
    assert "sent in a step: gradients" in err and "no time is measured" in err and "training" not in two
    replicas, _ = _plan(root, "engine.processes=2", "engine.batch_size=7")
    assert _terms(replicas)["weights"]["bytes"] == _terms(one[0])["weights"]["bytes"]
