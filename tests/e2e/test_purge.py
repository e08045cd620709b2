"""What was to be forgotten does not stay lying about: not in a run, not in a cache, not for others."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.data import token_cache
from tests.support.cli import answer, read_lines, unlearn

WORDS = ("Quibble", "Marzipan", "zyxw", "wxyz")
"""Of the rows of ``two_files``; they stand nowhere else."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caches of this machine: ours, the Hub's and that of datasets; token ids are kept of any number of rows."""
    folder = tmp_path / "machine"
    for variable, name in (
        ("XDG_CACHE_HOME", ""),
        ("HF_HOME", "hf"),
        ("HF_DATASETS_CACHE", "hf/datasets"),
        ("TMPDIR", ""),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(variable, str(folder / name))
    monkeypatch.setattr(token_cache, "FEWEST_ROWS", 1)
    return folder


def _found(*folders: Path) -> set[tuple[str, str]]:
    """(file, word) wherever one of WORDS stands in a file below ``folders``."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return {(file.name, word) for file in files for word in WORDS if word.encode() in file.read_bytes()}


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


@pytest.mark.slow
def test_a_purged_machine_holds_no_text(root: Path, two_files: list[str], machine: Path) -> None:
    kinds = [f"data.{role}.content=harmful" for role in ("forget", "retain")]
    asked = ["evaluation.keep_text=true", "data.retain.answers_from=model", "loss=ga_kl", "engine.max_steps=1"]
    run = unlearn(root, *two_files, *kinds, *asked)
    assert run.code == 0, run.err
    caches = [file for file in machine.rglob("*") if file.is_file()]
    assert {file.relative_to(machine).parts[1] for file in caches} >= {"tokens", "answers"}
    listed = {*run.manifest["caches"], *run.manifest["reference"].get("files", [])}
    assert listed == {str(file) for file in caches}
    assert {"samples.jsonl", "report.html"} <= {file for file, _ in _found(run.run_dir)}
    assert _modes(run.run_dir) == {0o700, 0o600}
    assert {stat.S_IMODE((machine / "mollm-unlearn" / name).stat().st_mode) for name in ("tokens", "answers")} == {
        0o700
    }

    done = answer(UNLEARN, "--purge", str(run.run_dir))
    assert (done.code, done.out) == (0, ""), done.err
    assert _found(run.run_dir, machine) == set()
    assert [file for file in machine.rglob("*") if file.is_file()] == []
    assert all(f"removed: {file} (" in done.err for file in caches)
    assert {file["path"] for file in run.manifest["purged"]["files"]} >= {str(file) for file in caches}
    assert (run.manifest["status"], run.manifest["caches"]) == ("completed", [])
    assert read_lines(run.run_dir / "samples.jsonl")[0].keys() == {"set", "id", "sha256", "before", "after", "oracle"}
    assert json.loads((run.run_dir / "metrics.json").read_text())["after"]


@pytest.mark.slow
def test_without_text_not_even_ordinary_rows_are_quoted(root: Path, two_files: list[str], machine: Path) -> None:
    kinds = [f"data.{role}.content=ordinary" for role in ("forget", "retain")]
    run = unlearn(
        root, *two_files, *kinds, "evaluation.keep_text=false", "engine.max_steps=1", "engine.checkpoint_every=1"
    )
    assert run.code == 0, run.err
    assert _found(run.run_dir) == set()
    assert not any(word in run.out + run.err for word in WORDS)
    assert not list((machine / "hf").rglob("*.arrow"))  # files of one's own are read without datasets and its cache


def test_purge_takes_a_run_and_nothing_else(root: Path) -> None:
    done = answer(UNLEARN, "--purge", str(root))
    assert done.code == 2 and "--purge must be followed by a run directory, found no manifest.json" in done.err
    done = answer(UNLEARN, "--purge", str(root), "seed=1")
    assert done.code == 2 and "--purge RUN takes no override, found seed=1; leave it out" in done.err
    assert not root.exists()


@pytest.mark.slow
def test_a_purge_leaves_the_run_private_and_others_files_alone(
    root: Path, two_files: list[str], tmp_path: Path
) -> None:
    run = unlearn(root, *two_files, "loss=ga", "evaluation.keep_text=true")
    assert run.code == 0, run.err
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "mine").write_text("mine")
    (run.run_dir / "resume" / "scores").symlink_to(victim)
    done = answer(UNLEARN, "--purge", str(run.run_dir))
    assert done.code == 2 and "the run directory must hold no link, found" in done.err
    assert (victim / "mine").read_text() == "mine" and _found(run.run_dir)
    (run.run_dir / "resume" / "scores").unlink()
    (tmp_path / "link").symlink_to(run.run_dir)
    done = answer(UNLEARN, "--purge", str(tmp_path / "link"))
    assert done.code == 2 and "the run directory must be a folder, found the link" in done.err
    assert answer(UNLEARN, "--purge", str(run.run_dir)).code == 0
    assert _found(run.run_dir) == set() and _modes(run.run_dir) == {0o700, 0o600}
