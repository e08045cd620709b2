"""Where the states of a cached reference go: to disk, into memory, or nowhere; and several processes at once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mollm_cli.losses.npo import npo
from mollm_cli.models import reference_cache
from mollm_cli.models.reference import starting_states, tensor_bytes
from mollm_cli.run import run_reference as run_reference
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.references import CPU, together
from tests.support.run_references import ROWS, build, kept
from tests.support.tiny import llama, opt

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own; the folder that states are kept in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mollm-unlearn" / "reference"


def _described(**changes: Any) -> dict[str, Any]:
    return {"retain": SimpleNamespace(**({"cache": True, "content": "ordinary"} | changes))}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"loaded": _described(content="personal")}, "the rows of 'retain' are personal"),
        ({"loaded": _described(cache=False)}, "data.cache=false keeps nothing"),
        ({"trust_remote_code": True}, "model.trust_remote_code=true may change them"),
        (
            {
                "loaded": {"books": SimpleNamespace(cache=True, content="personal")},
                "retained": {"retain": {"retain": 1.0, "books": 1.0}},
            },
            "the rows of 'books' are personal",
        ),
    ],
)
def test_what_must_leave_nothing_on_disk_is_held_in_memory(changes: dict[str, Any], reason: str, folder: Path) -> None:
    built = build(**changes)
    assert kept(folder) == [] and not folder.exists()
    assert built.said[0] == f"reference: states are held in memory, {reason}"
    states = sum(row.targets for row in ROWS["retain"]) * 32 * 4
    facts = built.reference.facts
    assert (facts["kind"], facts["bytes"], facts["disk_bytes"]) == ("cache", states + 48 * 32 * 4, 0)
    assert facts["files"] == []


def test_personal_rows_that_are_not_compared_do_not_count(folder: Path) -> None:
    build(loaded={"forget": SimpleNamespace(cache=True, content="personal")})
    assert len(kept(folder)) == 1


@pytest.fixture
def shut(folder: Path) -> Iterator[None]:
    """A cache folder that nothing can be written to, for whoever runs this: a file stands in its place."""
    folder.parent.mkdir(parents=True)
    folder.write_text("")
    return iter(())


@pytest.mark.usefixtures("shut")
def test_a_folder_that_cannot_be_written_to(folder: Path) -> None:
    built = build()
    assert built.reference.kind == "cache" and built.reference.facts["files"] == []
    assert built.said[0].startswith(f"reference: states are held in memory, {folder}")
    assert "cannot be written to (Not a directory)" in built.said[0]


@pytest.mark.usefixtures("shut")
def test_states_that_take_more_memory_than_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_reference, "tensor_bytes", lambda model, trained=False: 5000)
    built = build()
    assert built.reference.kind == "copy"
    assert "cannot be written to (Not a directory), and 5.6 KiB of states take more memory" in built.said[0]


def test_a_read_only_cache_that_has_every_row_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build()

    def refused(*given: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_reference.tempfile, "TemporaryFile", refused)
    assert build().reference.facts["files"] == [str(file) for file in kept(folder)]
    more = build(loss=npo(retain="kl"), solver=WeightedSum())
    assert "cannot be written to (Permission denied)" in more.said[0]
    facts = more.reference.facts
    assert facts["filled"] == 9 and len(facts["files"]) == 1  # forget in memory, retain from the file
    assert facts["bytes"] == 48 * 32 * 4 + sum(row.targets for row in ROWS["forget"]) * 32 * 4


@pytest.mark.parametrize("same", [True, False])
def test_a_disk_without_room(same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the run itself writes is left free where it goes to the same disk."""
    model = llama()
    states = sum(row.targets for row in ROWS["retain"]) * 32 * 4
    free = states + (run_reference.SPARE_BYTES + 10 * tensor_bytes(model) if same else run_reference.SPARE_BYTES)
    run_dir = tmp_path if same else tmp_path / "none"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    assert build(run_dir=run_dir).reference.facts["disk_bytes"] == states
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free - 1))
    built = build(run_dir=run_dir)
    assert built.reference.facts["disk_bytes"] == 0
    assert "free and" in built.said[0] and "are needed" in built.said[0]


def test_a_disk_that_is_full_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reference_cache.shards, "write", full)
    built = build()
    assert built.reference.kind == "copy"
    assert built.said[-1].endswith("takes no file (No space left on device)")


def _build_in(cache: str, barrier: Any, results: Any) -> None:
    import os

    os.environ["XDG_CACHE_HOME"] = cache
    torch.set_num_threads(1)
    model = opt()
    barrier.wait()
    facts = build(model=model).reference.facts
    results.put((facts["rows"], len(facts["files"])))


def test_two_processes_that_fill_at_once(tmp_path: Path, folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2, timeout=60), context.Queue()
    workers = [context.Process(target=_build_in, args=(str(tmp_path / "cache"), barrier, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert found == [(9, 1), (9, 1)]
    assert len(kept(folder)) == 1
    again = build(model=opt())
    assert again.reference.facts["filled"] == 0
    rows = together(ROWS["retain"])
    assert torch.allclose(again.reference.states(rows).hidden, starting_states(opt(), CPU)(rows), rtol=1e-12)


def test_it_is_the_owners_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        build()
    finally:
        os.umask(before)
    made = [folder.parents[1], folder.parent, folder, *folder.rglob("*")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700, 0o700, 0o700, 0o700, 0o600]
