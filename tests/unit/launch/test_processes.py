"""How many processes there are, against how many were asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mollm_cli.configuration.programs import EVALUATE, UNLEARN
from mollm_cli.core.errors import RequestError
from mollm_cli.launch.processes import STARTED_BY_ACCELERATE, follows, launched
from tests.support.cli import answer

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", STARTED_BY_ACCELERATE)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def _of(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(size))


@pytest.mark.parametrize(
    ("size", "typed", "message"),
    [
        (2, ["engine.processes=3"], r"engine.processes=3 must be how many .* found 2; start 3 \(torchrun --nproc-per"),
        (1, ["engine.processes=2"], r"engine.processes=2 must be how many processes the launcher starts, found 1"),
        (2, ["engine.parallel=none"], "engine.parallel=none is for one process, found 2; set engine.parallel=auto"),
        (1, ["engine.parallel=fsdp"], "engine.parallel=fsdp is for several processes, found one; set engine.proc"),
        (2, ["-m", "seed=0,1"], "-m and sweep=NAME must be started once, found 2 processes of one launcher"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(
    size: int, typed: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _of(monkeypatch, 0, size)
    refused = answer(UNLEARN, f"output_root={tmp_path}", *typed)
    assert (refused.code, refused.out) == (2, "")
    assert re.search(message, refused.err), refused.err
    assert list(tmp_path.iterdir()) == []


def test_accelerate_that_starts_one_for_many_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(STARTED_BY_ACCELERATE, "no")
    refused = answer(UNLEARN, f"output_root={tmp_path}", "engine.processes=2")
    assert refused.code == 2 and "found 1; start 2" in refused.err
    monkeypatch.setenv("MASTER_PORT", "29500")
    refused = answer(EVALUATE, f"output_root={tmp_path}")
    assert refused.code == 2 and "accelerate launch must start as many processes as it was asked for" in refused.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("one", "2"), ("0", "two")])
def test_an_environment_that_says_nothing(rank: str, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(RequestError, match="RANK must be a number below WORLD_SIZE in the environment, found RANK="):
        launched()
    refused = answer(UNLEARN)
    assert refused.code == 2 and "RANK must be" in refused.err


@pytest.mark.parametrize("typed", [["--help"], ["--cfg", "job"], ["--check"], ["--list", "loss"], ["--nonsense"]])
def test_who_follows_is_silent(typed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not follows()
    _of(monkeypatch, 1, 2)
    assert follows()
    said = answer(UNLEARN, *typed)
    assert (said.code, said.out, said.err) == (2 if typed == ["--nonsense"] else 0, "", "")
