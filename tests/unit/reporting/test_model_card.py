from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from mollm_cli.reporting.model_card import write_model_card

MakeRun = Callable[..., Path]


def card(run: Path) -> str:
    checkpoint = run / "checkpoint"
    checkpoint.mkdir()
    target = write_model_card(run, checkpoint)
    assert target == checkpoint / "README.md"
    return target.read_text(encoding="utf-8")


def test_the_card_tells_what_was_asked_measured_and_not_known(make_run: MakeRun) -> None:
    text = card(make_run())
    front = yaml.safe_load(text.split("---")[1])
    assert front["tags"] == ["unlearning", "machine-unlearning", "mollm"]
    assert "- forget: authors, 32 rows" in text
    assert "| forget_probability | 0.996 | 0.104 | 0.104 | closer |" in text
    assert "forget: matched the oracle; retain: kept; robustness: untested" in text
    assert "approximate unlearning" in text and "relearning" in text
    assert 'AutoModelForCausalLM.from_pretrained("FOLDER", dtype="float32")' in text


def test_no_example_no_command_and_no_folder_travels_with_the_weights(
    make_run: MakeRun, make_samples: Callable[..., Any], make_manifest: Callable[[], Any]
) -> None:
    manifest = make_manifest() | {"command": "mollm-unlearn seed=0"}
    manifest["model"] = {"path": "/home/someone/models/small"}
    text = card(make_run(manifest=manifest))
    for row in make_samples():
        assert row["prompt"] not in text and row["answer"] not in text
    assert "mollm-unlearn" not in text
    assert "/home/someone" not in text
    assert "# small, unlearned" in text


def test_a_hub_name_stays_whole(make_run: MakeRun, make_manifest: Callable[[], Any]) -> None:
    manifest = make_manifest() | {"model": {"path": "facebook/opt-125m"}}
    assert "# facebook/opt-125m, unlearned" in card(make_run(manifest=manifest))


def test_names_cannot_break_the_markdown(make_run: MakeRun, make_manifest: Callable[[], Any]) -> None:
    manifest = make_manifest() | {"loss": "a|b<script>\n# c"}
    text = card(make_run(manifest=manifest))
    assert "- loss: a\\|b\\<script\\># c" in text.replace("\\> # c", "\\># c")
    assert "\n# c" not in text


def test_a_run_without_metrics_has_a_card(make_run: MakeRun) -> None:
    assert "Nothing: the run has no metrics." in card(make_run(metrics=None))


def test_attacks_intervals_and_never_seen_rows_are_on_the_card(
    make_run: MakeRun, make_audit: Callable[[], Any], make_manifest: Callable[[], Any]
) -> None:
    more = {"selection": {"rule": "last", "step": 60, "because": "x"}, "lineage": [{"run": "first", "loss": "ga"}]}
    text = card(make_run(metrics=make_audit(), manifest=make_manifest() | more))
    assert "| metric | before | after | oracle | never seen | |" in text
    row = (
        "| forget_probability | 0.996 (0.990–0.998) | 0.104 (0.071–0.142) | 0.104 (0.068–0.145) | 0.207 (0.150–0.260) |"
    )
    assert row in text
    assert "| relearning | probability | 0.740 (0.660–0.810) | 0.310 (0.250–0.360) | recovered |" in text
    assert "no power, D 0.120, n 32" in text
    assert "attack_" not in text
    assert "- kept: the weights after step 60" in text and "- came through: first, loss ga" in text
    assert "- relearning:" not in text and "- translation:" in text


def test_an_over_forgotten_model_is_not_praised_on_its_card(make_run: MakeRun, make_metrics: Callable[[], Any]) -> None:
    metrics = make_metrics()
    metrics["verdict"]["forget"] = "over"
    assert "is no success" in card(make_run(metrics=metrics))


def test_the_card_tells_of_how_many_rows_a_number_is(make_run: MakeRun, make_metrics: Callable[[], Any]) -> None:
    metrics = make_metrics() | {"rows": {"after": {"forget_rouge_l": [1, 4], "retain_rouge_l": [9, 9]}}}
    text = card(make_run(metrics=metrics))
    assert "closer, 1 of 4 rows have a value |" in text
    assert "Rows: forget 4, retain 9." in text
