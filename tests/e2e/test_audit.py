"""``evaluation=audit``: what an attacker can still get, beside what it gets from the oracle; and the oracle's row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Answer, evaluate, read, read_lines, unlearn

pytestmark = pytest.mark.slow

ORACLE = "evaluation.oracle=embedded:oracle"
FEW = ("evaluation.limit=6", "evaluation.attack_limit=4", "evaluation.generate_tokens=6")
ATTACKS = {
    *("paraphrase", "template", "system_prompt", "multi_turn", "prefix"),
    *("quantisation_4", "relearning", "sampling", "comparison"),
}


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """A short run, audited, with the comparison of models besides."""
    root = tmp_path_factory.mktemp("audit")
    more = ("evaluation=audit", "+attack@evaluation.attacks.comparison=comparison")
    gate = 'gates=["attack_relearning_probability<=oracle+1","attack_prefix_rouge_l<=1"]'
    return unlearn(root, *more, ORACLE, *FEW, "evaluation.attacks.sampling.samples=16", gate)


def test_every_attack_has_its_entry_and_its_yardstick(audit: Answer) -> None:
    assert audit.code == 0, audit.err
    metrics = audit.metrics
    assert metrics["attacks"].keys() == ATTACKS
    for name, entry in metrics["attacks"].items():
        assert entry["headline"].startswith(f"attack_{name}_") and entry["what"] and entry["cost"]
        assert entry["yardstick"] == metrics["oracle"][entry["headline"]] is not None
        assert 0 <= metrics["after"][entry["headline"]] <= 1
        assert entry["verdict"] in ("held", "recovered", "unknown")
        low, high = metrics["intervals"]["after"][entry["headline"]]
        assert low <= metrics["after"][entry["headline"]] <= high
    assert metrics["verdict"]["robustness"].startswith(("recovered: ", "held", "unknown"))
    assert metrics["decoding"]["attack_limit"] == 4


def test_a_few_steps_forgot_little_and_the_attacks_see_it(audit: Answer) -> None:
    """Where the model still knows the rows, four bits and five seconds of relearning do not change that."""
    attacks = audit.metrics["attacks"]
    assert {attacks[name]["verdict"] for name in ("quantisation_4", "relearning", "prefix")} == {"recovered"}
    assert attacks["quantisation_4"]["kind"] == "weights" and attacks["quantisation_4"]["x"] == "bits"


def test_relearning_is_a_curve_of_both_models(audit: Answer) -> None:
    entry = audit.metrics["attacks"]["relearning"]
    assert entry["x"] == "step" and entry["curve"].keys() == {"after", "oracle"}
    for points in entry["curve"].values():
        assert [x for x, _ in points] == [0, 5, 10, 15, 20]
        assert all({"probability", "retain_probability"} <= values.keys() for _, values in points)
    last = entry["curve"]["after"][-1][1]
    assert audit.metrics["after"]["attack_relearning_probability"] == last["probability"]
    assert audit.metrics["after"]["attack_relearning_retain_probability"] == last["retain_probability"]
    assert audit.metrics["details"]["after"]["attack_relearning_probability"].keys() == {"robustness"}


def test_the_attacked_model_is_a_copy(audit: Answer, root: Path) -> None:
    """After the attacks the checkpoint gives the numbers that it gave before them."""
    again = evaluate(root, f"model.path={audit.run_dir / 'checkpoint'}", *FEW)
    for name, value in again.metrics["after"].items():
        assert audit.metrics["after"][name] == pytest.approx(value, abs=1e-6), name


def test_the_evidence_is_in_samples_manifest_and_report(audit: Answer) -> None:
    rows = read_lines(audit.run_dir / "samples.jsonl")
    asked = [row for row in rows if row["set"] == "attack_paraphrase"]
    plain = {row["id"]: row for row in rows if row["set"] == "forget"}
    assert len(asked) == 4 and all(row["prompt"] != plain[row["id"]]["prompt"] for row in asked)
    assert "attack.relearning" in audit.manifest["evaluation_seconds"]
    page = (audit.run_dir / "report.html").read_text()
    assert "What an attacker can still get" in page and "relearning" in page


def test_without_an_oracle_the_yardstick_is_rows_never_seen(root: Path) -> None:
    run = unlearn(root, "evaluation=audit", *FEW, "evaluation.attacks.sampling.samples=16")
    metrics = run.metrics
    for name in ("paraphrase", "prefix", "sampling"):
        entry, metric = metrics["attacks"][name], metrics["attacks"][name]["headline"].removeprefix(f"attack_{name}_")
        assert entry["yardstick"] == metrics["before"][f"attack_{name}_holdout_{metric}"] is not None
    assert metrics["attacks"]["relearning"]["yardstick"] == metrics["after"]["attack_relearning_holdout_probability"]


def test_a_finished_model_is_audited_beside_the_one_from_before(audit: Answer, root: Path) -> None:
    """What only asks otherwise is held by nothing where nobody knows what it gets from a model that has the rows."""
    more = ("evaluation=audit", ORACLE, *FEW, f"model.path={audit.run_dir / 'checkpoint'}")
    alone = evaluate(root, *more).metrics
    verdicts = {name: entry["verdict"] for name, entry in alone["attacks"].items() if entry["kind"] == "rewrite"}
    assert "held" not in verdicts.values() and alone["before"] is None
    beside = evaluate(root, *more, "evaluation.start=embedded:tiny").metrics
    assert beside["before"] is None
    for name, entry in beside["attacks"].items():
        if entry["kind"] == "rewrite":
            assert (entry["before"], entry["verdict"]) == tuple(
                audit.metrics["attacks"][name][key] for key in ("before", "verdict")
            )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+attack@evaluation.attacks.x=relearning_benign", r"evaluation.attacks.*'nowhere'"),
        ('gates=["attack_relearnin_probability<=1"]', "did you mean 'attack_relearning_probability'"),
    ],
)
def test_an_attack_that_cannot_be_is_refused_before_the_training(override: str, message: str, root: Path) -> None:
    import re

    more = ["evaluation.attacks.x.data=nowhere"] if override.startswith("+") else []
    run = unlearn(root, "evaluation=audit", override, *more)
    assert run.code == 2 and re.search(message, run.err), run.err
    assert not (run.run_dir / "train.jsonl").exists()


def test_membership_inference_without_a_holdout_is_refused(root: Path) -> None:
    run = evaluate(root, "evaluation=full", "~dataset@data.holdout")
    assert run.code == 2 and "found no data.holdout" in run.err and "evaluation.membership=false" in run.err


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """metrics.json of a model that gradient ascent took far below the oracle, on every forget row."""
    root = tmp_path_factory.mktemp("over")
    wild = ("loss=ga", "optimizer.lr=1e-3", "engine.max_steps=60", "engine.retain_floor=null")
    run = unlearn(root, *wild, ORACLE, "evaluation.limit=30", "evaluation.generate_tokens=2")
    return {"page": (run.run_dir / "report.html").read_text(), **read(run.run_dir / "metrics.json")}


# 60 steps: after 12 the truth ratio of the ruined model is still like the oracle's (p = .135)
def test_the_oracle_is_like_itself_and_neither_start_nor_ruin_is(over: dict[str, Any]) -> None:
    assert over["oracle"]["forget_quality"] == 1.0
    assert over["before"]["forget_quality"] < 0.001
    assert over["after"]["forget_quality"] < 0.001 and over["after"]["forget_probability"] < 0.02


def test_an_over_forgotten_model_is_shown_as_such(over: dict[str, Any]) -> None:
    assert over["verdict"]["forget"] == "over"
    assert "forgot more than the oracle" in over["page"] and "forgot as far as" not in over["page"]
