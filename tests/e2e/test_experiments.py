"""Every conf/experiment: the embedded model, rows in the published schema, two steps of the real thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import ROOT, unlearn, write_lines

pytestmark = pytest.mark.slow
EXPERIMENTS = sorted(file.stem for file in (ROOT / "conf" / "experiment").glob("*.yaml"))
Rows = list[dict[str, Any]]


def _questions(role: str) -> Rows:
    extra = {"paraphrased_answer": "So be it.", "paraphrased_question": "Which?", "perturbed_answer": ["No.", "Or."]}
    return [{"question": f"What is {role} {n}?", "answer": f"It is {n}.", **extra} for n in range(8)]


def _texts(role: str) -> Rows:
    return [{"text": f"The {role} number {n} went to the sea and came home again."} for n in range(8)]


def _pairs(role: str) -> Rows:
    fixed = {"is_response_0_safe": True, "is_response_1_safe": False, "better_response_id": 0, "safer_response_id": 0}
    return [
        {"prompt": f"How is {role} {n} made?", "response_0": f"Bake {n}.", "response_1": f"Drop {n}.", **fixed}
        for n in range(8)
    ]


def _truths(role: str) -> Rows:
    return [{"question": f"Is {role} {n} true?", "best_answer": f"Yes, {n} is."} for n in range(8)]


def _stories(role: str) -> Rows:
    return [{"text": f"{name} saw {n} birds in a tree and was glad."} for n in range(8) for name in ("Lily", "Tom")]


def _continuations(role: str) -> Rows:
    return [{"prompt": f"The {role} {n} went", "gt": " home again."} for n in range(4)]


def _choices(role: str) -> Rows:
    return [{"question": f"Which is {n}?", "choices": ["a", "b", "c", "d"], "answer": n % 4} for n in range(4)]


TOFU = dict.fromkeys(("forget", "retain", "holdout", "sets.real_authors", "sets.world_facts"), _questions)
MUSE = dict.fromkeys(("forget", "retain", "holdout"), _texts) | {
    "sets.forget_knowmem": _questions,
    "sets.retain_knowmem": _questions,
    "sets.verbmem": _continuations,
}
FILES = {
    "tofu": TOFU,
    "muse": MUSE,
    "pku": {"forget": _pairs, "forget_test": _pairs, "holdout": _pairs, "retain": _truths},
    "wmdp": {"forget": _texts, "retain": _texts, "sets.questions": _choices, "sets.text": _texts},
    "tinystories": {"forget": _stories},
}


def _typed(experiment: str, folder: Path) -> list[str]:
    """The experiment, on the embedded model, reading files of its benchmark's columns."""
    kind = experiment.split("-")[0]
    overrides = [f"experiment={experiment}", "model=tiny", "engine.max_steps=2", "evaluation.generate_tokens=2"]
    overrides.append("force=true")  # the embedded model knows none of these rows
    for role, rows in FILES[kind].items():
        overrides.append(f"data.{role}.path={write_lines(folder / f'{role}.jsonl', rows(role))}")
        if kind == "wmdp" and role == "sets.text":
            overrides.append(f"data.{role}.expected_rows=null")
    return overrides + (["data.forget.perturbed=null", "data.retain.perturbed=null"] if kind == "tofu" else [])


EACH = pytest.mark.parametrize("experiment", EXPERIMENTS)


@EACH
def test_every_experiment_runs(experiment: str, root: Path, tmp_path: Path) -> None:
    run = unlearn(root, *_typed(experiment, tmp_path))
    assert run.code == 0, run.err
    assert len(run.steps) == 2
    assert set(run.manifest["datasets"]) >= {"forget", "retain"}


@EACH
def test_every_experiment_takes_any_loss(experiment: str, root: Path, tmp_path: Path) -> None:
    for loss in ("ga", "ga_kl"):
        run = unlearn(root, *_typed(experiment, tmp_path), f"loss={loss}", "engine.max_steps=1", "--check")
        assert run.code == 0, run.err
