"""Text of personal or harmful data stays out of the run directory and off the terminal unless it is asked for."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.cli.compare_runs import main as compare
from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.core.types import COUNTERFACTUAL, MADE_PROBES
from mollm_cli.run.check_screen import LEGEND
from mollm_cli.trackers.train_log import TrainLog
from tests.support.cli import TRAINED, Answer, answer, read_lines, unlearn

SECRETS = ("Quibble", "Marzipan", "zyxw", "wxyz")
"""Words of the rows of ``two_files`` that stand nowhere else."""


def _found(run: Answer) -> set[str]:
    """Which of them stand in any file of the run, or on the terminal."""
    files = [file for file in run.run_dir.rglob("*") if file.is_file()]
    texts = [run.out, run.err, *(file.read_bytes().decode("latin-1") for file in files)]
    return {secret for secret in SECRETS for text in texts if secret in text}


@pytest.mark.parametrize("content", ["personal", pytest.param("harmful", marks=pytest.mark.slow)])
def test_text_that_is_not_ordinary_leaves_no_trace(content: str, root: Path, two_files: list[str]) -> None:
    kinds = [f"data.{role}.content={content}" for role in ("forget", "retain")]
    run = unlearn(root, *two_files, *kinds, "engine.evaluate_every=1", "tracker=tensorboard")
    assert run.code == 0, run.err
    assert _found(run) == set()
    samples = read_lines(run.run_dir / "samples.jsonl")
    sets = {row["set"] for row in samples}
    assert sets - {"forget_test", *MADE_PROBES} == {"forget", "retain", "retain_test", "counterfactual"}
    for row in samples:
        assert row.keys() == {"set", "id", "sha256", "before", "after", "oracle"}
        assert "generation" not in row["after"] and "probability" in row["after"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["data.forget.content=ordinary", "data.retain.content=ordinary"], marks=pytest.mark.slow),
        ["evaluation.keep_text=true"],
    ],
    ids=["ordinary", "asked for"],
)
def test_text_that_is_ordinary_or_asked_for_is_kept(overrides: list[str], root: Path, two_files: list[str]) -> None:
    run = unlearn(root, *two_files, *overrides)
    assert _found(run) == set(SECRETS)
    own = (row for row in read_lines(run.run_dir / "samples.jsonl") if row["set"] not in (COUNTERFACTUAL, *MADE_PROBES))
    for row in own:
        assert row["prompt"].startswith("Quibble") and isinstance(row["after"]["generation"], str)


def test_a_run_that_is_refused_for_a_row_does_not_quote_it(root: Path, two_files: list[str]) -> None:
    run = unlearn(root, *two_files, "data.forget.max_tokens=3", "data.forget.template=none")
    assert run.code == 2 and "row 'forget:" in run.err
    assert _found(run) == set()


def _check(*typed: str) -> str:
    done = answer(UNLEARN, "--check", *typed)
    assert (done.code, done.out) == (0, ""), done.err
    return done.err


def test_check_shows_three_rows_a_role_with_their_targets_marked(root: Path) -> None:
    said = _check(f"output_root={root}").splitlines()
    lines = said[said.index(LEGEND) :]
    assert lines[1].startswith("forget: 30 rows, ") and lines[1].endswith(" of them targets")
    rows = {role: sum(f"  authors-{role}:" in line for line in lines) for role in ("forget", "retain", "holdout")}
    assert rows == {"forget": 3, "retain": 3, "holdout": 3}
    end = next(n for n, line in enumerate(lines) if line.endswith("<|end|>]]"))
    shown = " ".join(line.strip() for line in lines[3 : end + 1])
    assert "In which town was " in shown and "[[ It was in " in shown.replace("[[It", "[[ It")
    assert max(map(len, lines[1:-1])) <= 80
    assert lines[-1] == "the request is in order; no model was loaded"
    assert not root.exists()


def test_check_withholds_text_that_is_not_ordinary(two_files: list[str]) -> None:
    shown = _check(*two_files)
    assert not any(secret in shown for secret in SECRETS)
    assert shown.count("  personal: ░ stands for a token of text") == shown.count(" of them targets") >= 2
    assert "[[░" in shown or "[[ ░" in shown
    assert "Marzipan" in _check(*two_files, "evaluation.keep_text=true")


def test_check_finds_what_a_run_would_refuse(two_files: list[str]) -> None:
    done = answer(UNLEARN, "--check", *two_files, "data.forget.path=nowhere.jsonl")
    assert done.code == 2 and "data.forget.path=nowhere.jsonl must be a file" in done.err


def _killed(*typed: str) -> int:
    """The wait status of a fork of this process that trains, and is killed when its second step is logged."""
    child = os.fork()
    if child == 0:
        honest = TrainLog.write

        def killed(log: TrainLog, record: dict[str, Any]) -> None:
            honest(log, record)
            if record["step"] == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        TrainLog.write = killed  # type: ignore[method-assign]
        os.umask(0o022)
        answer(UNLEARN, *typed)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork where there are threads: none holds a lock of ours
def test_a_run_that_is_killed_was_private_all_along(
    root: Path, two_files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tmp_path.chmod(0o755)
    asked = [*two_files, *(f"data.{role}.content=ordinary" for role in ("forget", "retain")), "loss=ga_kl"]
    line = [f"output_root={root}", *TRAINED, *asked, "tracker=tensorboard", "engine.checkpoint_every=1"]
    assert _killed(*line) == signal.SIGKILL
    (log,) = root.rglob("train.jsonl")
    run = log.parent
    files = [path for folder in (run, tmp_path / "cache") for path in folder.rglob("*") if path.is_file()]
    assert {"config.yaml", "manifest.json", "train.jsonl", "state.json", "tensors.safetensors"} <= {
        file.name for file in files
    }
    assert {_mode(file) for file in files} == {0o600} and any("reference" in file.parts for file in files)
    folders = [path for path in run.rglob("*") if path.is_dir()]
    assert {_mode(path) for path in (run, *folders, tmp_path / "cache")} == {0o700}
    assert {_mode(path) for path in (root, run.parent)} == {0o755}  # a run in them may be shared
    run.chmod(0o750)
    goes_on = answer(UNLEARN, f"resume={run}", "tracker=none")
    assert goes_on.code == 0, goes_on.err
    assert {_mode(run / name) for name in ("manifest.json", "report.html", "metrics.json", "samples.jsonl")} == {0o640}
    assert {_mode(path) for path in (run / "checkpoint").iterdir()} == {0o640}


@pytest.mark.slow
def test_what_is_asked_for_elsewhere_is_as_open_as_the_user_has_it(root: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run = unlearn(
            root, "loss=ga", f"junit={tmp_path / 'ci' / 'gates.xml'}", f"github_summary={tmp_path / 'summary'}"
        )
        with contextlib.redirect_stdout(io.StringIO()):
            assert compare([str(run.run_dir), "--html", str(tmp_path / "runs.html")]) == 0
    finally:
        os.umask(before)
    assert run.code == 0, run.err
    assert {_mode(tmp_path / name) for name in ("ci/gates.xml", "summary", "runs.html")} == {0o644}
    assert _mode(tmp_path / "ci") == 0o755 and _mode(run.run_dir) == 0o700


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("data", ["data=custom", "data=authors", "data=deletion"])
def test_a_file_whose_columns_are_not_known_is_not_quoted(data: str, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text('Quibble Zyxw,"born on the 3rd of May, and lives at 12 Marzipan Street"\nx,y\n')
    paths = [f"data.{role}.path={people}" for role in ("forget", "retain")]
    if data == "data=deletion":
        paths = [f"data.source={people}", "data.forget.ids=[Marzipan]"]
    done = answer(UNLEARN, "--check", data, *paths)
    assert done.code == 2
    assert "found: 2 cells of 12 and 55 characters: the first line looks like a row, not a header. Add" in done.err
    assert not any(secret in (done.out + done.err).lower() for secret in ("quibble", "marzipan street", "zyxw", "born"))
    shown = answer(UNLEARN, "--check", data, *paths, "evaluation.keep_text=true")
    assert "(Quibble Zyxw, born on the 3rd of May, and lives at 12 Marzipan Street): the first line" in shown.err
