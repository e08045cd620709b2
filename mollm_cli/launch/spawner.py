"""``engine.processes=N``: N processes on this machine, one run; whoever fails ends all."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from mollm_cli.core.endings import heeded
from mollm_cli.core.manifest import Manifest
from mollm_cli.launch.run_spec import RunSpec
from mollm_cli.launch.signals import held_back

GRACE_SECONDS = 25.0
"""Seconds that the others have when one has failed: their own patience (launch/process_group.py), and last files."""
LOOK_SECONDS = 0.1
Processes = Sequence["subprocess.Popen[bytes]"]


def spawned(count: int, spec: RunSpec) -> int:
    """Run ``spec`` in ``count`` processes and return its exit code; nothing is left of them afterwards."""
    processes = [_started(rank, count, port) for port in [_free_port()] for rank in range(count)]
    try:
        with _passing_on(processes) as passed:
            _hand_over(processes, spec)
            killed = _wait(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
    return _code(spec, processes, killed, passed)


def _started(rank: int, count: int, port: int) -> subprocess.Popen[bytes]:
    """Rank 0 writes to stderr only, the others nowhere; each in a session of its own, so that ^C comes once."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    threads = str(max(1, (os.cpu_count() or 1) // count))
    environment = {"OMP_NUM_THREADS": threads} | dict(os.environ) | {key: str(value) for key, value in place.items()}
    folders = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    environment |= {"MASTER_ADDR": "127.0.0.1", "PYTHONPATH": folders}
    with held_back():  # until the process has an answer to them
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "mollm_cli.launch.rank"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _hand_over(processes: Processes, spec: RunSpec) -> None:
    """The configuration, with its secrets, goes through a pipe: no file and no command line shows it."""
    lines = [json.dumps(spec.plain()).encode(), *[b""] * (len(processes) - 1)]
    for process, line in zip(processes, lines, strict=True):
        pipe: Any = process.stdin
        with contextlib.suppress(BrokenPipeError):
            pipe.write(line + b"\n")
            pipe.flush()


@contextlib.contextmanager
def _passing_on(processes: Processes) -> Iterator[list[int]]:
    """The signals that end a run go on to every process, which knows what to do; the third time they are killed.

    The list has them as they come.
    """
    passed: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        passed.append(number)
        for process in processes:
            process.send_signal(number if len(passed) < 3 else signal.SIGKILL)

    try:
        before = {number: signal.signal(number, handle) for number in heeded()}
    except ValueError:  # not in the main thread: whoever runs us there keeps the signals
        before = {}
    try:
        yield passed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(processes: Processes) -> list[int]:
    """Until all have ended; the ranks that had to be killed because they did not when another had failed."""
    failed_at: float | None = None
    while any(process.poll() is None for process in processes):
        codes = [process.poll() for process in processes]
        if codes[0] is not None or any(code not in (None, 0, 3) for code in codes):
            failed_at = time.monotonic() if failed_at is None else failed_at
            if time.monotonic() - failed_at > GRACE_SECONDS:
                break
        time.sleep(LOOK_SECONDS)
    late = [rank for rank, process in enumerate(processes) if process.poll() is None]
    for rank in late:
        processes[rank].kill()
    return late


def _code(spec: RunSpec, processes: Processes, killed: Sequence[int], passed: Sequence[int]) -> int:
    """Rank 0's exit code; 1 where a process was lost, not by a signal ``passed`` on, which the manifest then says."""
    codes = [process.wait() for process in processes]
    dead = [rank for rank, code in enumerate(codes) if code < 0 and rank not in killed and -code not in passed]
    if not dead and 0 not in killed:
        return codes[0] or (1 if any(code not in (0, 3) for code in codes) else 0)
    rank = dead[0] if dead else 0
    name = signal.Signals(-codes[rank]).name
    told = f"rank {rank} was ended by {name}; go on with resume={shlex.quote(spec.run_dir)}"
    print(f"{spec.program}: {told}", file=sys.stderr)
    _amend(Path(spec.run_dir), told)
    return 1


def _amend(run_dir: Path, told: str) -> None:
    """Say in the manifest how the run ended, where the process that writes it could not, or did not know why."""
    if Manifest.read(run_dir).get("status", "running") in ("running", "failed"):
        with contextlib.suppress(OSError):
            Manifest.amend(run_dir, status="failed", exit_code=1, error=told)
