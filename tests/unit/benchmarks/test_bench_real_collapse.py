"""The collapse check: twenty cases, what counts as ruined, what a restart skips, its files and its table."""

from __future__ import annotations

import json

import pytest

from benchmarks import real_collapse as check
from benchmarks.quality_run import composed
from benchmarks.real_collapse_data import authors, stories
from benchmarks.real_models import Said
from mollm_cli.configuration.request import request
from mollm_cli.core.errors import NonFiniteError

FINE = {"forget": 0.05, "others_test": 0.19, "general": 0.1, "kl": 0.01, "plain": 1.0}
START = {"forget": 0.2, "others_test": 0.2, "general": 0.1, "kl": 0.0, "plain": 1.0}
CASE = check.CASES[0]


def test_twenty_runs_on_every_model_with_adapters_and_all_weights():
    assert len(check.CASES) == len({case.name for case in check.CASES}) == 20
    for model in check.SUBJECTS:
        assert {case.adapter for case in check.CASES if case.model == model} == {"lora", "none"}


@pytest.mark.parametrize("case", [CASE, check.CASES[-1]])
def test_no_rate_and_no_target_is_typed(case, tmp_path):
    files = authors(tmp_path)
    asked = request(composed(check.typed("embedded:tiny", files, case, 8)), "unlearn")
    assert (asked.optimizer.lr, asked.direction.forget_target, asked.engine.max_steps) == ("auto", "auto", 8)
    assert (asked.model.adapter, asked.seed) == (case.adapter, case.seed)
    assert asked.data.forget.template == asked.data.retain.template == files.template == "{prompt} "


def test_what_is_measured_is_not_retained(tmp_path):
    source = tmp_path / "stories.jsonl"
    rows = [{"text": f"{'Lily' if k % 5 == 0 else 'Ben'} saw {k} trees."} for k in range(400)]
    source.write_text("\n".join(map(json.dumps, rows)))
    for files in (authors(tmp_path / "a"), stories(tmp_path / "b", source)):
        read = {f"{f.parent.name}/{f.stem}": f.read_text().splitlines() for f in files.folder.rglob("*.jsonl")}
        assert read["trained/forget"] == read["measured/forget"]
        assert read["trained/retain"] and not {*read["trained/retain"]} & {*read["measured/others_test"]}
        assert not any(line in read["trained/retain"] for line in files.text.read_text().splitlines())
    assert all("Lily" in line for line in read["trained/forget"])
    assert not any("Lily" in line for name in ("trained/retain", "measured/others_test") for line in read[name])


class Measured:
    asked = range(50)

    def __init__(self, columns):
        self.columns = columns

    def __call__(self, model):
        if isinstance(self.columns, Exception):
            raise self.columns
        return self.columns


def ran(monkeypatch, tmp_path, columns, code=0, said="", stopped="forget_target"):
    def command(shell, program, *words):
        place = tmp_path / "run"
        place.mkdir()
        facts = {"steps": 6, "forget_target": 0.06, "stopped_because": stopped}
        (place / "manifest.json").write_text(json.dumps(facts))
        return Said("mollm-unlearn", code, 9.0, 4.0, "", said)

    monkeypatch.setattr(check.Shell, "run", command)
    monkeypatch.setattr(check, "loaded", lambda folder: "model")
    found = check.run(CASE, [], tmp_path / "run", Measured(columns), START)
    assert not (tmp_path / "run").exists()
    return found


def test_a_run_that_keeps_the_model_is_told_with_what_moved_furthest(monkeypatch, tmp_path):
    row = ran(monkeypatch, tmp_path, FINE)
    assert (row["steps"], row["start"], row["after"], row["target"]) == (6, 0.2, 0.05, 0.06)
    assert row["ratio"] == pytest.approx(0.95) and row["reached"] and not row["collapsed"]
    assert ran(monkeypatch, tmp_path, FINE | {"general": 0.13})["ratio"] == pytest.approx(1.3)


@pytest.mark.parametrize(
    "columns", [FINE | {"kl": 0.51}, FINE | {"kl": float("nan")}, FINE | {"plain": 0.79}, NonFiniteError("broken")]
)
def test_a_ruined_model_is_called_collapsed(columns, monkeypatch, tmp_path):
    assert ran(monkeypatch, tmp_path, columns)["collapsed"]


def test_a_run_that_diverged_or_was_stopped_collapsed_and_one_that_was_refused_did_not(monkeypatch, tmp_path):
    assert ran(monkeypatch, tmp_path, FINE, stopped="retain_collapsed")["collapsed"]
    row = ran(monkeypatch, tmp_path, FINE, 1, "step 3: a gradient is not finite")
    assert row["collapsed"] and row["stopped"] == "not finite" and row["kl"] is None
    row = ran(monkeypatch, tmp_path, FINE, 2, "nothing to forget\n")
    assert not row["collapsed"] and row["stopped"] == "refused: nothing to forget"
    with pytest.raises(RuntimeError, match="exit code 1:\nno space"):
        ran(monkeypatch, tmp_path, FINE, 1, "no space left")


def test_too_few_plain_answers_judge_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(Measured, "asked", range(3))
    assert not ran(monkeypatch, tmp_path, FINE | {"plain": 0.0})["collapsed"]


def test_a_restart_runs_what_is_missing_and_the_table_has_it(monkeypatch, tmp_path, capsys):
    done = []

    def one(case, words, place, measures, start):
        done.append(case)
        row = {"model": case.model, "adapter": case.adapter, "forgets": case.forgets, "seed": case.seed}
        row |= {"start": 0.2, "seconds": 1.0, "asked": 0, "steps": 6, "target": 0.06, "stopped": "max_steps"}
        return row | {"reached": False, "after": 0.1, "ratio": 0.95, "kl": 0.01, "plain": 1.0, "collapsed": False}

    monkeypatch.setattr(check, "run", one)
    monkeypatch.setattr(check, "loaded", lambda folder: "model")
    monkeypatch.setattr(check, "tokenizer", lambda folder: "tokenizer")
    monkeypatch.setattr(check.Measures, "of", lambda *given, template: Measured(START))
    for _ in range(2):
        check.main(["--only", "tiny", "--out", str(tmp_path)])
    assert [case.name for case in done] == [case.name for case in check.CASES if case.model == "tiny"]
    text = capsys.readouterr().out
    assert "4 of 20 runs" in text and "0 collapsed, 0 reached their target" in text
    assert "| tiny | LoRA | authors | 0 | 6 | 0.2000 | 0.1000 | 0.0600 | max_steps | 0.950 | 0.0100 |  | no |" in text
    with pytest.raises(SystemExit):
        check.arguments(["--only", "large"])
    assert "--only: no large" in capsys.readouterr().err
