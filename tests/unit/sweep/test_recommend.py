"""What a sweep recommends: the rule on job directories written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mollm_cli.configuration.compose import compose_job, composing
from mollm_cli.sweep.recommend import recommend
from mollm_cli.sweep.spec import SweepSpec

SWEEP = SweepSpec("learning-rate", {"optimizer.lr": {"times": [1, 10]}}, {})
TARGET = 0.2


def _job(folder: Path, rate: float, forget: float, retain: float | None, **more: Any) -> None:
    number = len(list(folder.glob("[0-9]*")))
    job = folder / str(number)
    job.mkdir(parents=True)
    names = {"loss": more.get("loss", "mollm")} | ({"experiment": more["experiment"]} if "experiment" in more else {})
    config = {"seed": more.get("seed", 0), "optimizer": {"lr": rate}, "names": names}
    (job / "config.yaml").write_text(yaml.safe_dump(config))
    step = more.get("step", 10)
    selection = {"rule": "target", "step": step, "forget_probability": forget, "retain_probability": retain}
    manifest = {"status": more.get("status", "completed"), "forget_target": TARGET, "selection": selection}
    (job / "manifest.json").write_text(json.dumps(manifest))
    if "rest" in more:
        (job / "metrics.json").write_text(json.dumps({"verdict": {"forget": "matched", "retain": more["rest"]}}))


def _file(folder: Path, name: str = "recommended") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "experiment" / f"{name}.yaml").read_text())
    return content


def test_the_best_retain_of_those_that_reached_the_target(tmp_path: Path) -> None:
    _job(tmp_path, 1e-5, 0.9, 0.99)
    _job(tmp_path, 1e-4, 0.2, 0.97, step=40)
    _job(tmp_path, 1e-3, 0.1, 0.98, step=25)
    _job(tmp_path, 1e-2, 0.0, 0.5, step=5)
    said = recommend(tmp_path, SWEEP, ["optimizer.lr"], "loss=ga 'a=b c'")
    why = "the highest retain probability of 3 settings of 4 that reached the forget target"
    command = f"mollm-unlearn --config-dir {tmp_path} experiment=recommended loss=ga 'a=b c'"
    assert said == [
        "optimizer.lr=1e-05: reached the target in 0 of 1 runs",
        "optimizer.lr=0.0001: reached the target in 1 of 1 runs, retain 0.9700, by step 40",
        "optimizer.lr=0.001: reached the target in 1 of 1 runs, retain 0.9800, by step 25",
        "optimizer.lr=0.01: reached the target in 1 of 1 runs, retain 0.5000, by step 5",
        f"sweep=learning-rate recommends optimizer.lr=0.001 engine.max_steps=25: {why}",
        command,
    ]
    assert _file(tmp_path) == {
        "optimizer": {"lr": 0.001},
        "engine": {"max_steps": 25, "keep": "target", "stop_at_target": False},
    }
    text = (tmp_path / "experiment" / "recommended.yaml").read_text()
    assert text.startswith(
        f"# @package _global_\n# optimizer.lr=0.001 and 25 steps, chosen by sweep=learning-rate: {why}."
    )
    assert f"#   {command}\n" in text and all(f"# {line}\n" in text for line in said[:4])


def test_a_setting_that_moved_the_rest_is_recommended_where_there_is_no_other(tmp_path: Path) -> None:
    """A retain probability that rose is no merit."""
    for rate, retain, rest in ((1e-5, 0.3, "taught"), (1e-4, 0.2, "kept_on_trained_rows_only"), (1e-3, 0.18, "kept")):
        _job(tmp_path, rate, 0.1, retain, rest=rest)
    said = recommend(tmp_path, SWEEP, ["optimizer.lr"], "")
    assert _file(tmp_path)["optimizer"]["lr"] == 1e-4 and "those that drifted left out" in said[-2]
    for number in (1, 2):
        (tmp_path / str(number) / "metrics.json").write_text('{"verdict": {"forget": "exposed"}}')
    said = recommend(tmp_path, SWEEP, ["optimizer.lr"], "")
    assert _file(tmp_path)["optimizer"]["lr"] == 1e-5 and "all of them having drifted" in said[-2]


def test_ties_go_to_the_one_listed_first(tmp_path: Path) -> None:
    for number in range(12):  # so that 10 does not come before 2
        _job(tmp_path, (number + 1) * 1e-5, 0.1, 0.98 if number in (2, 10) else 0.9)
    recommend(tmp_path, SWEEP, ["optimizer.lr"], "")
    assert _file(tmp_path)["optimizer"]["lr"] == pytest.approx(3e-5)


def test_a_rate_needs_all_its_seeds_and_counts_their_mean(tmp_path: Path) -> None:
    for seed, (first, second, third) in enumerate([((0.1, 0.99), (0.1, 0.9), (0.2, 0.97)),
                                                   ((0.3, 0.99), (0.1, 0.98), (0.1, 0.95))]):  # fmt: skip
        _job(tmp_path, 1e-5, *first, seed=seed)
        _job(tmp_path, 1e-4, *second, seed=seed)
        _job(tmp_path, 1e-3, *third, seed=seed, step=10 * (seed + 1))
    said = recommend(tmp_path, SWEEP, ["optimizer.lr", "seed"], "")
    assert said[:3] == [
        "optimizer.lr=1e-05: reached the target in 1 of 2 runs",
        "optimizer.lr=0.0001: reached the target in 2 of 2 runs, retain 0.9400, by step 10",
        "optimizer.lr=0.001: reached the target in 2 of 2 runs, retain 0.9600, by step 20",
    ]
    assert _file(tmp_path)["engine"]["max_steps"] == 20


def test_what_else_is_swept_gets_a_file_each(tmp_path: Path) -> None:
    for loss, good in (("ga", 1e-5), ("mollm", 1e-4)):
        for rate in (1e-5, 1e-4):
            _job(tmp_path, rate, 0.1, 0.98 if rate == good else 0.9, loss=loss)
    said = recommend(tmp_path, SWEEP, ["loss", "optimizer.lr"], "seed=3")
    assert (_file(tmp_path, "recommended_ga")["optimizer"]["lr"], said[2].partition(" ")[0]) == (1e-5, "loss=ga:")
    assert _file(tmp_path, "recommended_mollm")["optimizer"]["lr"] == 1e-4
    assert f"mollm-unlearn --config-dir {tmp_path} experiment=recommended_mollm seed=3 loss=mollm" in said


def test_nothing_is_recommended_where_nothing_reached_the_target(tmp_path: Path) -> None:
    _job(tmp_path, 1e-5, 0.9, 0.99)
    _job(tmp_path, 1e-4, 0.1, 0.99, status="failed")
    _job(tmp_path, 1e-3, 0.1, 0.99, status="interrupted")
    said = recommend(tmp_path, SWEEP, ["optimizer.lr"], "")
    assert said[-1] == "sweep=learning-rate recommends nothing: no setting reached the forget target"
    assert len(said) == 4 and not (tmp_path / "experiment").exists()


def test_jobs_without_their_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "sweep.csv").touch()
    (said,) = recommend(tmp_path, SWEEP, ["optimizer.lr"], "")
    assert said == f"sweep=learning-rate recommends nothing: no run has left its files in {tmp_path}"


def test_without_retain_rows_the_smallest_rate_that_reached_it(tmp_path: Path) -> None:
    _job(tmp_path, 1e-5, 0.9, None)
    _job(tmp_path, 1e-4, 0.1, None)
    _job(tmp_path, 1e-3, 0.1, None)
    recommend(tmp_path, SWEEP, ["optimizer.lr"], "")
    assert _file(tmp_path)["optimizer"]["lr"] == 1e-4


@pytest.mark.parametrize("parent", [None, "pku-opt-1.3b"])
def test_the_next_run_can_name_it(parent: str | None, tmp_path: Path) -> None:
    _job(tmp_path, 5e-6, 0.1, 0.99, step=30, **({} if parent is None else {"experiment": parent}))
    recommend(tmp_path, SWEEP, ["optimizer.lr"], "")
    with composing():
        found = compose_job(
            "config", [f'hydra.searchpath=["file://{tmp_path}"]', "experiment=recommended", "loss=ga_kl"]
        )
    assert (found.optimizer.lr, found.engine.max_steps, found.engine.keep) == (5e-6, 30, "target")
    assert found.engine.batch_size == (16 if parent is None else 2)  # the experiment's own stays
    assert found.hydra.runtime.choices["loss"] == "ga_kl"


def test_what_a_sweep_of_a_stranger_says_is_quoted_and_stays_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my sweep"
    _job(folder, 1e-4, 0.1, 0.9, loss="../../../out;touch x")
    said = recommend(folder, SWEEP, ["loss"], "seed=1; rm -rf ~ $(id)")
    (file,) = (folder / "experiment").iterdir()
    assert file.name == "recommended_..-..-..-out-touch-x.yaml"
    assert said[-1].endswith(" 'seed=1;' rm -rf '~' '$(id)' 'loss=../../../out;touch x'")
    assert said[-1].startswith(f"mollm-unlearn --config-dir '{folder}' experiment=recommended_")
    assert "'it'\"'\"'s'" in recommend(folder, SWEEP, ["loss"], "it's")[-1]


def test_no_line_of_a_value_leaves_its_comment(tmp_path: Path) -> None:
    _job(tmp_path, 1e-4, 0.1, 0.9)
    recommend(tmp_path, SWEEP, [], "a\nloss: mine\u2028solver: mine")
    assert _file(tmp_path).keys() == {"optimizer", "engine"}
