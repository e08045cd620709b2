"""--plan on the command line."""

from __future__ import annotations

import json

import pytest

import mollm_cli
from mollm_cli.cli.arguments import read
from mollm_cli.cli.main import main
from mollm_cli.cli.runs import compose_and_run
from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN
from mollm_cli.core.errors import RequestError

FOUND = {"peak_bytes": 7, "remedies": [{"overrides": ["model.adapter=lora"], "peak_bytes": 2**30}]}


@pytest.mark.parametrize("command", [UNLEARN, FINETUNE])
@pytest.mark.parametrize("hours", [False, True])
def test_it_reaches_the_run_with_what_was_typed(command, hours, monkeypatch, tmp_path, capsys):
    asked = []

    def foretell(request, name, timed):
        asked.append((request.seed, name, timed))
        return FOUND

    monkeypatch.setattr(mollm_cli.run, "plan", foretell, raising=False)
    typed = ["seed=3", f"output_root={tmp_path}/out"]
    assert main(command, ["--plan", *(["--hours"] if hours else []), *typed]) == 0
    assert asked == [(3, command.name, hours)]
    assert not (tmp_path / "out").exists()
    said = capsys.readouterr()
    assert json.loads(said.out) == FOUND  # stdout is no terminal here
    assert f"with 1.00 GiB: {command.program} {' '.join(typed)} model.adapter=lora" in said.err


def test_hours_go_with_a_plan():
    with pytest.raises(RequestError, match="--hours goes with --plan; add it, or leave --hours out"):
        read(["--hours"])


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
