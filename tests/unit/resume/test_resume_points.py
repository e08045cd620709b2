"""The weights that a rule keeps: written when they are best, gone on with after a cut, put back at the end."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mollm_cli.core.errors import InterruptionError, RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.data.batches import Stream
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.loop import Hooks, Outcome, train
from mollm_cli.engine.selection import History, Selection
from mollm_cli.engine.stopping import rules
from mollm_cli.gradients.trained import Trained
from mollm_cli.losses.mollm import mollm
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.resume import checkpoint
from mollm_cli.resume.resume_points import ResumePoints
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.steps import stepper
from tests.support.tiny import llama

FORGET = [0.9, 0.8, 0.5, 0.4, 0.3, 0.2, 0.1]
RETAIN = [0.9, 0.9, 0.6, 0.7, 0.8, 0.5, 0.5]
"""What the evaluation after each step says: the target .5 is reached after step 2, the best retain comes at step 4."""
RULE = Selection("target", 0.5)


def _rows(prefix: str) -> list[Encoded]:
    rng = np.random.default_rng(len(prefix))
    ids = [tuple(int(x) for x in rng.integers(3, 48, size=6 + k % 3)) for k in range(7)]
    return [Encoded(f"{prefix}{k}", row, (-100, -100, *row[2:])) for k, row in enumerate(ids)]


class Run:
    """A run of tiny steps whose evaluations are told beforehand; ``weights[k]`` is the model after step k."""

    def __init__(self, folder: Path, rule: Selection = RULE, **settings: Any) -> None:
        model = llama()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        self.stepper = stepper(model, mollm(), DualSpaceMGDA(), optimizer=optimizer)
        folder.mkdir(exist_ok=True)
        self.points = ResumePoints(folder / "resume", self.stepper, History(rule))
        given = {"max_steps": 6, "stop_at_target": False, "retain_floor": None, "keep": rule.keep} | settings
        self.engine = Engine(batch_size=4, evaluate_every=1, **given)
        self.weights: dict[int, torch.Tensor] = {}
        self.kept: list[int] = []
        self.now = 0

    def go(self, resume: bool = False, cut_after: int | None = None) -> Outcome:
        start = self.points.load() if resume else 0
        self.now = start if start else -1

        def evaluate() -> dict[str, float]:
            self.now += 1
            self.weights[self.now] = self.flat()
            return {"forget_probability": FORGET[self.now], "retain_probability": RETAIN[self.now]}

        def keep(step: int) -> None:
            self.kept.append(step)
            self.points.keep(step)

        signalled = lambda: 143 if self.now == cut_after else None  # noqa: E731
        around = Hooks(evaluate, lambda record: None, self.points.save, signalled, keep)
        streams: Any = {role: Stream(_rows(role), 4, 0, 0) for role in ("forget", "retain")}
        limits = rules(self.engine, 7, 0.5)
        outcome = train(
            self.stepper, streams, self.engine, AdamW(1e-3), limits, self.points.history, around,
            torch.device("cpu"), start,
        )  # fmt: skip
        self.points.save(outcome.steps)
        self.points.settle(outcome.steps)
        return outcome

    def flat(self) -> torch.Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.stepper.model.parameters()])


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "resume").iterdir())


def test_every_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.points.save(1)
    drawn = lambda: (random.random(), float(np.random.random()), float(torch.rand(())))  # noqa: E731
    first = drawn()
    assert run.points.load() == 1
    assert drawn() == first


def test_the_kept_weights_are_those_of_the_best_evaluation(tmp_path: Path) -> None:
    run = Run(tmp_path)
    outcome = run.go()
    assert (outcome.steps, outcome.stopped_because) == (6, "max_steps")
    assert run.kept == [0, 1, 2, 3, 4]
    assert torch.equal(run.flat(), run.weights[4]) and not torch.equal(run.flat(), run.weights[6])
    assert run.points.history.told(6)["step"] == 4
    assert _files(tmp_path) == ["kept-00000004.safetensors", "step-00000006"]


def test_the_last_weights_are_kept_by_default_and_nothing_is_written(tmp_path: Path) -> None:
    run = Run(tmp_path, Selection())
    run.go()
    assert torch.equal(run.flat(), run.weights[6]) and _files(tmp_path) == ["step-00000006"]


def test_no_improvement_ends_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, patience=1)
    outcome = run.go()
    assert (outcome.steps, outcome.stopped_because) == (5, "no_improvement")
    assert torch.equal(run.flat(), run.weights[4])


def test_the_best_before_the_collapse_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, Selection("target", 0.05, floor=0.7), retain_floor=0.7)  # .7 x .9: the floor is at .63
    outcome = run.go()
    assert (outcome.steps, outcome.stopped_because) == (2, "retain_collapsed")
    assert torch.equal(run.flat(), run.weights[1])


@pytest.mark.parametrize("cut", [3, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 4, 5))])
def test_resume_equals_uninterrupted_including_what_is_kept(cut: int, tmp_path: Path) -> None:
    whole, first, second = Run(tmp_path / "a"), Run(tmp_path / "b"), Run(tmp_path / "b")
    whole.go()
    with pytest.raises(InterruptionError):
        first.go(cut_after=cut)
    second.go(resume=True)
    assert second.kept == [step for step in whole.kept if step > cut]
    assert torch.equal(second.flat(), whole.flat())
    assert second.points.history == whole.points.history
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


def test_a_run_that_had_stopped_does_not_start_again(tmp_path: Path) -> None:
    """Killed between its last step and its checkpoint, it goes on to the checkpoint."""
    first, second = Run(tmp_path, patience=1), Run(tmp_path, patience=1)
    first.go()
    outcome = second.go(resume=True)
    assert (outcome.steps, outcome.stopped_because) == (5, "no_improvement")
    assert torch.equal(first.flat(), second.flat()) and second.weights == {}
    longer = Run(tmp_path)  # without that rule it goes on
    assert longer.go(resume=True).steps == 6


def test_what_a_point_refers_to_stays_until_there_is_a_newer_point(tmp_path: Path) -> None:
    """A run killed after a better evaluation still finds the weights of its last point."""
    run = Run(tmp_path)
    for step, seen in ((1, 0.8), (2, 0.7), (3, 0.6)):
        run.points.history.add(step, {"forget_probability": seen})
        run.points.keep(step)
        if step == 1:
            run.points.save(1)
    assert _files(tmp_path) == ["kept-00000001.safetensors", "kept-00000003.safetensors", "step-00000001"]
    again = Run(tmp_path)
    assert again.points.load() == 1 and again.points.history.kept(1).step == 1


def test_a_run_cut_off_before_its_first_point_starts_again(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.points.keep(1)  # left behind
    assert run.points.load() == 0
    run.go(resume=True)
    assert torch.equal(run.flat(), run.weights[4])
    assert _files(tmp_path) == ["kept-00000004.safetensors", "step-00000006"]


def test_kept_weights_that_are_gone_are_told_before_the_first_step(tmp_path: Path) -> None:
    Run(tmp_path).go()
    (tmp_path / "resume" / "kept-00000004.safetensors").unlink()
    wanted = "resume must hold the weights after step 4, which engine.keep chose, found no kept-00000004.safetensors"
    with pytest.raises(RequestError, match=wanted):
        Run(tmp_path).points.load()


def test_kept_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    checkpoint.keep(tmp_path, 3, Trained.of(llama()))
    with pytest.raises(RequestError, match=r"kept-00000003.safetensors: parameter .* is missing or of another shape"):
        checkpoint.put_back(tmp_path, 3, Trained.of(llama(hidden=16)))


def test_only_trainable_parameters_are_kept(tmp_path: Path) -> None:
    from safetensors import safe_open

    model = llama()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    with safe_open(checkpoint.keep(tmp_path, 1, Trained.of(model)), "pt") as file:
        assert list(file.keys()) == ["model.lm_head.weight"]
