"""A sweep as its runs leave it: three seeds of one loss, and of another one run that ended and one that did not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.reporting.comparison.run_rows import RunRow, collect

MakeRun = Callable[..., Path]


@pytest.fixture
def sweep(
    make_run: MakeRun, make_metrics: Callable[[], Any], make_manifest: Callable[[], Any], make_lines: Callable[..., Any]
) -> Path:
    """Jobs 0, 1, 2: mollm with retain .90, .92, .94; 3: ga; 10: ga under another seed, failed at step 7."""
    for job, retain in enumerate((0.90, 0.92, 0.94)):
        metrics = make_metrics()
        metrics["after"]["retain_probability"] = retain
        make_run(f"sweep/{job}", metrics=metrics, manifest=make_manifest() | {"seed": job})
    make_run("sweep/3", manifest=make_manifest() | {"loss": "ga"})
    failed = make_manifest() | {"loss": "ga", "status": "failed", "exit_code": 1, "seed": 1, "error": "the loss is nan"}
    del failed["steps"]
    return make_run("sweep/10", metrics=None, samples=None, train=make_lines(7), manifest=failed).parent


@pytest.fixture
def make_rows(
    make_run: MakeRun, make_metrics: Callable[[], Any], make_manifest: Callable[[], Any], tmp_path: Path
) -> Callable[..., list[RunRow]]:
    """Rows of runs that are alike but for ``changes``: a run each, {"file.key[.key]": value}; None takes a key away."""
    folders = (f"runs-{call}" for call in itertools.count())

    def make(*changes: dict[str, Any]) -> list[RunRow]:
        folder = next(folders)
        for job, changed in enumerate(changes):
            files = {"metrics": make_metrics(), "manifest": make_manifest()}
            for key, value in changed.items():
                if key == "config":
                    files[key] = value
                    continue
                *path, last = key.split("/")
                place = files
                for part in path:
                    place = place.setdefault(part, {})
                if value is None:
                    place.pop(last, None)
                else:
                    place[last] = value
            make_run(f"{folder}/{job}", **files)
        return collect(tmp_path / folder)

    return make
