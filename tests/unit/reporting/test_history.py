import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.reporting import history, request_lines
from mollm_cli.reporting.run_files import Run, read_run

MakeRun = Callable[..., Path]
SELECTION = {
    "rule": "target",
    "step": 45,
    "forget_probability": 0.11,
    "retain_probability": None,
    "because": "the highest retain probability",
}


@pytest.fixture
def run(make_run: MakeRun, make_manifest: Callable[[], Any], make_audit: Callable[[], Any]) -> Run:
    return read_run(
        make_run(
            metrics=make_audit(),
            manifest=make_manifest()
            | {
                "stopped_because": "no_improvement",
                "selection": SELECTION,
                "gates": [{"gate": "a<=1", "value": 2.0, "bound": 1.0, "held": False, "why": "2 is not <= 1"}],
                "lineage": [
                    {"run": "first", "loss": "ga_kl", "forget": "ab" * 32, "unchanged": True, "command": "secret"},
                    {"run": "second", "loss": None, "forget": None, "unchanged": False},
                ],
                "evaluation_seconds": {"metric.rouge_l": 0.01, "generation": 3.5, "attack.relearning": 9.0, "x": None},
            },
        )
    )


def test_why_it_stopped_and_what_it_kept(run: Run) -> None:
    assert history.stopped(run) == "the evaluations no longer improved"
    assert history.kept(run) == (
        "the weights after step 45 (forget probability 0.110); the highest retain probability; engine.keep=target"
    )


def test_gates_and_lineage(run: Run) -> None:
    assert history.gates(run) == [
        {"gate": "a<=1", "value": "2.00", "bound": "1.00", "held": False, "why": "2 is not <= 1"}
    ]
    assert history.lineage(run) == [
        "first, loss ga kl, forget rows abababababab…",
        "second, its weights were changed afterwards",
    ]


def test_what_an_older_run_did_not_record_is_left_out(make_run: MakeRun) -> None:
    run = read_run(make_run())
    assert (history.kept(run), history.gates(run), history.lineage(run)) == ("", [], [])
    assert history.stopped(run) == "the forget target was reached"
    assert request_lines.evaluation_cost(run) == []
    assert request_lines.attacked_rows(run) == ""


def test_the_time_of_the_evaluation_by_part_the_longest_first(run: Run) -> None:
    assert request_lines.evaluation_cost(run) == [("attack: relearning", 9.0), ("generation", 3.5)]


def test_attacks_on_fewer_rows_say_so(run: Run) -> None:
    assert request_lines.attacked_rows(run) == "Attacks were made on the first 20 rows of a set; the forget set has 32."


def test_what_was_tried_is_not_called_untested(run: Run) -> None:
    left = {entry.what for entry in request_lines.not_tested(run.metrics)}
    assert not left & {"relearning", "quantisation", "paraphrase", "membership inference"}
    assert {"relearning on benign data", "sampling", "probing of hidden states"} <= left
    assert len(request_lines.not_tested(None)) == len(request_lines.NOT_TESTED)
    benign = {entry.what for entry in request_lines.not_tested({"attacks": {"relearning_benign": {}}})}
    assert "relearning" in benign and "relearning on benign data" not in benign


def test_a_rate_that_the_run_found_is_told_from_lowest_to_highest(run: Run) -> None:
    steps = tuple({"step": k, "learning_rate": rate} for k, rate in enumerate((3e-5, 1.234e-5, 6e-5)))
    auto = dataclasses.replace(run, config={"optimizer": {"lr": "auto"}}, steps=steps)
    assert dict(request_lines.asked(auto))["learning rate"] == "auto: 1.2e-05 to 6e-05"
    assert "learning rate" not in dict(request_lines.asked(dataclasses.replace(auto, steps=())))
