"""The line that goes on with a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.launch.again import going_on


@pytest.mark.parametrize(
    ("typed", "place", "line"),
    [
        (["loss=ga", "seed=1"], "out/a", "mollm-unlearn loss=ga seed=1 resume=auto run_dir=out/a"),
        (["resume=out/a", "engine.max_steps=9"], "out/a", "mollm-unlearn engine.max_steps=9 resume=auto run_dir=out/a"),
        (["resume=auto", "run_dir=out/a"], "out/a", "mollm-unlearn resume=auto run_dir=out/a"),
        (["train=[a, b]"], "out/(a)", "mollm-unlearn 'train=[a, b]' resume=auto 'run_dir=\"out/(a)\"'"),
    ],
)
def test_what_was_typed_with_the_directory(typed: list[str], place: str, line: str) -> None:
    assert going_on(["/bin/mollm-unlearn", *typed], "unlearn", Path(place)) == line
