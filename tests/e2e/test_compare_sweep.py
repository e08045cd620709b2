"""``mollm-compare`` on a sweep of twelve runs: two losses, two rates, three seeds; one failed, one was interrupted."""

from __future__ import annotations

import csv
import io
import os
import signal
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import mollm_cli.run
from mollm_cli.cli.compare_runs import main
from mollm_cli.run.context import Context
from tests.support.cli import read, unlearn

pytestmark = pytest.mark.slow

SWEPT = ("-m", "loss=ga,ga_kl", "optimizer.lr=3e-4,1e-3", "seed=0,1,2")
FAILED, INTERRUPTED = 4, 11
"""Jobs: the second seed of the second group; the last seed of the last one, after which no job would start."""


def _diverging(step: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's step at a rate that is far too large; the configuration keeps the group's."""

    def diverging(optimizer: torch.optim.Optimizer, *arguments: Any) -> Any:
        optimizer.param_groups[0]["lr"] = 1e30
        return step(optimizer, *arguments)

    return diverging


def _signalled(step: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's step in which someone presses Ctrl-C."""

    def signalled(optimizer: torch.optim.Optimizer, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return step(optimizer, *arguments)

    return signalled


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sweep's directory. Only the optimizer's step of the two jobs is changed; how they end is the program's."""
    really = mollm_cli.run.unlearn
    changes = {FAILED: _diverging, INTERRUPTED: _signalled}

    def run(context: Context) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if change := changes.get(int(context.run_dir.name)):
                patch.setattr(torch.optim.AdamW, "step", change(torch.optim.AdamW.step))
            really(context)

    settings = (
        "evaluation.oracle=embedded:oracle",
        "engine.evaluate_every=1",
        "engine.evaluate_limit=4",
        "engine.stop_at_target=false",
        "engine.retain_floor=null",  # what diverges is to fail, not to be stopped as collapsed
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mollm_cli.run, "unlearn", run)
        swept = unlearn(tmp_path_factory.mktemp("sweep"), *SWEPT, *settings, "engine.max_steps=2")
    assert swept.code == 130, swept.err
    yield swept.run_dir


def _values(sweep: Path, jobs: tuple[int, ...], name: str) -> list[float]:
    return [read(sweep / str(job) / "metrics.json")["after"][name] for job in jobs]


def test_the_csv_has_all_twelve(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep), "--csv"]) == 0
    text = capsys.readouterr().out
    assert text == (sweep / "sweep.csv").read_text()  # what the sweep wrote of itself when it was interrupted
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["run"] for row in rows] == [str(job) for job in range(12)]
    statuses = ["completed"] * 12
    statuses[FAILED], statuses[INTERRUPTED] = "failed", "interrupted"
    assert [row["status"] for row in rows] == statuses
    assert [row["group"] for row in rows] == [key for key in "ABCD" for _ in range(3)]
    assert rows[FAILED]["forget_probability_after"] == rows[INTERRUPTED]["forget_probability_after"] == ""
    assert {row["differs"] for row in rows} == {""}


def test_the_means_are_over_the_finished_runs(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line[2]: [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:3].strip("| -")}
    finished = {"A": (0, 1, 2), "B": (3, 5), "C": (6, 7, 8), "D": (9, 10)}
    for key, jobs in finished.items():
        values = _values(sweep, jobs, "retain_probability")
        error = statistics.stdev(values) / len(values) ** 0.5
        assert cells[key][2] == f"{len(jobs)}/3"
        assert cells[key][6] == f"{statistics.mean(values):.3f} ± {error:.3f}"
    assert [cells[key][1] for key in "AD"] == ["ga, weighted_sum, lr 0.0003", "ga_kl, weighted_sum, lr 0.001"]
    notes = "\n".join(line for line in lines if line.startswith("- run "))
    failed = read(sweep / str(FAILED) / "manifest.json")["error"]
    assert f"- run {FAILED} (B, seed 1): failed after step " in notes and f", in no mean ({failed[:60]}" in notes
    assert f"- run {INTERRUPTED} (D, seed 2): interrupted after step 1, in no mean (signal)" in notes
    assert notes.count("\n") == 1


def test_the_front_is_that_of_the_means(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(sweep), "--csv"])
    rows = [row for row in csv.DictReader(io.StringIO(capsys.readouterr().out)) if row["status"] == "completed"]
    means = {}
    for key in "ABCD":
        mine = [row for row in rows if row["group"] == key]
        gaps = [abs(float(r["forget_probability_after"]) - float(r["forget_probability_oracle"])) for r in mine]
        means[key] = statistics.mean(gaps), statistics.mean(float(r["retain_probability_after"]) for r in mine)
    front = {
        key
        for key, (gap, retain) in means.items()
        if not any(g <= gap and r >= retain and (g, r) != (gap, retain) for g, r in means.values())
    }
    assert {row["group"] for row in rows if row["on_front"] == "True"} == front and front


def test_the_page_stands_alone(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "compared.html"
    assert main([str(sweep), "--html", str(page)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"wrote {page}\n")
    text = page.read_text()
    assert "12 runs in 4 groups" in text and "10 completed, 1 failed, 1 interrupted" in text
    assert text.count('<tr class="out">') == 2 and 'aria-label="Forget against retain' in text
    assert not any(word in text for word in ("<script", "http:", "https:", "<link", "<img", "url("))


def test_a_killed_sweep_is_compared_as_far_as_it_came(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A manifest that says running is all that a kill leaves; a folder without one is no run yet."""
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "0").symlink_to(sweep / "0")
    (killed / "1").mkdir()
    (killed / "2").mkdir()
    manifest = (sweep / str(INTERRUPTED) / "manifest.json").read_text()
    (killed / "1" / "manifest.json").write_text(manifest.replace('"interrupted"', '"running"'))
    assert main([str(killed)]) == 0
    printed = capsys.readouterr().out
    assert "still running, or killed" in printed and "in no mean" in printed
