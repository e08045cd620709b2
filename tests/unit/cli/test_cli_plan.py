"""--plan on the command line."""

from __future__ import annotations

import pytest

import mollm_cli
from mollm_cli.cli.arguments import read
from mollm_cli.cli.main import main
from mollm_cli.cli.runs import compose_and_run
from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN
from mollm_cli.core.errors import RequestError


@pytest.mark.parametrize("command", [UNLEARN, FINETUNE])
def test_it_reaches_the_run_with_what_was_typed(command, monkeypatch, tmp_path):
    asked = []
    foretell = lambda request, name: asked.append((request.seed, name))  # noqa: E731
    monkeypatch.setattr(mollm_cli.run, "plan", foretell, raising=False)
    assert main(command, ["--plan", "seed=3", f"output_root={tmp_path}/out"]) == 0
    assert asked == [(3, command.name)]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "typed", "message"),
    [
        (EVALUATE, ["--plan"], "--plan is of a training, found mollm-evaluate"),
        (UNLEARN, ["--plan", "-m", "seed=0,1"], "--plan is of one run, found 2 jobs"),
    ],
)
def test_what_has_no_plan(command, typed, message):
    with pytest.raises(RequestError, match=message):
        compose_and_run(command, read(typed))
