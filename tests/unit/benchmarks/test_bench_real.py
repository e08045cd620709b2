"""The real benchmark: rows that a restart skips, what is run in how long, the table, one run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import real, real_run, real_task
from benchmarks.quality_run import composed
from benchmarks.real_methods import METHODS
from benchmarks.real_models import Said
from benchmarks.real_run import START, Bench, best_rate, drift
from benchmarks.real_table import COLUMNS, into_page, markdown, short
from mollm_cli.configuration.request import request

PERSON = [
    name for name in COLUMNS if name not in ("paraphrased", "retain", "retain_test", "real_authors", "world_facts")
]
SAID = [["What is the capital of France?", "Paris | of course"]]


def row(method, rate=1e-5, seed=0, reached=True, drift=0.1, settings="x", **columns):
    values = dict.fromkeys(PERSON, 0.5) | columns
    head = {"method": method, "rate": rate, "seed": seed, "reached": reached, "drift": drift, "settings": settings}
    return head | {"steps": 8, "stopped": "max_steps", "seconds": 30.0, "columns": values, "said": SAID}


def test_the_best_rate_reaches_the_target_with_the_least_drift():
    rows = [row("npo", 3e-6, reached=False, drift=0, forget=0.2), row("npo", 1e-5), row("npo", 3e-5, drift=0.05)]
    assert best_rate([*rows, row("npo", 9e-5, seed=1, drift=0)], "npo", 0) == 3e-5
    rows = [row("npo", rate, reached=False, forget=p, drift=p) for rate, p in ((3e-6, 0.2), (1e-5, 0.1), (3e-5, 0.1))]
    assert best_rate(rows, "npo", 0) == 1e-5
    assert best_rate(rows, "wga", 0) is None


HELD_OUT = real_task.Task("", "", Path(), Path(), ()).held_out


def test_a_restart_skips_what_is_there_and_chooses_the_rate_from_it(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    ahead = real.missing(path, METHODS["npo"], (1e-5, 3e-5), (0, 1), "x")
    assert next(ahead) == (1e-5, 0)
    real.append(path, row("npo", 1e-5))
    real.append(path, row("npo", 3e-5, settings="of another file", drift=0))
    assert next(ahead) == (3e-5, 0)
    real.append(path, row("npo", 3e-5, drift=0.01))
    with path.open("a") as cut:
        cut.write('{"method": "npo", "ra')
    assert list(real.missing(path, METHODS["npo"], (1e-5, 3e-5), (0, 1), "x")) == [(3e-5, 1)]
    assert next(real.missing(path, METHODS["mollm"], (1e-5,), (0, 1), "x")) == (None, 0)
    real.append(path, row("npo", 3e-5, seed=1))
    assert list(real.missing(path, METHODS["npo"], (1e-5, 3e-5), (0, 1), "x")) == []
    assert len(real.read(path)) == 4


def test_drift_counts_a_rise_like_a_fall():
    start = {"others_test": 0.1, "neighbours": 0.1, "general": 0.1, "kl": 0.0}
    for factor in (2, 0.5):
        assert drift(start | {"general": 0.1 * factor, "kl": 0.01}, start, HELD_OUT) == pytest.approx(
            0.01 + math.log(2)
        )


def test_the_table_has_means_and_says_what_is_missing(tmp_path):
    rows = [
        row(START, None, None),
        row("mollm", None, forget=0.2),
        row("mollm", None, seed=1, forget=0.4, reached=False),
    ]
    old = [
        row(START, None, None, forget=0.9),
        row("mollm", None, forget=0.9, settings="old"),
        row("mollm", None, seed=2, settings="old"),
    ]
    text = markdown([*old, *rows], ["mollm", "npo"], 0)
    assert "| forget, trained rows | 0.5000 | 0.3000 ± 0.1000 |" in text
    assert "| reached, of seeds |  | 1/2 |" in text and "| rate |  | auto |" in text
    assert "Not measured: npo." in text and "Paris \\| of course" in text
    assert "| oracle |" not in text and "paraphrased" not in text
    beside = markdown([*rows, row("oracle", None, None, forget=0.1)], ["mollm"], 0)
    assert "| forget, trained rows | 0.5000 | 0.1000 | 0.3000 ± 0.1000 |" in beside
    page = tmp_path / "PAGE.md"
    page.write_text("# Before\n")
    for block in ("old", "new"):
        into_page(page, "a", block)
    assert page.read_text() == "# Before\n\n<!-- real a -->\nnew\n<!-- end of real a -->\n"
    into_page(page, "b", "new", add=False)
    assert "b" not in page.read_text().replace("Before", "")
    page.write_text("<!-- real a -->\n")
    with pytest.raises(ValueError, match="once each, or neither"):
        into_page(page, "a", "")


def test_the_short_form_has_the_few_methods_and_the_columns_of_its_task(tmp_path):
    rows = [
        row(START, None, None),
        row("mollm", None, forget=0.25),
        row("wga"),
        row("open_unlearning_npo", probes2=0.1),
    ]
    text = short(rows, 0, "A model", "python -m benchmarks.real")
    lines = text.splitlines()
    assert lines[0].startswith("A model, at matched forgetting") and "`python -m benchmarks.real`" in lines[0]
    assert lines[2] == "|  | start | `mollm` | `open_unlearning_npo` |"
    assert "| what is forgotten: probability | 0.5000 | 0.2500 | 0.5000 |" in lines
    assert (
        "| probes on it, levels 1 / 2 / 3 | 0.5000 / 0.5000 / 0.5000 | " in text and "0.5000 / 0.1000 / 0.5000" in text
    )
    assert "| steps |  | 8 | 8 |" in lines and any(line.startswith("| drift: ") for line in lines)
    assert len(lines) == 12 and "authors" not in text


def planned(monkeypatch, tmp_path, *more):
    monkeypatch.setattr(real, "SHARED", tmp_path)
    text = tmp_path / "text.txt"
    text.write_text("a")
    (tmp_path / "rwku").mkdir(exist_ok=True)
    return real.arguments(["--text", str(text), "--data", str(tmp_path), *more])


def test_what_is_run_by_default_hangs_on_the_model_and_the_first_seed_goes_first(monkeypatch, tmp_path):
    small, large = planned(monkeypatch, tmp_path), planned(monkeypatch, tmp_path, "--model", "gemma")
    assert small.seeds == large.seeds == [0] and len(large.methods) < len(small.methods)
    wide = planned(monkeypatch, tmp_path, "--methods", "all", "--task", "tofu", "--person", "Nobody")
    assert wide.methods == list(METHODS.values()) and real.name_of(wide) == "smollm2-tofu"
    assert real.name_of(large) == "gemma-vincent-van-gogh"
    chosen = planned(monkeypatch, tmp_path, "--methods", "mollm,npo", "--rates", "1e-5", "--seeds", "0,1")
    order, path, bench = [], tmp_path / "rows.jsonl", Bench(task(tmp_path / "data"), tmp_path, 0.1, 3)
    for method, rate, seed in real.ahead(chosen, bench, path):
        order.append((method.name, rate, seed))
        real.append(path, row(method.name, rate, seed, settings=bench.settings(method)))
    assert order == [("mollm", None, 0), ("npo", 1e-5, 0), ("mollm", None, 1), ("npo", 1e-5, 1)]


def gone(monkeypatch, tmp_path, chosen, oracle=None, seconds=20):
    """The rows of a benchmark whose runs are stubs of so many ``seconds``."""
    clock = iter(range(0, 10000, seconds))
    monkeypatch.setattr(real, "spent", lambda: next(clock))
    monkeypatch.setattr(real, "task_of", lambda *given: (task(tmp_path / "data"), oracle))
    monkeypatch.setattr(real, "loaded", lambda folder: folder.name)
    monkeypatch.setattr(real, "tokenizer", lambda folder: "tokenizer")
    monkeypatch.setattr(real.Measures, "of", lambda *given: Measured(dict.fromkeys(PERSON, 0.1)))
    monkeypatch.setattr(real_run.Bench, "run", lambda bench, method, *given: row(method.name, None))
    real.go(chosen, tmp_path / "rows.jsonl", tmp_path)
    return real.read(tmp_path / "rows.jsonl")


def test_no_run_begins_that_would_pass_the_minutes(monkeypatch, tmp_path, capsys):
    chosen = planned(monkeypatch, tmp_path, "--methods", "mollm,npo", "--minutes", "1")
    assert [found["method"] for found in gone(monkeypatch, tmp_path, chosen)] == [START, "mollm"]
    assert "the same line goes on from here" in capsys.readouterr().err


def test_runs_are_matched_at_the_oracle_where_there_is_one(monkeypatch, tmp_path):
    chosen = planned(monkeypatch, tmp_path, "--methods", "mollm", "--seeds", "0")
    measured = Measured(dict.fromkeys(PERSON, 0.1))
    monkeypatch.setattr(Measured, "__call__", lambda self, model: self.columns | {"forget": FORGET[model]})
    found = gone(monkeypatch, tmp_path, chosen, Path("/models/oracle"), seconds=1)
    assert [(row["method"], row.get("target")) for row in found] == [(START, None), ("oracle", None), ("mollm", 0.04)]
    assert [row["columns"]["forget"] for row in found[:2]] == [0.2, 0.04] and measured.columns["forget"] == 0.1
    (tmp_path / "rows.jsonl").unlink()
    assert gone(monkeypatch, tmp_path, chosen, seconds=1)[-1]["target"] == 0.1


FORGET = {"model": 0.2, "oracle": 0.04}


def test_each_method_is_a_loss_of_the_tool():
    for method in METHODS.values():
        assert Path("conf", "loss", f"{method.typed[0].removeprefix('loss=')}.yaml").is_file()


def task(folder, model=Path("/models/model")):
    paths = (f"data.{role}.path={folder}/trained/{file}.jsonl" for role, file in FILES.items())
    return real_task.Task("a", "A", model, folder, (*real_task.SETTINGS, *real_task.PERSON, *paths))


FILES = {"forget": "forget", "retain": "others", "mix.retain.questions": "questions"}


@pytest.mark.parametrize("name", ["mollm", "npo_kl"])
def test_a_method_is_a_command_that_the_tool_takes(name, tmp_path):
    method = METHODS[name]
    bench = Bench(task(tmp_path), tmp_path, 0.05, 3)
    asked = request(composed(bench.typed(method, 1e-5 if method.tuned else None, 1)), "unlearn")
    assert asked.optimizer.lr == (1e-5 if method.tuned else "auto")
    assert (asked.direction.forget_target, asked.engine.max_steps, asked.seed) == (0.05, 3, 1)


@dataclass
class Measured:
    columns: dict

    def __call__(self, model):
        return self.columns

    def told(self, model, count):
        return SAID


def test_a_run_becomes_a_row_and_its_weights_go(tmp_path, monkeypatch):
    columns = dict.fromkeys(COLUMNS, 0.1) | {"kl": 0.02}
    bench, typed = Bench(task(tmp_path), tmp_path, 0.05, 3), []

    def command(shell, program, *words):
        typed.extend(words)
        place = tmp_path / next(word for word in words if word.startswith("run_dir=")).split("/")[-1]
        place.mkdir()
        (place / "manifest.json").write_text(
            json.dumps({"stopped_because": "forget_target", "steps": 6, "git_commit": "abc"})
        )
        return Said("mollm-unlearn", code, 9.0, 4.0, "", "what went wrong")

    monkeypatch.setattr(real_run.Shell, "run", command)
    monkeypatch.setattr(real_run, "loaded", lambda folder: folder.name)
    measures, code = Measured(columns), 0
    found = bench.run(METHODS["ga_kl"], 1e-5, 2, measures, {"columns": dict.fromkeys(COLUMNS, 0.1)})
    assert found == {
        "method": "ga_kl", "rate": 1e-5, "seed": 2, "reached": True, "stopped": "forget_target", "steps": 6,
        "seconds": 4.0, "commit": "abc", "columns": columns, "said": SAID, "drift": 0.02,
    }  # fmt: skip
    assert {"seed=2", "optimizer.lr=1e-05", "resume=auto"} <= set(typed) and list(tmp_path.iterdir()) == []
    code = 1
    with pytest.raises(RuntimeError, match="exit code 1:\nwhat went wrong"):
        bench.run(METHODS["mollm"], None, 2, measures, {"columns": columns})


def test_a_rival_trains_on_the_rows_of_the_command_and_stops_where_that_does(tmp_path, monkeypatch):
    trained, given = tmp_path / "trained", {}
    trained.mkdir()
    for name in ("forget", "others"):
        lines = (json.dumps({"text": f"{name} said {k}"}) for k in range(20))
        (trained / f"{name}.jsonl").write_text("\n".join(lines))
    asked = (json.dumps({"prompt": f"who is {k}?", "answer": f"{k}"}) for k in range(5))
    (trained / "questions.jsonl").write_text("\n".join(asked))

    def loop(model, start, rows, objective, rate, seed):
        given.update(model=model, start=start, rows=rows, objective=objective, rate=rate, seed=seed)
        return {"reached": True, "stopped": "forget_target", "steps": 4, "seconds": 2.0}

    monkeypatch.setattr(real_run.real_rivals, "forget", loop)
    monkeypatch.setattr(real_run, "loaded", lambda folder: folder.name)
    measures = Measured(dict.fromkeys(COLUMNS, 0.1))
    measures.start = "start"
    method = METHODS["open_unlearning_npo"]
    bench = Bench(task(tmp_path, Path("embedded:tiny")), tmp_path, 0.05, 7)
    found = bench.run(method, 1e-5, 2, measures, {"columns": measures.columns})
    assert (found["method"], found["rate"], found["seed"], found["steps"], found["drift"]) == (
        "open_unlearning_npo", 1e-5, 2, 4, 0.1,
    )  # fmt: skip
    rows = given["rows"]
    assert (len(rows.forget), len(rows.retain), len(rows.looked), rows.batch) == (20, 25, 15, 4)
    assert (rows.target, rows.most, given["rate"], given["seed"]) == (0.05, 7, 1e-5, 2)
    assert (given["objective"], given["start"]) == (real_run.real_rivals.OBJECTIVES["npo"], "start")
