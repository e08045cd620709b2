"""Jobs of a sweep in real processes, with a run that only writes down what it was asked: no torch is imported."""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli import ROOT

FAILED, KILLED, SLOW, WAITS = 101, 102, 104, 105
"""Seeds: a run that fails; one that is killed the first time; one that takes seconds; one that waits for a signal the
first time."""
FAKE = f"""
import json, os, signal, sys, time, types, yaml
from pathlib import Path
from types import SimpleNamespace

def session(request, run_dir, config, *_):
    with (run_dir.parent / "ran.txt").open("a") as file:
        file.write(f"{{run_dir.name}} {{request.resume is not None}}\\n")
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    again = (run_dir / "once").exists()
    (run_dir / "once").touch()
    if request.seed == {KILLED} and not again:
        os.kill(os.getpid(), signal.SIGKILL)
    if request.seed == {SLOW}:
        time.sleep(3)
    if request.seed == {WAITS} and not again:
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        (run_dir / "resume").mkdir()
        signal.pause()
        time.sleep(2)  # what is saved takes its time, within which nobody may say that it is done
        (run_dir / "saved").touch()
        return 143
    code = 1 if request.seed == {FAILED} else 0
    said = {{"status": "failed" if code else "completed", "exit_code": code, "seed": request.seed, "loss": request.names["loss"]}}
    lr = 1e-4 if config["optimizer"]["lr"] == "auto" else config["optimizer"]["lr"]
    metrics = {{"after": {{"forget_probability": 0.5 - lr, "retain_probability": 0.9 - lr}}}}
    (run_dir / "metrics.json").write_text(json.dumps(metrics))
    (run_dir / "manifest.json").write_text(json.dumps(said))
    return code

run = types.ModuleType("mollm_cli.run")
run.__path__ = [{str(ROOT / "mollm_cli" / "run")!r}]
run.unlearn = run.finetune = run.evaluate = None
import mollm_cli
sys.modules["mollm_cli.run"] = mollm_cli.run = run
opened = sys.modules["mollm_cli.launch.session"] = types.ModuleType("mollm_cli.launch.session")
opened.session = session
"""  # noqa: E501


def fake_runs(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Every Python that is started from here on finds the fake run, through a sitecustomize.py in ``folder``."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FAKE)
    found = [str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    patch.setenv("PYTHONPATH", os.pathsep.join(found))


def table(sweep_dir: Path) -> list[dict[str, str]]:
    """sweep.csv."""
    with (sweep_dir / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def ran(sweep_dir: Path) -> list[tuple[int, str]]:
    """(number, "True" where it was gone on with) of each run, however it ended."""
    lines = (sweep_dir / "ran.txt").read_text().splitlines()
    return sorted((int(number), going_on) for number, going_on in map(str.split, lines))


@contextlib.contextmanager
def started(root: Path, *typed: str) -> Iterator[subprocess.Popen[str]]:
    """``mollm-unlearn -m`` in a process of its own, which does not outlive the block."""
    line = [sys.executable, "-m", "mollm_cli", f"output_root={root}", "-m", *typed]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sweep:
        try:
            yield sweep
        finally:
            sweep.kill()


def until(holds: Callable[[], bool], seconds: float = 300) -> None:
    """Wait until it ``holds``; an AssertionError where it never does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.1)
