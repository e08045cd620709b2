"""States of rows in files: safetensors that are read memory-mapped, each whole or not there.

A shard holds the states of some rows, one row after the other, and names the rows. It is called after them, written
under another name and renamed, so that processes that fill the same rows at once leave one file, the first one's. If
two files hold states of one row, the older ones count, so that a resumed run reads what it read before. A checksum
tells a torn file; it is removed, and its rows are filled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
import zlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mollm_cli.core.privacy import private

DIGEST_BYTES = 32
_DAMAGED = (SafetensorError, KeyError, ValueError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows by digest, one after the other in ``states`` [sum(counts), H]; ``file`` is None where they are in memory."""

    digests: tuple[bytes, ...]
    counts: tuple[int, ...]
    states: torch.Tensor
    file: Path | None = None

    def places(self) -> Iterator[tuple[bytes, tuple[int, int]]]:
        """(digest, (first state, the one after its last)) of every row."""
        yield from zip(self.digests, pairwise([0, *accumulate(self.counts)]), strict=True)

    @property
    def state_bytes(self) -> int:
        """The bytes of the states."""
        return self.states.numel() * self.states.element_size()


def write(folder: Path, digests: Sequence[bytes], counts: Sequence[int], states: torch.Tensor) -> Shard:
    """Write a shard to ``folder``, unless it is there, and return it memory-mapped. Raises OSError."""
    file = folder / f"{hashlib.sha256(b''.join(digests)).hexdigest()}.safetensors"
    with contextlib.suppress(OSError, *_DAMAGED):
        return _load(file)
    temporary = folder / f".{os.getpid()}-{uuid.uuid4().hex}"
    rows = torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8)
    tensors = {"digests": rows, "counts": torch.tensor(counts, dtype=torch.int64), "states": states}
    try:
        with private():
            save_file(tensors, temporary, {"checksum": _checksum(*tensors.values())})
            temporary.replace(file)
        return _load(file)
    except _DAMAGED as problem:  # safetensors wraps a full disk in an error of its own
        raise OSError(str(problem)) from problem
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read(folder: Path, wanted: Container[bytes]) -> tuple[list[Shard], list[Path]]:
    """(the shards in ``folder`` that hold a wanted row, the files that were damaged). Damaged files are removed."""
    shards, damaged = [], []
    for file in sorted(folder.glob("*.safetensors"), key=_age):
        try:
            if any(row in wanted for row in _rows(file)):
                shards.append(_load(file))
        except OSError:  # it is not ours to read, or another process removed it
            continue
        except _DAMAGED:
            damaged.append(file)
            with contextlib.suppress(OSError):
                file.unlink()
    return shards, damaged


def _age(file: Path) -> tuple[int, str]:
    with contextlib.suppress(OSError):
        return file.stat().st_mtime_ns, file.name
    return 0, file.name


def _rows(file: Path) -> tuple[bytes, ...]:
    """The rows whose states ``file`` holds; the states themselves are not read."""
    with safe_open(file, framework="pt") as opened:
        return _cut(opened.get_tensor("digests"))


def _load(file: Path) -> Shard:
    """Map one file into memory. Raises ValueError where it is not as it was written."""
    with safe_open(file, framework="pt") as opened:
        tensors = [opened.get_tensor(name) for name in ("digests", "counts", "states")]
        written = (opened.metadata() or {}).get("checksum")
    if written != _checksum(*tensors):
        raise ValueError(f"{file} is not what was written")
    return Shard(_cut(tensors[0]), tuple(tensors[1].tolist()), tensors[2], file)


def _cut(digests: torch.Tensor) -> tuple[bytes, ...]:
    packed = digests.numpy().tobytes()
    return tuple(packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES))


def _checksum(*tensors: torch.Tensor) -> str:
    """CRC-32 over the bytes of contiguous ``tensors``, one after the other."""
    total = 0
    for tensor in tensors:
        total = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"
