"""Generated command lines: exit code 0 or 2, a short message, no trace, nothing left behind.

The suite runs the same 20 every time; ``make fuzz`` draws 2,000 new ones (MOLLM_FUZZ is how many).
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.cli import TRAINED, Answer, answer, read
from tests.support.command_lines import Typed, command_lines, trainings

EXAMPLES = int(os.environ.get("MOLLM_FUZZ", "20"))
MOST_LINES = 20
PLAIN = settings(
    deadline=None,
    database=None,
    derandomize="MOLLM_FUZZ" not in os.environ,
    phases=(Phase.generate,),  # the line that fails is shown; a shorter one would take minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module", autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty working directory, caches of our own, no network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("empty")
        patch.chdir(folder)
        yield folder


def _check(typed: Typed) -> tuple[Answer, str]:
    """What ``typed`` is answered with, and the line, once that keeps to what every command line must keep to."""
    words = [word.encode(errors="replace").decode() for word in typed.words]
    line = shlex.join([typed.command.program, *words])[:3000]
    try:
        done = answer(typed.command, *typed.words)
    except BaseException as escaped:
        raise AssertionError(f"{type(escaped).__name__} escaped from {line}") from escaped
    assert done.code in (0, 2), f"exit code {done.code} of {line}\n{done.err[-3000:]}"
    assert "Traceback" not in done.err, f"{line}\n{done.err}"
    said = done.err[done.err.rfind(f"{typed.command.program}: ") :] if done.code == 2 else ""
    assert done.code == 0 or (said and said.count("\n") < MOST_LINES), f"{line}\n{done.err}"
    assert "\x1b" not in done.err, f"{line}\n{done.err!r}"
    return done, line


@pytest.mark.slow
@given(typed=command_lines())
@settings(PLAIN, max_examples=EXAMPLES)
def test_a_command_line_is_answered_or_refused(alone: Path, typed: Typed) -> None:
    _, line = _check(typed)
    assert list(alone.iterdir()) == [], f"{line} left something behind"


@given(typed=trainings())
@settings(PLAIN, max_examples=max(1, EXAMPLES // 20))
def test_a_training_ends_or_is_refused(alone: Path, typed: Typed) -> None:
    """One step on two rows. What its files alone could show leaves a manifest that says so."""
    few = [f"data.{role}.limit=2" for role in ("forget", "retain", "holdout", "sets.text")]
    words = ("output_root=out", *TRAINED, "engine.max_steps=1", "engine.batch_size=2", *few, *typed.words)
    try:
        done, line = _check(Typed(typed.command, words))
        made = [file.parent for file in alone.rglob("manifest.json") if file.parts[-3] != "resume"]  # that of a point
        assert [str(folder) for folder in made] == done.out.splitlines(), line
        assert all(read(folder / "manifest.json")["exit_code"] == done.code for folder in made), line
        assert made or not list(alone.iterdir()), f"{line} left something behind"
    finally:
        shutil.rmtree(alone / "out", ignore_errors=True)
