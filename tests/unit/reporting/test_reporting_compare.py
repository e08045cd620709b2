import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mollm_cli.core.errors import RequestError
from mollm_cli.reporting.compare import collect, groups, markdown, render, write_sweep_csv

MakeRun = Callable[..., Path]


@pytest.fixture
def sweep(
    make_run: MakeRun, make_metrics: Callable[[], Any], make_manifest: Callable[[], Any], make_lines: Any
) -> Path:
    """Three seeds of mollm with retain .90 .92 .94, one ga that completed, one that failed at step 7."""
    for job, retain in enumerate((0.90, 0.92, 0.94)):
        metrics = make_metrics()
        metrics["after"]["retain_probability"] = retain
        make_run(f"sweep/{job}", metrics=metrics, manifest=make_manifest() | {"seed": job})
    make_run("sweep/3", manifest=make_manifest() | {"loss": "ga"})
    failed = make_manifest() | {"loss": "ga", "status": "failed", "exit_code": 1, "seed": 1}
    del failed["steps"]
    return make_run("sweep/10", metrics=None, samples=None, train=make_lines(7), manifest=failed).parent


def test_a_row_holds_what_the_run_tells(sweep: Path) -> None:
    rows = collect(sweep)
    assert [row.run for row in rows] == ["0", "1", "2", "3", "10"]
    assert (rows[0].loss, rows[0].solver, rows[0].learning_rate) == ("mollm", "dual_space_mgda", 0.001)
    assert rows[0].value("forget_probability", "before") == 0.996
    assert rows[0].value("nothing") is None
    # The path comes down to the oracle's 0.104 in its last interval, where retain goes from .97491 to .97462.
    assert rows[0].matched_retain == pytest.approx(0.9746, abs=2e-4)
    assert (rows[4].status, rows[4].exit_code, rows[4].steps, rows[4].matched_retain) == ("failed", 1, 7, None)


def test_runs_and_sweeps_can_be_named_together(sweep: Path) -> None:
    assert [row.run for row in collect([sweep / "3", sweep])] == ["3", "0", "1", "2", "3", "10"]


def test_mean_and_standard_error_over_seeds(sweep: Path) -> None:
    mollm, ga = groups(collect(sweep))
    estimate = mollm.estimate(lambda row: row.value("retain_probability"))
    assert estimate.mean == pytest.approx(0.92)
    assert estimate.error == pytest.approx(0.02 / 3**0.5)  # s = 0.02 with n - 1
    assert (mollm.completed, ga.completed) == (3, 1)
    alone = ga.estimate(lambda row: row.value("retain_probability"))
    assert (alone.mean, alone.error, alone.runs) == (0.974, None, 1)


def test_runs_with_different_settings_are_never_averaged(make_run: MakeRun) -> None:
    for job, budget in enumerate((0.01, 0.02)):
        make_run(f"sweep/{job}", config=f"seed: {job}\noptimizer: {{lr: 0.001}}\ndirection: {{kl_budget: {budget}}}\n")
    names = [group.name for group in groups(collect(make_run("sweep/0").parent))]
    assert len(names) == 2
    run = make_run("sweep/0", config="optimizer: {lr: 0.001}\ndirection: {kl_budget: 0.01}\n")
    names = [group.name for group in groups(collect(run.parent))]
    assert names == [f"mollm, dual_space_mgda, lr 0.001, direction.kl_budget={budget}" for budget in (0.01, 0.02)]


def test_the_names_come_from_the_configuration_where_the_manifest_has_none(make_run: MakeRun) -> None:
    config = "names: {loss: ga_kl}\nsolver: {_target_: a.b.pcgrad}\n"
    row = collect(make_run(manifest=None, metrics=None, config=config))[0]
    assert (row.loss, row.solver, row.status) == ("ga_kl", "pcgrad", "unknown")


def test_sweep_csv_has_a_row_per_run(sweep: Path) -> None:
    with write_sweep_csv(sweep).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["0", "1", "2", "3", "10"]
    assert rows[0]["forget_probability_before"] == "0.996"
    assert rows[0]["forget_probability_oracle"] == "0.104"
    assert float(rows[0]["retain_at_matched_forgetting"]) == pytest.approx(0.9746, abs=2e-4)
    assert (rows[4]["status"], rows[4]["forget_probability_after"], rows[4]["retain_at_matched_forgetting"]) == (
        "failed",
        "",
        "",
    )


def test_a_sweep_without_runs_has_a_header(tmp_path: Path) -> None:
    lines = write_sweep_csv(tmp_path).read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("run,status,exit_code,loss,solver,seed,learning_rate,steps,retain_at_matched_forgetting")
    assert "retain_probability_oracle" in lines[0]


def test_the_table_and_the_markdown_say_the_same(sweep: Path) -> None:
    rows = collect(sweep)
    text = markdown(rows)
    header, ruler, mollm, ga = text.splitlines()
    assert header.startswith("| run | completed | retain at matched forgetting | forget probability |")
    assert ruler.count("---:") == header.count("|") - 2
    assert "| mollm, dual_space_mgda, lr 0.001 | 3/3 |" in mollm and "0.920 ± 0.012" in mollm
    assert "| 1/2 |" in ga and "0.974 (n=1)" in ga
    assert "forget perplexity" not in header and "forget test perplexity" in header
    console = Console(file=io.StringIO(), width=200)
    console.print(render(rows))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0.920 ± 0.012" in shown and "1/2" in shown


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"a run directory or a folder of them is needed; .* is neither"):
        collect(tmp_path)
