"""What a machine may do to resume points: never a lost good one, never one that cannot be read taken for good."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mollm_cli.core.errors import RequestError, RunError
from mollm_cli.engine.step import Stepper
from mollm_cli.losses.mollm import mollm
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.steps import stepper
from tests.support.tiny import llama

GOOD, NEXT = "step-00000001", "step-00000002"


@pytest.fixture
def job(tmp_path: Path) -> Stepper:
    """A run with a good point after step 1, in ``tmp_path``."""
    model = llama()
    made: Stepper = stepper(model, mollm(), DualSpaceMGDA(), optimizer=torch.optim.AdamW(model.parameters(), 1e-3))
    checkpoint.save(tmp_path, 1, made, {"note": 1})
    return made


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _full(*given: Any, **more: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _rust_full(*given: Any, **more: Any) -> None:
    from safetensors import SafetensorError

    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


class TornAfter:
    """A context after which ``file`` is torn."""

    def __init__(self, inner: Any, file: Path) -> None:
        self.inner, self.file = inner, file

    def __enter__(self) -> Any:
        return self.inner.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.inner.__exit__(*error)
        os.truncate(self.file, 100)


@pytest.mark.parametrize(
    ("place", "refuse", "error"),
    [
        ("safetensors.torch.save_file", _rust_full, "No space left on device"),
        ("mollm_cli.resume.checkpoint.write_manifest", _full, "No space left on device"),
        ("mollm_cli.core.atomic.sync", _full, "No space left on device"),
        ("os.replace", _full, "No space left on device"),
    ],
)
def test_a_disk_that_is_full_at_any_moment_leaves_the_point_before(
    place: str, refuse: Callable[..., None], error: str, job: Stepper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(place, refuse)
        with pytest.raises(Exception, match=error):
            checkpoint.save(tmp_path, 2, job, {})
    assert _names(tmp_path) == [GOOD]
    assert checkpoint.load(tmp_path, job) == (1, {"note": 1})
    checkpoint.save(tmp_path, 2, job, {})
    assert _names(tmp_path) == [NEXT]


def test_a_point_that_reads_back_otherwise_does_not_take_the_place_of_the_one_before(
    job: Stepper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that says that it has written and has not."""
    honest = checkpoint.whole

    def lying(final: Path, *options: Any, **more: Any) -> Any:
        return TornAfter(honest(final, *options, **more), final / checkpoint.TENSORS)

    monkeypatch.setattr(checkpoint, "whole", lying)
    wanted = r"must read back as it was written, found that of .*step-00000002, tensors.safetensors has 100 bytes in"
    with pytest.raises(RunError, match=wanted):
        checkpoint.save(tmp_path, 2, job, {})
    assert _names(tmp_path) == [GOOD, NEXT]
    heard: list[str] = []
    assert [point.name for point in checkpoint.points(tmp_path, heard.append)] == [GOOD]
    assert heard[0].startswith("warning: the resume point step-00000002 is passed over: tensors.safetensors has 100")
    assert checkpoint.load(tmp_path, job)[0] == 1


@pytest.mark.parametrize("file", ["manifest.json", "state.json", "tensors.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_the_last_good_point_is_found_behind_a_torn_one(file: str, share: float, job: Stepper, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / GOOD, tmp_path.parent / "kept" / GOOD, dirs_exist_ok=True)
    checkpoint.save(tmp_path, 2, job, {"note": 2})
    shutil.copytree(tmp_path.parent / "kept" / GOOD, tmp_path / GOOD)
    torn = tmp_path / NEXT / file
    os.truncate(torn, int(share * torn.stat().st_size))
    assert checkpoint.load(tmp_path, job) == (1, {"note": 1})
    shutil.rmtree(tmp_path.parent / "kept")


def test_nothing_but_torn_points_is_no_point(job: Stepper, tmp_path: Path) -> None:
    (tmp_path / GOOD / "state.json").write_text("{}")
    with pytest.raises(RequestError, match="holds no resume point to go on from"):
        checkpoint.load(tmp_path, job)
    checkpoint.save(tmp_path, 1, job, {"note": 3})  # a torn one of this step is written again
    assert checkpoint.load(tmp_path, job) == (1, {"note": 3})


def test_a_whole_point_of_the_same_step_is_not_written_again(job: Stepper, tmp_path: Path) -> None:
    before = (tmp_path / GOOD / "state.json").stat().st_mtime_ns
    checkpoint.save(tmp_path, 1, job, {"note": "other"})
    assert (tmp_path / GOOD / "state.json").stat().st_mtime_ns == before
    assert checkpoint.load(tmp_path, job) == (1, {"note": 1})


def test_what_is_not_to_be_gone_on_with_puts_nothing_back(job: Stepper, tmp_path: Path) -> None:
    def refuse(step: int, extra: dict[str, Any]) -> None:
        raise RequestError(f"not after {step} with {extra}")

    with torch.no_grad():
        job.parameters[0].zero_()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with pytest.raises(RequestError, match="not after 1 with {'note': 1}"):
        checkpoint.load(tmp_path, job, refuse)
    assert not job.parameters[0].any() and torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("write", [checkpoint.save, checkpoint.keep])
def test_a_run_directory_that_is_gone_does_not_come_back_as_a_part(
    write: Callable[..., Any], job: Stepper, tmp_path: Path
) -> None:
    gone = tmp_path / "gone" / "resume"
    given = (gone, 2, job, {}) if write is checkpoint.save else (gone, 2, job.trained)
    with pytest.raises(FileNotFoundError):
        write(*given)
    assert not gone.parent.exists()


@pytest.mark.parametrize("link", ["run", "run/resume"])
def test_points_are_neither_written_nor_removed_through_a_link(link: str, job: Stepper, tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "run" / "resume"
    for place in (victim, victim / "resume"):
        (place / GOOD).mkdir(parents=True)
        (place / "kept-00000001.safetensors").write_text("mine")
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(victim)
    before = sorted(victim.rglob("*"))
    for work in (lambda: checkpoint.save(folder, 2, job, {}), lambda: checkpoint.keep(folder, 2, job.trained)):
        with pytest.raises(OSError, match=f"'.*/{link}'"):
            work()
    checkpoint.keep_only(folder, {2})
    assert sorted(victim.rglob("*")) == before


def test_a_link_among_the_points_goes_and_not_what_it_leads_to(job: Stepper, tmp_path: Path) -> None:
    victim = tmp_path.parent / f"{tmp_path.name}-victim"
    shutil.copytree(tmp_path / GOOD, victim / GOOD)
    (tmp_path / "step-00000000").symlink_to(victim / GOOD)
    (tmp_path / NEXT).symlink_to(victim)
    checkpoint.save(tmp_path, 2, job, {})
    assert _names(tmp_path) == [NEXT] and not (tmp_path / NEXT).is_symlink()
    assert len(list((victim / GOOD).iterdir())) == 3


def test_another_name_of_kept_weights_is_not_written_to(job: Stepper, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "kept-00000002.safetensors").hardlink_to(mine)
    assert checkpoint.keep(tmp_path, 2, job.trained).stat().st_size > 100 and mine.read_text() == "mine"
