"""What Hydra's own node may ask: variables of the environment, and nothing of a runner that is not there."""

from __future__ import annotations

import os

import pytest

from mollm_cli.configuration.compose import compose_job, composing
from mollm_cli.configuration.hydra_node import environment, require_no_runner
from mollm_cli.core.allowed import Allowed, allowing
from mollm_cli.core.errors import RequestError


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("hydra.job.chdir=true", r"hydra\.job\.chdir is for Hydra's runner, by which no run is started, found True"),
        ("hydra.output_subdir=.hydra", r"hydra\.output_subdir is for Hydra's runner, .* found \.hydra"),
        ("hydra.verbose=true", r"hydra\.verbose is for Hydra's runner, .* found True"),
        ("+hydra.callbacks.mine._target_=mine.Told", r"hydra\.callbacks is for Hydra's runner, .*mine\.Told"),
    ],
)
def test_what_only_a_runner_heeds_is_refused(typed: str, found: str) -> None:
    with composing(), allowing(Allowed(code=("mine",))):
        require_no_runner(compose_job("config", []))
        with pytest.raises(RequestError, match=found):
            require_no_runner(compose_job("config", [typed]))


def test_variables_of_the_environment_are_set_for_the_run_alone() -> None:
    with composing():
        composed = compose_job("config", ["+hydra.job.env_set.MOLLM_TOLD=3"])
    assert "MOLLM_TOLD" not in os.environ
    with environment(composed):
        assert os.environ["MOLLM_TOLD"] == "3"
    assert "MOLLM_TOLD" not in os.environ
