"""``sweep=NAME``: what it expands to, what it refuses, and the budget that is told first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.configuration.choices import choices, config_dir
from mollm_cli.configuration.compose import compose_job, composing, parse
from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN
from mollm_cli.configuration.request import Request
from mollm_cli.core.errors import RequestError
from mollm_cli.sweep.spec import SweepSpec, expanded, sweeping

Answer = Callable[..., tuple[int, str, str]]
RATES = SweepSpec("rates", {"optimizer.lr": {"times": [0.1, 1, 3]}}, {"engine.keep": "target", "engine.patience": 5})


def _expanded(*typed: str, sweep: SweepSpec = RATES) -> list[str]:
    with composing():
        overrides = parse(typed)
        fixed = [text for text, override in zip(typed, overrides, strict=True) if not override.is_sweep_override()]
        return expanded(sweep, overrides, compose_job("config", fixed))


def test_factors_of_what_the_command_line_makes_of_a_key() -> None:
    kept = ["engine.keep=target", "engine.patience=5"]
    with pytest.raises(RequestError, match="optimizer.lr must be a number, because sweep takes factors"):
        _expanded()  # the default is auto
    assert _expanded("optimizer.lr=2e-3") == [*kept, "optimizer.lr=0.0002,0.002,0.006"]
    lily = "experiment=tinystories-lily"
    assert _expanded(lily, "optimizer=sgd") == [lily, "optimizer=sgd", *kept, "optimizer.lr=9e-05,0.0009,0.0027"]


def test_what_is_typed_wins() -> None:
    assert _expanded("optimizer.lr=1e-5,1e-4", "engine.keep=yardstick") == [
        "optimizer.lr=1e-5,1e-4", "engine.keep=yardstick", "engine.patience=5"
    ]  # fmt: skip
    budgets = SweepSpec("budgets", {"direction.kl_budget": [0.0, "auto", 1]}, {"engine.stop_at_target": False})
    assert _expanded("seed=0,1", sweep=budgets) == [
        "seed=0,1", "engine.stop_at_target=false", "direction.kl_budget=0.0,auto,1"
    ]  # fmt: skip
    assert _expanded("direction.kl_budget=1", sweep=budgets)[-1] == "engine.stop_at_target=false"
    empty = SweepSpec("x", {"engine.max_epochs": [None, 1]}, {"engine.clip_norm": None})
    assert _expanded(sweep=empty) == ["engine.clip_norm=null", "engine.max_epochs=null,1"]


def test_factors_of_what_is_no_number() -> None:
    with pytest.raises(
        RequestError, match="direction.kl_budget must be a number, because sweep takes factors of it, fou"
    ):
        _expanded(sweep=SweepSpec("x", {"direction.kl_budget": {"times": [1, 2]}}, {}))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            ["sweep=learning-rat"],
            "sweep must be one of its choices, found 'learning-rat'; did you mean 'learning-rate'?",
        ),
        (["sweep=learning-rate,x"], "sweep must be one of its choices, found 'learning-rate,x'; did you mean"),
        (["sweep=learning-rate", "sweep=learning-rate"], "found 'learning-rate learning-rate'"),
        (
            ["sweep=learning-rate", "resume=auto", "run_dir=there"],
            "resume goes on with one run, found -m or sweep=NAME; leave it out",
        ),
        (["sweep=learning-rate", "--cfg", "job"], "--cfg job prints one configuration, found -m or sweep=NAME; leave"),
        (["sweep=learning-rate", "optimizer.lr=-1"], "optimizer.lr must be a finite number > 0, or auto, found -1"),
    ],
)
def test_what_is_refused_before_anything_is_made(
    typed: list[str], message: str, answer: Answer, tmp_path: Path
) -> None:
    code, printed, errors = answer(UNLEARN, *typed)
    assert (code, printed, list(tmp_path.iterdir())) == (2, "", [])
    assert message in errors


@pytest.mark.parametrize("command", [FINETUNE, EVALUATE], ids=lambda command: command.name)
def test_only_unlearning_is_swept(command: Any, answer: Answer) -> None:
    code, _, errors = answer(command, "sweep=learning-rate")
    assert code == 2 and "sweep is not a key" in errors


@pytest.mark.parametrize(
    "text",
    [
        "params: {a: [1]}\n",
        "params: {}\nfixed: {}\n",
        "params: {a: 1}\nfixed: {}\n",
        "params: {a: []}\nfixed: {}\n",
        "params: {a: {times: [x]}}\nfixed: {}\n",
        "params: {a: {time: [1]}}\nfixed: {}\n",
        "params: {a: [1]}\nfixed: [1]\n",
        "params: {a: [1]}\nfixed: {}\nchoose: best\n",
        "[",
        "- 1\n",
        "",
    ],
)
def test_a_file_that_is_no_sweep(text: str, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text(text)
    message = r"mine.yaml(: must be YAML,| must have params \(KEY: \[values\] or {times: )"
    with composing(), pytest.raises(RequestError, match=message):
        sweeping(parse(["sweep=mine"]), [config_dir(), tmp_path])


def test_the_budget_is_told_before_the_first_run(answer: Answer, checked: list[Request], tmp_path: Path) -> None:
    code, printed, errors = answer(UNLEARN, "sweep=learning-rate", "seed=0,1", "engine.max_steps=40", "--check")
    assert (code, printed, list(tmp_path.iterdir())) == (0, "", [])
    assert errors == (
        "sweep=learning-rate: 10 runs of at most 40 steps each (at most 400 steps); "
        "optimizer.lr=1e-05,3e-05,0.0001,0.0003,0.001\n"
    )
    engines = [asked.engine for asked in checked if asked.engine is not None]
    assert {(e.keep, e.stop_at_target, e.patience, e.max_steps) for e in engines} == {("target", False, 5, 40)}
    rates = {(asked.optimizer.lr, asked.seed) for asked in checked if asked.optimizer is not None}
    assert rates == {(rate, seed) for rate in (1e-05, 3e-05, 1e-4, 3e-4, 1e-3) for seed in (0, 1)}


def test_stdout_is_the_sweep_directory_and_the_exit_code_that_of_the_jobs(answer: Answer) -> None:
    typed = ("sweep=learning-rate", "optimizer.lr=1e-5,1e-4", "seed=8")  # a gate fails in every job
    code, printed, errors = answer(UNLEARN, *typed)
    assert code == 3
    assert [job.name for job in sorted(Path(printed.removesuffix("\n")).iterdir()) if job.is_dir()] == list("01")
    assert errors.startswith("sweep=learning-rate: 2 runs of at most 400 steps each (at most 800 steps); ")
    assert errors.endswith("sweep=learning-rate recommends nothing: no setting reached the forget target\n")


def test_a_sweep_of_the_users_own(answer: Answer, checked: list[Request], tmp_path: Path) -> None:
    (tmp_path / "my" / "sweep").mkdir(parents=True)
    (tmp_path / "my" / "sweep" / "batch.yaml").write_text("# Mine.\nparams: {engine.batch_size: [4, 8]}\nfixed: {}\n")
    assert answer(UNLEARN, "--config-dir", str(tmp_path / "my"), "sweep=batch", "--check")[0] == 0
    assert [asked.engine.batch_size for asked in checked if asked.engine is not None] == [4, 8]
    listed = answer(UNLEARN, "--config-dir", str(tmp_path / "my"), "--list", "sweep")[1]
    assert "batch          Mine.\nlearning-rate  A learning rate and a stopping point: " in listed


SWEEPS = list(choices("sweep", [config_dir()]))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "learning-rate" else pytest.mark.slow) for name in SWEEPS]
)
def test_every_sweep_is_a_right_request(name: str, answer: Answer, checked: list[Request]) -> None:
    code, _, errors = answer(UNLEARN, f"sweep={name}", "--check")
    assert code == 0, errors
    assert len(checked) > 1


def test_no_job_overwrites_the_junit_file_of_another(answer: Answer, tmp_path: Path) -> None:
    code, printed, errors = answer(UNLEARN, "-m", "seed=0,1", "junit=gates.xml")
    assert (code, printed, list(tmp_path.iterdir())) == (2, "", [])
    assert "junit must name a file for each job of a sweep, found 'gates.xml' for several" in errors
    assert answer(UNLEARN, "-m", "seed=0,1", "junit='gates-${seed}.xml'", "--check")[0] == 0
    remedy = "junit=gates-${hydra:runtime.choices.loss}-${seed}.xml"
    assert answer(UNLEARN, "-m", "seed=0,1", "loss=ga,mollm", remedy, "--check")[0] == 0


def test_a_junit_file_that_cannot_be_written_is_refused_first(answer: Answer, tmp_path: Path) -> None:
    for more in ([], ["--check"]):
        code, printed, errors = answer(UNLEARN, f"junit={tmp_path}", *more)
        assert (code, printed, list(tmp_path.iterdir())) == (2, "", [])
        assert "junit must be a file that can be written" in errors
