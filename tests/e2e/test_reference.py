"""The cached reference of whole runs: stated, reused, gone on with, and the same numbers as a copy gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.data.token_cache import cache_folder
from mollm_cli.run import run_reference
from tests.support.cli import Answer, unlearn


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def numbers(run: Answer) -> list[dict[str, float]]:
    return [
        {key: value for key, value in step.items() if key.startswith(("loss.", "weight."))}
        for step in run.steps
        if "loss.forward_kl" in step
    ]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mollm", "ga_kl"])
def test_a_cached_run_has_the_numbers_of_one_with_a_copy(loss: str, root: Path) -> None:
    copied = unlearn(root, f"loss={loss}", "model.reference=copy")
    cached = [unlearn(root, f"loss={loss}") for _ in range(2)]
    assert copied.manifest["reference"]["kind"] == "copy"
    for run in cached:
        for ours, theirs in zip(numbers(run), numbers(copied), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    first, second = (run.manifest["reference"] for run in cached)
    assert (first["kind"], first["rows"], first["filled"], second["filled"]) == ("cache", 24, 24, 0)
    assert numbers(cached[0]) == numbers(cached[1])
    (file,) = first["files"]
    assert second["files"] == [file] and Path(file).is_relative_to(cache_folder().parent / "reference")
    assert 0 < first["disk_bytes"] < Path(file).stat().st_size < 1.1 * first["disk_bytes"]
    model = copied.manifest["reference"]["bytes"]
    assert 0 < first["bytes"] < model  # the head, which is trained, and nothing else
    assert "reference: filling the states of 24 rows" in cached[0].err
    assert "reference: filling" not in cached[1].err
    swept = unlearn(root, "loss=ga_kl", "optimizer.lr=1e-5", "engine.max_steps=1")
    assert swept.manifest["reference"]["filled"] == 0


@pytest.mark.slow
def test_a_longer_run_is_gone_on_with_from_the_same_start(root: Path) -> None:
    """The rows of the steps that are added are filled from the start, not from what has been trained since."""
    short = unlearn(root, "loss=ga_kl", "optimizer.lr=1e-3")
    longer = unlearn(root, f"resume={short.run_dir}", "engine.max_steps=6")
    assert longer.code == 0, longer.err
    assert longer.manifest["reference"]["filled"] == longer.manifest["reference"]["rows"] - 24 > 0
    copied = unlearn(root, "loss=ga_kl", "optimizer.lr=1e-3", "engine.max_steps=6", "model.reference=copy")
    for ours, theirs in zip(numbers(longer), numbers(copied), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_personal_rows_leave_no_states_behind(root: Path) -> None:
    run = unlearn(root, "loss=ga_kl", "data.retain.content=personal")
    assert run.manifest["reference"]["kind"] == "cache"
    assert not (cache_folder().parent / "reference").exists()
    assert "states are held in memory, the rows of 'retain' are personal" in run.err


def test_a_cache_that_cannot_be_is_a_wrong_request(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("")  # no folder, for nobody
    monkeypatch.setattr(run_reference, "tensor_bytes", lambda model, trained=False: 1)
    refused = unlearn(root, "loss=ga_kl", "model.reference=cache")
    assert refused.code == 2
    assert "cannot be written to" in refused.err and "Set model.reference=copy" in refused.err
