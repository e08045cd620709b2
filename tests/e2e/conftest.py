"""Runs that many tests read: made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Answer, unlearn, write_lines


@pytest.fixture(scope="session")
def mollm(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """The default loss on the embedded model and authors, with its oracle and one progress evaluation a step."""
    root = tmp_path_factory.mktemp("mollm")
    return unlearn(root, "evaluation.oracle=embedded:oracle", "engine.evaluate_every=1", "engine.evaluate_limit=4")


@pytest.fixture(scope="session")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """``data=custom`` on a forget and a retain file of questions and answers that stand nowhere else."""
    folder = tmp_path_factory.mktemp("files")
    overrides = ["data=custom", "direction.forget_target=1e-6"]  # the model never saw them
    for role in ("forget", "retain"):
        rows = [
            {"question": f"Quibble {n} of {role} zyxw?", "answer": f"Marzipan {n} of {role} wxyz."} for n in range(12)
        ]
        overrides.append(f"data.{role}.path={write_lines(folder / f'{role}.jsonl', rows)}")
    return overrides


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where this test's runs go; not made yet."""
    return tmp_path / "out"
