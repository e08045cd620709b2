"""A run that only writes down what it was asked, in the place of the real one."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import mollm_cli
import mollm_cli.launch.session
from mollm_cli.cli.main import main
from mollm_cli.configuration.programs import UNLEARN, Command
from mollm_cli.configuration.request import Request
from mollm_cli.core.endings import Interrupted
from mollm_cli.core.errors import RequestError

REFUSED, CRASHED, FAILED, GATE_FAILED, INTERRUPTED, TERMINATED, HUNG_UP = 9, 10, 7, 8, 11, 12, 13
"""Seeds that make the run end otherwise than well; one that crashed ends well when it is gone on with."""


def _session(request: Request, run_dir: Path, config: dict[str, Any], *_: object) -> int:
    print("noise")
    if request.seed == REFUSED:
        raise RequestError("data.forget.path: no such file")
    (run_dir / "resume").mkdir(exist_ok=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    if request.seed == CRASHED and request.resume is None:
        raise RuntimeError("boom")
    if request.seed == INTERRUPTED:
        raise KeyboardInterrupt
    if request.seed == TERMINATED:
        return 143
    if request.seed == HUNG_UP:
        raise Interrupted(129)
    code = {FAILED: 1, GATE_FAILED: 3}.get(request.seed, 0)
    status = {0: "completed", 1: "failed", 3: "gate_failed"}[code]
    manifest = {"status": status, "exit_code": code, "resume": request.resume, "names": dict(request.names)}
    (run_dir / "manifest.json").write_text(json.dumps(manifest | {"seed": request.seed}))
    return code


@pytest.fixture
def checked() -> list[Request]:
    """The requests that ``--check`` handed on."""
    return []


@pytest.fixture(autouse=True)
def fake_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checked: list[Request]) -> None:
    """A session without a model, in an empty working directory."""
    fake = SimpleNamespace(unlearn=None, finetune=None, evaluate=None, check=checked.extend)
    monkeypatch.setattr(mollm_cli, "run", fake, raising=False)
    monkeypatch.setattr("mollm_cli.launch.session.session", _session)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of a command line."""

    def _answer(command: Command, *typed: str) -> tuple[int, str, str]:
        code = main(command, typed)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return _answer


@pytest.fixture(scope="session")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that crashed after a resume point."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setattr("mollm_cli.launch.session.session", _session)
        patch.chdir(tmp_path_factory.mktemp("crashed"))
        assert main(UNLEARN, ["loss=ga", "engine.max_steps=5", f"seed={CRASHED}"]) == 1
        return Path(out.getvalue().strip())


@pytest.fixture
def unfinished(crashed: Path, tmp_path: Path) -> Path:
    """A copy of it to go on with."""
    return Path(shutil.copytree(crashed, tmp_path / "outputs" / crashed.name))
