"""One process of a soaked run: started, watched while it steps, killed when its kill is due."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GOING_ON = re.compile(rb"going on after step (\d+)")
WHENS = ("step", "start", "save")
PATIENCE = 600.0
"""Seconds without a sign of life after which the soak fails."""


@dataclass(frozen=True, slots=True)
class Kill:
    """signal: its number. when: "step": after the first step from ``step`` on; "save": in the first writing of a resume
    point from then on; "start": after the share ``part`` of the time that a start takes. rank: that of the process of
    several that is killed; None: the one that was started.
    """

    when: str
    signal: int
    step: int = 0
    part: float = 0.0
    rank: int | None = None


def planned(kills: int, steps: int, seed: int, processes: int = 1) -> list[Kill]:
    """``kills`` of both signals in turn, at random steps; every tenth in a start, every tenth in a save.

    processes: of several any one is killed.
    """
    draw = random.Random(seed)
    at = sorted(draw.sample(range(1, steps - steps // 20), kills))
    found = []
    for number, step in enumerate(at):
        when = {4: "start", 9: "save"}.get(number % 10, "step")
        chosen = signal.SIGKILL if (number + number // 10) % 2 == 0 else signal.SIGTERM
        part = draw.random() if when == "start" else 0.0
        rank = draw.randrange(processes) if processes > 1 else None
        found.append(Kill(when, int(chosen), step, part, rank))
    return found


@dataclass(slots=True)
class Life:
    """What was seen of one process. first: the step that it went on after, None where it did not come to that.

    last: of train.jsonl when it had ended. started, ended: seconds from its start to its first step, and from the
    signal to its end. torn: it left a resume point half written. memory: bytes resident, by step. cpu: seconds of
    processor, by step.
    """

    code: int = 0
    first: int | None = None
    last: int | None = None
    started: float | None = None
    ended: float | None = None
    torn: bool = False
    killed: bool = False
    memory: dict[int, int] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    said: str = ""


class Watch:
    """A process on ``run_dir``, with its log; ``usual`` is how long a start takes, in seconds."""

    def __init__(self, command: Sequence[str], run_dir: Path, said: Path, usual: float) -> None:
        self.run_dir, self.said, self.usual = run_dir, said, usual
        self.log = run_dir / "train.jsonl"
        self.before = _inode(self.log)
        self.offset, self.step = 0, 0
        self.life = Life()
        with said.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                stdout=subprocess.DEVNULL,
                stderr=file,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self.began = self.moved = time.monotonic()

    def run(self, kill: Kill | None) -> Life:
        """Until it has ended, by ``kill`` or by itself. Raises SystemExit where nothing moves any more."""
        while self.process.poll() is None:
            self._look()
            if kill is not None and self._due(kill) and (victim := self._victim(kill.rank)) is not None:
                self._end(kill, victim)
                break
            if time.monotonic() - self.moved > PATIENCE:
                self.process.kill()
                raise SystemExit(f"nothing moved for {PATIENCE:.0f} s: {self._tail()}")
            time.sleep(0.0005 if kill is not None and kill.when == "save" and self.step >= kill.step else 0.003)
        self._look()
        life = self.life
        life.code, life.said, life.last = self.process.wait(), self._tail(), self._logged()
        life.torn = any(self._unfinished())
        return life

    def _due(self, kill: Kill) -> bool:
        if kill.when == "start":
            return time.monotonic() - self.began >= kill.part * self.usual or self.life.started is not None
        if self.life.started is None or self.step < kill.step:
            return False
        return kill.when == "step" or any(self._unfinished())

    def _victim(self, rank: int | None) -> int | None:
        """The process to kill; None where it has not been started yet."""
        if rank is None:
            return self.process.pid
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and f"\0RANK={rank}\0" in (folder / "environ").read_text():
                    return int(folder.name)
        return None

    def _end(self, kill: Kill, victim: int) -> None:
        sent = time.monotonic()
        os.kill(victim, kill.signal)
        try:
            self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit(f"signal {kill.signal} did not end it in {PATIENCE:.0f} s: {self._tail()}") from None
        self.life.ended, self.life.killed = time.monotonic() - sent, True

    def _look(self) -> None:
        """Read the lines that are new in train.jsonl once this process has opened it."""
        if _inode(self.log) in (None, self.before):
            return
        with self.log.open("rb") as file:
            file.seek(self.offset)
            lines = file.read().split(b"\n")
        if self.life.first is None:
            found = GOING_ON.findall(self.said.read_bytes())
            self.life.first = int(found[-1]) if found else 0
        self.offset += sum(len(line) + 1 for line in lines[:-1])
        steps = [json.loads(line)["step"] for line in lines[:-1]]
        if steps and steps[-1] > self.life.first:
            self.moved = time.monotonic()
            self.step = steps[-1]
            self.life.started = self.life.started or self.moved - self.began
            self._measure()

    def _measure(self) -> None:
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        except (OSError, IndexError, ValueError):
            return
        self.life.memory[self.step] = pages * os.sysconf("SC_PAGE_SIZE")
        self.life.cpu[self.step] = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _unfinished(self) -> Any:
        return (self.run_dir / "resume").glob(".step-*")

    def _logged(self) -> int | None:
        """The last step that train.jsonl tells of; a line that the kill tore tells of none."""
        if self.life.first is None:
            return None
        whole = self.log.read_bytes().rpartition(b"\n")[0].splitlines()
        return max((json.loads(line)["step"] for line in whole), default=0)

    def _tail(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")[-2000:]


def _inode(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except OSError:
        return None
