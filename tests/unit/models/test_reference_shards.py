"""Files of states come back as they were written, or not at all."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import torch

from mollm_cli.models import reference_shards
from mollm_cli.models.reference_shards import read, write

ROWS = [bytes([n]) * 32 for n in range(3)]
COUNTS = [2, 0, 3]


def states(seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_what_is_written_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    written = write(tmp_path, ROWS, COUNTS, states(dtype=dtype))
    (found,), damaged = read(tmp_path, {ROWS[2]})
    assert damaged == []
    assert found.states.dtype == dtype and torch.equal(found.states, states(dtype=dtype))
    assert list(found.places()) == [(ROWS[0], (0, 2)), (ROWS[1], (2, 2)), (ROWS[2], (2, 5))]
    assert found.file == written.file and found.state_bytes == 20 * dtype.itemsize
    assert [file.name for file in tmp_path.iterdir()] == [found.file.name]  # nothing else is left


def test_a_file_without_a_wanted_row_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, ROWS, COUNTS, states())
    assert read(tmp_path, {b"x" * 32}) == ([], [])
    assert read(tmp_path / "none", set(ROWS)) == ([], [])


def test_states_are_mapped_and_not_loaded(tmp_path: Path) -> None:
    """What is read is the file: after a change of its last byte the tensor says something else."""
    shard = write(tmp_path, ROWS, COUNTS, torch.ones(5, 4))
    end = shard.file.read_bytes().index(bytes(torch.ones(20).numpy()))
    with shard.file.open("r+b") as file:
        file.seek(end)
        file.write(bytes(torch.full((20,), 3.0).numpy()))
    assert torch.equal(shard.states, torch.full((5, 4), 3.0))


@pytest.mark.parametrize("left", [0, 7, 100, -1])
def test_a_cut_file_is_noticed_and_gone(tmp_path: Path, left: int) -> None:
    file = write(tmp_path, ROWS, COUNTS, states()).file
    content = file.read_bytes()
    file.write_bytes(content[:left])
    assert read(tmp_path, set(ROWS)) == ([], [file])
    assert not file.exists()
    again = write(tmp_path, ROWS, COUNTS, states())
    assert torch.equal(again.states, states()) and again.file.read_bytes() == content


@pytest.mark.parametrize("part", ["digests", "counts", "states"])
def test_a_file_of_the_right_length_with_other_bytes_is_noticed(tmp_path: Path, part: str) -> None:
    file = write(tmp_path, ROWS, COUNTS, states()).file
    content = file.read_bytes()
    was = {"digests": ROWS[1], "counts": bytes(torch.tensor(COUNTS).numpy()), "states": bytes(states().numpy())}[part]
    assert was in content
    file.write_bytes(content.replace(was, was[:-1] + bytes([was[-1] ^ 1])))
    assert read(tmp_path, set(ROWS)) == ([], [file])


def test_a_file_of_another_kind_is_damaged(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"states": states()}, tmp_path / "a.safetensors")
    assert read(tmp_path, set(ROWS))[1] == [tmp_path / "a.safetensors"]


def test_the_first_file_stays(tmp_path: Path) -> None:
    """Two processes that fill the same rows differ by rounding; a resumed run reads what it read before."""
    write(tmp_path, ROWS, COUNTS, states(0))
    assert torch.equal(write(tmp_path, ROWS, COUNTS, states(1)).states, states(0))


def test_a_damaged_file_is_written_over(tmp_path: Path) -> None:
    file = write(tmp_path, ROWS, COUNTS, states(0)).file
    file.write_bytes(file.read_bytes()[:50])
    assert torch.equal(write(tmp_path, ROWS, COUNTS, states(1)).states, states(1))


def test_the_older_file_comes_first(tmp_path: Path) -> None:
    files = [write(tmp_path, ROWS[:n], COUNTS[:n], states()[: sum(COUNTS[:n])]).file for n in (1, 2, 3)]
    for age, file in zip((30, 10, 20), files, strict=True):
        os.utime(file, (age, age))
    assert [shard.file for shard in read(tmp_path, set(ROWS))[0]] == [files[1], files[2], files[0]]


def test_a_folder_that_takes_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory"):
        write(tmp_path / "none", ROWS, COUNTS, states())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(reference_shards, "save_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        write(tmp_path, ROWS, COUNTS, states())
    assert list(tmp_path.iterdir()) == []


def _write_many(folder: str, barrier: Any) -> None:
    for n in range(40):
        rows = [row[:-1] + bytes([n]) for row in ROWS]
        barrier.wait()
        assert torch.equal(write(Path(folder), rows, COUNTS, states()).states, states())


def test_processes_that_write_the_same_rows_at_once(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(2, timeout=60)
    workers = [fork.Process(target=_write_many, args=(str(tmp_path), barrier)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    shards, damaged = read(tmp_path, {row[:-1] + bytes([n]) for row in ROWS for n in range(40)})
    assert (len(shards), damaged, len(list(tmp_path.iterdir()))) == (40, [], 40)


def test_a_file_is_the_owners_alone_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_shards, "save_file", lambda tensors, file, metadata: file.write_bytes(b"x"))
    before = os.umask(0)
    try:
        with pytest.raises(OSError, match="header"):
            write(tmp_path, ROWS, COUNTS, states())
    finally:
        os.umask(before)
    assert [stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()] == [0o600]
