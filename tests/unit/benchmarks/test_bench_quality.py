"""The quality benchmark: rows that a restart skips, a table that says who competes, the command line."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from benchmarks import quality
from benchmarks.quality_oracles import band
from benchmarks.quality_rows import append, best_rate, code_version, key, read, versions
from benchmarks.quality_table import into_page, markdown, mean_error, pareto, table_lines
from benchmarks.quality_tasks import CONTENDERS, TUNING_SEED, VARIANTS, embedded, lily

TASK = embedded()
BY_NAME = {c.name: c for c in (*CONTENDERS, *VARIANTS)}
PROBABILITY, STRENGTH = TASK.axes


def row(loss, seed, rate=1e-4, axis=PROBABILITY, reached=True, retain=0.9, **more):
    found = {"task": "embedded", "loss": loss, "solver": "s", "seed": seed, "learning_rate": rate, "axis": axis}
    values = {"reached": reached, "steps": 10.0, "retain_probability": retain, "forget_probability": 0.17}
    return found | values | {"forget_extraction_strength": 0.2, "settings": "x", "code": "y"} | more


def both(loss, seed, rate=1e-4, **more):
    return [row(loss, seed, rate, axis, **more) for axis in TASK.axes]


def test_the_best_rate_reaches_most_axes_first_then_keeps_most():
    rows = [
        *both("ga", 0, 3e-5, retain=0.5),
        *both("ga", 0, 1e-4, retain=0.6),
        row("ga", 0, 3e-4, retain=0.9),
        row("ga", 0, 3e-4, STRENGTH, reached=False, retain=0.9),
        *both("ga", 1, 9e-4, retain=1.0),
    ]
    assert best_rate(rows, TASK, "ga") == 1e-4
    assert best_rate(rows, TASK, "npo") is None


def test_where_nothing_is_reached_the_best_rate_forgot_most():
    rows = [row("ga", 0, 3e-5, reached=False, forget_probability=0.5), row("ga", 0, 1e-4, reached=False)]
    assert best_rate(rows, TASK, "ga") == 1e-4


def test_a_better_perplexity_is_a_lower_one():
    rows = [{**row("ga", 0, rate), "task": "lily", "retain_test_perplexity": p} for rate, p in ((1e-4, 30), (3e-4, 20))]
    assert best_rate(rows, lily(), "ga") == 3e-4


def test_rows_are_appended_and_read_again(tmp_path):
    out = tmp_path / "new" / "quality.json"
    assert read(out) == {"rows": [], "oracles": []}
    append(out, {"machine": {"cpu": "a"}}, "rows", both("ga", 0))
    append(out, {"machine": {"cpu": "b"}}, "rows", both("ga", 1))
    whole = json.loads(out.read_text())
    assert whole == {"machine": {"cpu": "b"}, "rows": [*both("ga", 0), *both("ga", 1)], "oracles": []}
    assert read(out) == whole and not list(out.parent.glob("*.part"))


def test_a_run_is_the_same_by_settings_and_code():
    one, other = row("ga", 0), row("ga", 0, code="z")
    assert key(one) != key(other) and key(one, any_code=True) == key(other, any_code=True)
    assert key(one) == key(row("ga", 0, axis=STRENGTH)) and key(one) != key(row("ga", 0, 3e-4))
    assert key(one) != key(row("ga", 0, settings="other"), any_code=True)


def test_the_code_is_that_of_the_loss_its_solver_and_what_all_share(tmp_path):
    places = ("core/a.py", "data/a.py", "engine/a.py", "gradients/a.py", "models/a.py", "objectives/a.py")
    for name in (*places, "solvers/simplex.py", "solvers/s.py", "losses/l.py", "losses/other.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a")
    before = code_version("mollm_cli.losses.l.l", "mollm_cli.solvers.s.S", tmp_path)
    (tmp_path / "losses/other.py").write_text("b")
    assert code_version("mollm_cli.losses.l.l", "mollm_cli.solvers.s.S", tmp_path) == before
    (tmp_path / "engine/a.py").write_text("b")
    assert code_version("mollm_cli.losses.l.l", "mollm_cli.solvers.s.S", tmp_path) != before


def test_settings_are_what_is_asked_without_seed_and_rate():
    ours, other = versions(TASK, BY_NAME["mollm"]), versions(TASK, BY_NAME["mollm+upgrad"])
    assert ours["settings"] != other["settings"]
    slower = dataclasses.replace(TASK, overrides=(*TASK.overrides, "engine.batch_size=8"))
    assert versions(slower, BY_NAME["mollm"])["settings"] != ours["settings"]
    assert versions(TASK, BY_NAME["mollm"]) == ours


def plan(out, names=("ga",), seeds=(1, 2), **more):
    return quality.Plan(TASK, tuple(BY_NAME[name] for name in names), seeds, out, **more)


STAMP = {"settings": "x", "code": "y"}


def test_a_restart_skips_what_is_there(tmp_path):
    out = tmp_path / "quality.json"
    ahead = plan(out)
    append(out, {}, "rows", [r for rate in TASK.rates[:2] for r in both("ga", 0, rate, retain=rate)])
    runs = ahead.missing(BY_NAME["ga"], STAMP)
    assert next(runs) == (TUNING_SEED, TASK.rates[2])
    append(out, {}, "rows", [*both("ga", 0, TASK.rates[2], retain=0.0), *both("ga", 1, TASK.rates[1])])
    assert list(runs) == [(2, TASK.rates[1])]
    assert next(ahead.missing(BY_NAME["ga"], STAMP | {"code": "new"})) == (0, TASK.rates[0])
    known = plan(out, any_code=True)
    assert list(known.missing(BY_NAME["ga"], STAMP | {"code": "new"})) == [(2, TASK.rates[1])]


def test_the_cost_is_told(tmp_path):
    out = tmp_path / "quality.json"
    stamps = {"ga": STAMP, "npo": STAMP}
    assert plan(out, ("ga", "npo")).cost(stamps) == (
        "10 of 10 runs are ahead, of at most 400 steps each: at most 4000 steps"
    )
    append(out, {}, "rows", [*both("ga", 0), *both("ga", 1)])
    assert plan(out, ("ga", "npo")).cost(stamps).startswith("8 of 10 runs are ahead")


def test_judging_needs_a_rate_and_looks_once(tmp_path):
    out = tmp_path / "quality.json"
    judged = plan(out, seeds=TASK.fresh_seeds, tuned=False)
    with pytest.raises(ValueError, match="ga has no row of seed 0; run it without --judge first"):
        list(judged.missing(BY_NAME["ga"], STAMP))
    append(out, {}, "rows", both("ga", 0))
    assert list(judged.missing(BY_NAME["ga"], STAMP)) == [(seed, 1e-4) for seed in (11, 12, 13, 14, 15)]
    append(out, {}, "rows", both("ga", 11))
    quality.refuse_second_look(judged, {"ga": STAMP})
    with pytest.raises(ValueError, match="once, found ga judged there by sources y.*--seeds 21,22"):
        quality.refuse_second_look(judged, {"ga": STAMP | {"code": "new"}})


def test_mean_and_standard_error_by_hand():
    assert mean_error([]) is None
    assert mean_error([0.5]) == (0.5, None)
    assert mean_error([1.0, 3.0, 5.0]) == pytest.approx((3.0, 2 / math.sqrt(3)))


def table(tmp_path):
    """ga keeps less than ga_kl; npo keeps most where it gets there, which is not always."""
    rows = []
    for name, retain in (("ga", 0.4), ("ga_kl", 0.7), ("npo", 0.9)):
        rows += both(name, 0, retain=retain)
        for seed in TASK.seeds:
            rows += both(name, seed, retain=retain + seed / 100, reached=name != "npo" or seed != 3)
    return rows, table_lines(TASK, CONTENDERS, rows, TASK.seeds)


def test_the_table_counts_and_what_does_not_always_get_there_does_not_compete(tmp_path):
    _, found = table(tmp_path)
    assert [line.loss for line in found] == ["ga_kl", "ga", "npo"]
    assert [line.complete(TASK) for line in found] == [True, True, False]
    first, second = (block.splitlines() for block in markdown(TASK, found).split("\n\n")[1::2])
    assert len(first) == len(second) == 5 and len({line.count("|") for line in first}) == 1
    assert "| ga_kl | s | 0.0001 | 5/5 | 10 | 0.7300 ± 0.0071 | 0.2000 ± 0.0000 |" in first[2]
    assert "| npo | s | 0.0001 | 4/5 |" in first[4]
    assert "forget extraction strength" in first[0] and "forget probability" in second[0]


def test_the_plot_marks_the_front_and_leaves_out_what_does_not_compete(tmp_path):
    import xml.etree.ElementTree as ET

    drawn = ET.fromstring(pareto(TASK, table(tmp_path)[1]))
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in drawn.iter(f"{space}text")]
    assert "ga" in texts and "ga_kl" in texts and "npo" not in texts
    assert sorted(c.get("fill") for c in drawn.iter(f"{space}circle")) == ["#06c", "#fff"]


def test_the_page_is_told_between_its_markers(tmp_path):
    page, out = tmp_path / "PAGE.md", tmp_path / "quality.json"
    page.write_text("before\n<!-- quality embedded -->\nold\n<!-- end of quality embedded -->\nafter\n")
    append(out, {}, "rows", table(tmp_path)[0])
    quality.tell(plan(out, ("ga", "ga_kl", "npo", "dpo"), TASK.seeds), page)
    text = page.read_text()
    assert text.startswith("before\n<!-- quality embedded -->\nSeeds 1 to 5; complete: 3 losses; missing or incomplete")
    assert "dpo." in text and "old" not in text and text.endswith("<!-- end of quality embedded -->\nafter\n")
    assert (tmp_path / "quality-embedded.svg").exists()
    with pytest.raises(ValueError, match="must have the lines '<!-- quality lily -->'"):
        into_page(page, lily(), "")


def test_the_band_is_the_lowest_and_the_highest():
    rows = [{"task": "embedded", PROBABILITY: p, STRENGTH: 0.2} for p in (0.15, 0.19)]
    assert band(rows, TASK).startswith("2 oracles: forget probability 0.150 to 0.190; forget extraction strength 0.200")
    assert band([], TASK) == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--losses", "gaa"], "--losses: no 'gaa' on task embedded; losses: mollm, ga"),
        (["--task", "tofu"], "--task tofu needs --model DIR and --oracle DIR"),
        (["--task", "lily", "--losses", "ga", "--oracles", "1"], "--oracles are made for --task embedded alone"),
        (["--task", "lily", "--out", "nowhere.json"], "takes the six best of the embedded table, found none"),
    ],
)
def test_what_cannot_be_run_is_refused(given, message, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(quality.tasks, "SHARED", tmp_path)
    with pytest.raises(SystemExit, match="2"):
        quality.arguments(given)
    assert message in capsys.readouterr().err


def test_without_its_data_a_task_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(quality.tasks, "SHARED", tmp_path / "none")
    with pytest.raises(SystemExit, match="2"):
        quality.arguments(["--task", "lily"])
    assert "--task lily reads" in capsys.readouterr().err


def test_what_is_planned():
    assert [c.name for c in quality.arguments([]).plan.contenders] == [c.name for c in CONTENDERS]
    judged = quality.arguments(["--judge"]).plan
    assert [c.name for c in judged.contenders] == ["mollm"] and judged.seeds == (11, 12, 13, 14, 15)
    assert not judged.tuned and quality.arguments(["--seeds", "1,2"]).plan.seeds == (1, 2)


def test_lily_gets_the_best_that_it_has_rows_for(tmp_path):
    out = tmp_path / "quality.json"
    rows = []
    for place, name in enumerate(("ga", "ga_kl", "dpo", "mollm", "npo", "wga", "ceu", "simnpo")):
        for seed in (0, *TASK.seeds):
            rows += both(name, seed, retain=place / 10)
    append(out, {}, "rows", rows)
    assert [c.name for c in quality.six_best(out)] == ["simnpo", "ceu", "wga", "npo", "mollm", "ga_kl"]
