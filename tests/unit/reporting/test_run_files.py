from collections.abc import Callable
from pathlib import Path

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.reporting.run_files import read_run

MakeRun = Callable[..., Path]


def test_a_run_reads_back(make_run: MakeRun) -> None:
    run = read_run(make_run())
    assert run.manifest["loss"] == "mollm"
    assert run.config["optimizer"]["lr"] == 0.001
    assert run.objectives == ("unlearning_cross_entropy", "cross_entropy", "forward_kl")
    assert [record["step"] for record in run.steps] == list(range(61))
    assert len(run.samples) == 8


def test_absent_files_are_empty(make_run: MakeRun) -> None:
    run = read_run(make_run(metrics=None, train=None, samples=None, config=None))
    assert (run.metrics, run.steps, run.samples, run.config) == (None, (), (), {})


def test_lines_of_one_step_are_merged_and_the_last_one_wins(make_run: MakeRun) -> None:
    lines = [
        {"step": 2, "loss.a": 1.0, "x": 5},
        {"step": 1, "loss.a": 9.0},
        {"step": 2, "loss.a": 3.0, "status": "fixed"},
    ]
    steps = read_run(make_run(train=lines)).steps
    assert steps == ({"step": 1, "loss.a": 9.0}, {"step": 2, "loss.a": 3.0, "x": 5, "status": "fixed"})


def test_a_line_that_a_kill_cut_off_is_left_out(make_run: MakeRun) -> None:
    path = make_run(train=[{"step": 1}])
    with (path / "train.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert [record["step"] for record in read_run(path).steps] == [1]


def test_a_broken_line_in_the_middle_is_named(make_run: MakeRun) -> None:
    path = make_run()
    (path / "train.jsonl").write_text('{"step": 1}\n{"step"\n{"step": 3}\n')
    with pytest.raises(RequestError, match=r"train.jsonl: row 2 must be JSON; .*Remove or restore the row"):
        read_run(path)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"a run directory holds manifest.json or config.yaml; .* holds neither"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.json", "{", r"metrics.json must be JSON"),
        ("metrics.json", "[" * 100_000, r"metrics.json must be JSON; maximum recursion"),
        ("manifest.json", '{"a": ' + "1" * 5000 + "}", r"manifest.json must be JSON; .*digits"),
        ("metrics.json", "[]", r"metrics.json must hold a mapping; found list"),
        ("config.yaml", "a: [", r"config.yaml: must be YAML, found: .* Correct the file"),
        ("config.yaml", "- a", r"config.yaml must hold a mapping; found list"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(make_run: MakeRun, name: str, text: str, message: str) -> None:
    path = make_run()
    (path / name).write_text(text)
    with pytest.raises(RequestError, match=message):
        read_run(path)
