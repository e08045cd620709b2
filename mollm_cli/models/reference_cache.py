"""The starting model's states of rows, computed once: kept between runs in a folder, or for this run in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mollm_cli.core.doing import advance
from mollm_cli.core.types import Batch, Encoded
from mollm_cli.core.world import ALONE, World
from mollm_cli.models import reference_shards as shards
from mollm_cli.models.reference_shards import Shard
from mollm_cli.models.sharding import is_sharded, whole

VERSION = 1
"""Raised whenever the same model and rows would give other states."""
SHARD_BYTES = 64 << 20
"""States that wait in memory before they are written: small beside a model, large beside the cost of a file."""
UNNAMED = ("_name_or_path", "transformers_version", "base_model_name_or_path")
"""Keys by which a configuration tells where it came from; they change no state."""

Place = tuple[torch.Tensor, int, int]


class StateCache:
    """States [targets of a row, H] of ``rows``, looked up by id; of several rows with one id, by their tokens.

    folder: keeps them between runs; None, which may be set later too: new states are held in memory.
    layer: the hidden layer that gives them out; None: they enter the language-model head.
    damaged: torn files of the folder, which have been removed.
    filled: the number of rows that were computed.
    """

    def __init__(self, rows: Sequence[Encoded], folder: Path | None = None, layer: int | None = None) -> None:
        self.folder, self.layer = folder, layer
        self.filled = 0
        self._rows = {digest(row.input_ids, row.labels): row for row in rows}
        self._named: dict[str, list[bytes]] = {}
        for row in rows:
            known, own = self._named.setdefault(row.id, []), digest(row.input_ids, row.labels)
            if own not in known:
                known.append(own)
        self._shards: list[Shard] = []
        self._places: dict[bytes, Place] = {}
        self.damaged: list[Path] = []
        if folder is not None:
            found, self.damaged = shards.read(folder, self._rows)
            for shard in found:
                self._take(shard)

    def missing(self) -> list[Encoded]:
        """The rows with targets that have no states yet, the longest first, so that too large a batch shows at once."""
        rows = [row for own, row in self._rows.items() if own not in self._places and row.targets]
        return sorted(rows, key=lambda row: len(row.input_ids), reverse=True)

    def fill(
        self,
        states_of: Callable[[Batch], torch.Tensor],
        collate: Callable[[Sequence[Encoded]], Batch],
        batch_size: int,
        world: World = ALONE,
    ) -> None:
        """Compute missing states, ``batch_size`` rows at a time, and keep them shard by shard.

        states_of: gives the states [N, H] at the targets of a batch.
        world: the processes that make a forward pass together. Each keeps rows of its own in the folder and reads the
            others' there; without a folder each holds all of them in memory.

        Raises OSError, on every process, where the folder takes no file.
        """
        everything = self.missing()
        rows = everything if self.folder is None else everything[world.rank :: world.size]
        most = len(everything) if self.folder is None else -(-len(everything) // world.size)
        waiting: list[torch.Tensor] = []
        first, refused = 0, None
        for start in range(0, most, batch_size):
            part = rows[start : start + batch_size]
            # A process without a row left passes another's: of shards every process must take part in each pass.
            states = states_of(collate(part or everything[:1])).detach().cpu()
            advance(len(part) * (world.size if self.folder is not None else 1))
            if not part or refused:
                continue
            waiting.append(states)
            done = start + len(part)
            if done == len(rows) or sum(x.numel() * x.element_size() for x in waiting) >= SHARD_BYTES:
                try:
                    self._take(self._kept(rows[first:done], torch.cat(waiting)))
                except OSError as problem:
                    refused = problem
                waiting, first = [], done
        self._hear(world, refused)
        self.filled += len(everything)

    def _hear(self, world: World, refused: OSError | None) -> None:
        """Take in the states that other processes have filled. Raises OSError where any process could not write."""
        problems = [problem for problem in world.everyones(None if refused is None else str(refused)) if problem]
        if refused is not None:
            raise refused
        if problems:
            problem = problems[0]
            raise OSError(str(problem))
        if self.folder is not None and world.size > 1:
            for shard in shards.read(self.folder, self._rows)[0]:
                self._take(shard)

    def states(self, batch: Batch) -> torch.Tensor:
        """States [N, H] at the targets of ``batch``, in their order, on its device. Raises KeyError for other rows."""
        asked = [self._identity(batch, i) for i in range(len(batch.ids))]
        found = [self._places[own] for own in asked if self._rows[own].targets]
        parts = [states[first:end] for states, first, end in found]
        states = torch.cat(parts) if parts else self._shards[0].states[:0]
        device = batch.labels.device
        return states.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else states.to(device)

    @property
    def rows(self) -> int:
        """The number of rows that the cache is for."""
        return len(self._rows)

    @property
    def memory_bytes(self) -> int:
        """The bytes of states that are held in memory."""
        return sum(shard.state_bytes for shard in self._shards if shard.file is None)

    @property
    def disk_bytes(self) -> int:
        """The bytes of states in the files that are read."""
        return sum(shard.state_bytes for shard in self._shards if shard.file is not None)

    @property
    def files(self) -> list[Path]:
        """The files that are read."""
        return [shard.file for shard in self._shards if shard.file is not None]

    def _kept(self, rows: Sequence[Encoded], states: torch.Tensor) -> Shard:
        digests = tuple(digest(row.input_ids, row.labels) for row in rows)
        counts = tuple(row.targets for row in rows)
        if self.folder is None:
            return Shard(digests, counts, states)
        return shards.write(self.folder, digests, counts, states)

    def _take(self, shard: Shard) -> None:
        """Use the states in ``shard`` that are not known yet; a shard without any is let go of."""
        new = [(own, place) for own, place in shard.places() if own in self._rows and own not in self._places]
        self._places |= {own: (shard.states, *place) for own, place in new}
        if new:
            self._shards.append(shard)

    def _identity(self, batch: Batch, i: int) -> bytes:
        """The row that ``batch`` has at place ``i``; its tokens are looked at only where the id does not tell."""
        known = self._named[batch.ids[i]]
        if len(known) == 1:
            return known[0]
        length = int(batch.attention_mask[i].sum())
        return digest(batch.input_ids[i, :length].tolist(), batch.labels[i, :length].tolist())


def digest(input_ids: Sequence[int], labels: Sequence[int]) -> bytes:
    """The sha256 of a row's token ids and labels, which decide its states together with the model."""
    import numpy

    return hashlib.sha256(numpy.array([input_ids, labels], dtype=numpy.int64).tobytes()).digest()


