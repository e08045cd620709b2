"""A function on several processes that meet over gloo: forked, so that nothing is imported again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mollm_cli.core.world import World, join, leave

LONGEST = 300.0
"""Seconds after which processes that have not ended are killed."""


def together(size: int, function: Callable[[World], Any]) -> list[Any]:
    """What ``function``, JSON, returns on each of ``size`` processes, by rank. AssertionError where one fails."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        files = [Path(folder) / f"{rank}.json" for rank in range(size)]
        children = [_forked(rank, size, port, function, file) for rank, file in enumerate(files)]
        _wait(children, files)
        found = [json.loads(file.read_text()) if file.exists() else {"failed": "ended at once"} for file in files]
    failed = [f"rank {rank}: {answer['failed']}" for rank, answer in enumerate(found) if "failed" in answer]
    assert not failed, "\n".join(failed)
    return [answer["value"] for answer in found]


def _forked(rank: int, size: int, port: int, function: Callable[[World], Any], file: Path) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of this process hold no lock of ours
        child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)  # the pool of threads is not there in a fork
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        world = join(LONGEST)
        answer = {"value": function(world)}
        leave(world)
    except BaseException:
        answer = {"failed": traceback.format_exc()}
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(answer))
    temporary.rename(file)
    os._exit(0)


def _wait(children: list[int], files: list[Path]) -> None:
    """Until all have ended; when one has failed, the others have two more seconds."""
    end = time.monotonic() + LONGEST
    left = dict(zip(children, files, strict=True))
    while left:
        for child, file in list(left.items()):
            if os.waitpid(child, os.WNOHANG)[0]:
                del left[child]
                if not file.exists() or "failed" in json.loads(file.read_text()):
                    end = min(end, time.monotonic() + 2)
        if left and time.monotonic() > end:
            for child in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            return
        time.sleep(0.005)
