"""The channel between the processes of a run, beside their sums: one of them has ended, and how.

Rank 0 hears every other process, and each hears rank 0, over connections of their own and in threads of their own: a
process that is killed closes them, so that nobody waits in a sum for one that is gone.
"""

from __future__ import annotations

import json
import os
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from mollm_cli.core.world import ALONE, World, join, leave, on_this_machine
from mollm_cli.launch.leave import end_with_parent
from mollm_cli.launch.processes import launched

if TYPE_CHECKING:
    pass

WAIT_SECONDS = 7200
"""Seconds that a process waits in a sum for another that is there and does not come to it."""
GRACE_SECONDS = 15.0
"""Seconds that a process has for its own ending once another has failed; then it is ended where it stands."""
NEWS_SECONDS = 3.0
"""Seconds that the news of a failure may take: a sum that has lost a process fails a moment before it comes."""
LONGEST = 1 << 14
"""Bytes of an ending on its way."""
FINE = (0, 3)
"""Exit codes of a process that came to the end of its work."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of process ``rank``, for manifest.json and for people; told: None if it ended without a word."""

    rank: int
    status: str
    code: int
    told: str | None

    def explained(self, run_dir: object) -> str:
        """For the one that writes."""
        if self.told is not None:
            return f"rank {self.rank}: {self.told}"
        return (
            f"rank {self.rank} must stay until the run has ended, found it gone without a word: killed, or out of "
            "memory. Give it room (engine.micro_batch, engine.parallel=fsdp), then go on with "
            f"resume={shlex.quote(str(run_dir))}"
        )


class ProcessGroup:
    """The other processes of a run, as one of them sees them. Alone there are none, and nothing is done."""

    def __init__(self, world: World = ALONE) -> None:
        self.world = world
        self.stuck: Callable[[Ending], None] = lambda ending: None
        self.alarmed: Callable[[], None] = lambda: None
        self._news = threading.Condition()
        self._endings: dict[int, Ending] = {}
        self._settled = threading.Event()
        self._told = False
        self._group: Any = None
        self._threads: list[threading.Thread] = []

    def listen(self) -> None:
        """From here on endings are heard. All processes call it at the same time."""
        if self.world.size == 1:
            return
        import torch.distributed as dist

        self._group = dist.new_group(backend="gloo", timeout=timedelta(days=365))
        for rank in range(1, self.world.size) if self.world.first else (0,):
            self._threads.append(threading.Thread(target=self._hear, args=(rank,), daemon=True))
            self._threads[-1].start()

    def trouble(self, seconds: float) -> Ending | None:
        """The first ending of another that failed, waiting for it as long as ``seconds``; a word before a silence."""
        if self.world.size == 1:
            return None
        with self._news:
            self._news.wait_for(lambda: any(e.code not in FINE for e in self._endings.values()), seconds)
            bad = [e for e in self._endings.values() if e.code not in FINE]
        return min(bad, key=lambda e: e.told is None, default=None)

    def settled(self) -> None:
        """From here on nobody needs to end this process: it has come to an ending of its own."""
        self._settled.set()

    def tell(self, status: str, code: int, told: str | None) -> None:
        """Say once how this process ended; who came to the end of its work waits until the others have said it too."""
        self.settled()
        if self._told or self._group is None:
            return
        self._told = True
        text = json.dumps(asdict(Ending(self.world.rank, status, code, told and told[: LONGEST // 8]))).encode()
        for rank in range(1, self.world.size) if self.world.first else (0,):
            self._send(rank, text)
        for thread in self._threads:
            thread.join(None if code in FINE else 1.0)

    @property
    def parted(self) -> bool:
        """True if all have told one another that they came to the end of their work."""
        return not any(thread.is_alive() for thread in self._threads) and self.trouble(0.0) is None

    def ending_of_first(self) -> Ending | None:
        """Rank 0's word on its ending; None if it has said nothing."""
        return self._endings.get(0)

    def _send(self, rank: int, text: bytes) -> None:
        import torch
        import torch.distributed as dist

        words = torch.zeros(LONGEST, dtype=torch.uint8)
        words[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        try:
            dist.send(words, rank, group=self._group)
        except RuntimeError:  # it is gone: whoever wanted to hear it
            return

    def _hear(self, rank: int) -> None:
        import torch
        import torch.distributed as dist

        words = torch.zeros(LONGEST, dtype=torch.uint8)
        try:
            dist.recv(words, rank, group=self._group)
            ending = Ending(**json.loads(words.numpy().tobytes().rstrip(b"\0")))
        except RuntimeError:
            ending = Ending(rank, "failed", 1, None)
        if ending.code not in FINE:
            self.alarmed()
        with self._news:
            self._endings[rank] = ending
            self._news.notify_all()
        if ending.code in FINE or self._settled.is_set():
            return
        if self.world.first and not self._settled.wait(GRACE_SECONDS):
            self.stuck(ending)
            os._exit(1)
        if not self.world.first:  # it writes nothing, so there is nothing to wait for
            os._exit(ending.code)


@contextmanager
def company() -> Iterator[ProcessGroup]:
    """Within the block the processes of the run, if it has others, are there and hear one another."""
    if launched() is not None:
        end_with_parent()
    peers = ProcessGroup(join(WAIT_SECONDS, _kind()))
    peers.listen()
    yield peers
    if peers.parted:  # elsewhere threads still wait for a word: the process is ended with them
        leave(peers.world)


def _kind() -> Literal["cpu", "cuda"]:
    """True if each process may have a GPU; a process that is alone imports no torch for it."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.device_count() >= on_this_machine() else "cpu"
