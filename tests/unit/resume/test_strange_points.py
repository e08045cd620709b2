"""A resume point whose files hold what no run wrote, under a manifest that fits: one message, nothing of it obeyed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.engine.selection import History, Selection
from mollm_cli.losses.mollm import mollm
from mollm_cli.resume.checkpoint import FILES, STATE, TENSORS
from mollm_cli.resume.intact import MANIFEST, damage, write_manifest
from mollm_cli.resume.resume_points import ResumePoints
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.steps import stepper
from tests.support.tiny import llama

NAME = "step-00000003"


@pytest.fixture
def points(tmp_path: Path) -> ResumePoints:
    """The points of a run that has one, after step 3."""
    model = llama()
    made = stepper(model, mollm(), DualSpaceMGDA(), optimizer=torch.optim.AdamW(model.parameters(), 1e-3))
    (tmp_path / "run").mkdir()
    found = ResumePoints(tmp_path / "run" / "resume", made, History(Selection()))
    found.save(3)
    return found


WHOLE = {"a list": "[]", "a number": "5", "nothing": "", "deep": '{"a":' * 50_000, "no JSON": "{"}
EDITED: dict[str, Any] = {
    "a step of text": {"step": "x"},
    "no history": {"extra": []},
    "inputs that are a list": {"extra": {"inputs": [1]}},
    "a history of text": {"extra": {"looks": "x", "best": 5, "start": [], "evaluations": 7}},
    "an optimizer that is a list": {"optimizer": []},
    "a generator that is none": {"python_random": [3, [1, 2], None]},
    "numbers that are texts": {"numpy_random": ["MT19937", "x", 0, 0, 0.0]},
    "a solver that is a number": {"solver": 5},
    "deep": {"extra": json.loads('{"a":' * 60 + "1" + "}" * 60)},
}


def _refused(points: ResumePoints) -> str:
    with pytest.raises(RequestError) as refused:
        points.load()
    return str(refused.value)


@pytest.mark.parametrize("name", WHOLE)
def test_a_state_that_is_none(name: str, points: ResumePoints) -> None:
    point = points.folder / NAME
    (point / STATE).write_text(WHOLE[name])
    write_manifest(point, NAME, FILES)
    said = _refused(points)
    assert f"{point / STATE} must be what a run wrote, found ValueError: " in said or "JSONDecodeError" in said
    assert "Remove that point, or start the run again without resume" in said


@pytest.mark.parametrize("name", EDITED)
def test_a_state_of_another_shape(name: str, points: ResumePoints) -> None:
    point = points.folder / NAME
    state = json.loads((point / STATE).read_text())
    (point / STATE).write_text(json.dumps(state | EDITED[name]))
    write_manifest(point, NAME, FILES)
    said = _refused(points)
    assert str(point) in said and len(said) < 600


def test_tensors_that_are_none(points: ResumePoints) -> None:
    point = points.folder / NAME
    (point / TENSORS).write_bytes(b"\xff" * 100)
    write_manifest(point, NAME, FILES)
    assert f"{point} must be what a run wrote, found SafetensorError" in _refused(points)


@pytest.mark.parametrize("text", ["[]", "5", '{"files": 5}', '{"files": {}}', '{"a":' * 50_000, '{"files": []}'])
def test_a_manifest_of_another_shape_is_passed_over(text: str, points: ResumePoints) -> None:
    point = points.folder / NAME
    (point / MANIFEST).write_text(text)
    assert damage(point, FILES) == "manifest.json cannot be read"
    assert points.load() == 0
