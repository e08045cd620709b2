"""The benchmark runs what it names, and its shares are those of the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import evaluation
from benchmarks.evaluation import REST, Task, arguments, five_million, main, ratios, row, timed, tofu
from tests.support.cli import SHARED

pytestmark = pytest.mark.slow

MANIFEST = {
    "evaluation_seconds": {"metric.rouge_l": 1.0, "generation": 5.0, "teacher_forcing": 2.0},
    "datasets": {"forget": {"rows": 3, "sha256": "x"}, "retain": {"rows": 4}},
    "device": "cpu",
}


def test_a_row_by_hand():
    line = row(Task("a", ()), 10.0, MANIFEST)
    assert list(line["parts"].items()) == [
        ("generation", 5.0), ("teacher_forcing", 2.0), ("metric.rouge_l", 1.0), (REST, 2.0),
    ]  # fmt: skip
    assert line["shares"] == {"generation": 0.5, "teacher_forcing": 0.2, "metric.rouge_l": 0.1, REST: 0.2}
    assert (line["rows"], line["seconds"], line["device"]) == ({"forget": 3, "retain": 4}, 10.0, "cpu")


def test_ratios_by_hand():
    rows = [{"name": "a", "seconds": 10.0, "shares": {"x": 0.5}}, {"name": "b", "seconds": 30.0, "shares": {"x": 0.1}}]
    assert ratios(rows) == {"a, x/a": 0.5, "b, x/b": 0.1, "b/a": 3.0}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The JSON file of both evaluations on two rows a set."""
    path = tmp_path_factory.mktemp("bench") / "new" / "evaluation.json"
    main(["--suite", "quick", "--tofu-suite", "tofu", "--limit", "2", "--threads", "1", "--out", str(path)])
    return json.loads(path.read_text())


def test_the_file_says_where_and_of_what_it_is(result):
    assert {"machine", "commit", "rows", "ratios"} <= set(result)
    assert result["machine"]["threads"] == 1 and result["limit"] == 2


def test_shares_add_up_and_name_passes_and_metrics(result):
    for line in result["rows"]:
        assert sum(line["shares"].values()) == pytest.approx(1)
        assert all(0 <= share < 1 for share in line["shares"].values())
        assert {"teacher_forcing", "generation", "metric.rouge_l", REST} <= line["shares"].keys()
        assert list(line["shares"])[-1] == REST


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"TOFU's rows are not at {SHARED}")
def test_tofu_has_its_rows_and_a_model_of_five_million_parameters(result, tmp_path):
    _, line = result["rows"]
    assert {"forget": 400, "retain": 400, "real_authors": 100, "world_facts": 117}.items() <= line["rows"].items()
    assert result["tofu_parameters"] == pytest.approx(5e6, rel=0.1)
    assert "TOFU, tofu/embedded, quick" in result["ratios"]
    assert five_million(SHARED / "models" / "TinyStories-656K", tmp_path) == result["tofu_parameters"]
    assert any(text.startswith("data.retain.path=") for text in tofu("tofu", SHARED, tmp_path).overrides)


def test_without_the_rows_tofu_is_left_out_with_a_word(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(evaluation, "SHARED", tmp_path / "absent")
    monkeypatch.setattr(evaluation, "timed", lambda *given: (10.0, MANIFEST))
    main(["--suite", "quick", "--out", str(tmp_path / "evaluation.json")])
    told = capsys.readouterr()
    assert "TOFU is left out: its rows and the tokenizer are not at" in told.err
    assert "embedded, quick: 10.0 s (forget 3, retain 4)" in told.out and "50.0%" in told.out
    assert [line["name"] for line in json.loads((tmp_path / "evaluation.json").read_text())["rows"]] == [
        "embedded, quick"
    ]


def test_an_evaluation_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"'odd' ended with 2: mollm-evaluate: .*evaluaton"):
        timed(Task("odd", ("evaluaton=quick",)), 1, "cpu")


@pytest.mark.parametrize("flag", ["--suite", "--tofu-suite"])
def test_an_unknown_suite_is_refused(flag, capsys):
    with pytest.raises(SystemExit, match="2"):
        arguments([flag, "fulll"])
    assert "no evaluation 'fulll'; evaluations: " in capsys.readouterr().err


def test_the_defaults_are_choices():
    chosen = arguments([])
    assert (chosen.suite, chosen.tofu_suite, chosen.threads) == ("full", "tofu", 2)
    assert chosen.out == Path("outputs/bench/evaluation.json")