@dataclass(frozen=True, slots=True)
class Forward:
    """The conditions, beside the model, on which states depend.

    layer: the hidden layer that gives them out; None: they enter the language-model head.
    """

    device: str
    bf16: bool = False
    layer: int | None = None


def fingerprint(model: Any, forward: Forward) -> str:
    """The sha256 of all that decides a row's states: weights, configurations, precision, kind of device, versions.

    The weights themselves are read, once each, wherever they came from: files, a seed, an adapter.
    """
    import transformers

    state, seen, sharded = hashlib.sha256(), set(), is_sharded(model)
    once = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    for name, value in model.state_dict().items():
        if not isinstance(value, torch.Tensor):
            continue
        state.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        value = whole(value)
        if (name in once) if sharded else value.data_ptr() not in seen:  # tied weights are one
            seen.add(value.data_ptr())
            state.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    config = model.config
    parts = {
        "version": VERSION,
        "weights": state.hexdigest(),
        "config": config.to_dict(),
        "attention": getattr(config, "_attn_implementation", None),
        "adapters": {name: adapter.to_dict() for name, adapter in getattr(model, "peft_config", {}).items()},
        "forward": [forward.device, forward.bf16, forward.layer, torch.get_float32_matmul_precision()],
        "versions": [torch.__version__, transformers.__version__],
    }
    return hashlib.sha256(json.dumps(_plain(parts), sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """``value`` as JSON that is the same in every process."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if key not in UNNAMED}
    if isinstance(value, set | frozenset):
        return sorted(str(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | float | str | None) else str(value)
