"""Work in forks of a process that has imported the large libraries, and nothing of the project."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = (
    "numpy", "scipy.optimize", "scipy.stats", "torch", "torch.distributed", "transformers", "hypothesis.strategies",
    "transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama", "transformers.generation.utils", "safetensors.torch", "tokenizers",
    "peft", "accelerate", "datasets", "pyarrow", "pyarrow.parquet", "rapidfuzz", "hydra", "hydra.core.global_hydra",
    "omegaconf", "rich.console", "rich.table", "jinja2", "yaml", "pytest", "_pytest.assertion.rewrite", "hypothesis",
    "torchjd", "optuna",
)  # fmt: skip
MEMORY = 8 * 2**30
"""Bytes that one child may ask for: a fault may ask for all there are."""
OVERHEAD = 30.0
"""Seconds of processor beside those of the tests: importing the project, collecting."""


def prepare(libraries: Iterable[str] = LIBRARIES) -> None:
    """Import what the tests need of other people; what is not installed is left out."""
    for name in libraries:
        with suppress(ImportError):
            import_module(name)


@dataclass(slots=True)
class Child:
    """A fork at work."""

    pid: int
    answer: Path
    wall: float
    began: float = field(default_factory=time.monotonic)

    def ended(self) -> tuple[bool, Any]:
        """(whether it has ended, its answer); no answer where it was killed or has run too long."""
        done, _ = os.waitpid(self.pid, os.WNOHANG)
        if not done and time.monotonic() - self.began < self.wall:
            return False, None
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if not done:
            os.waitpid(self.pid, 0)
        return True, json.loads(self.answer.read_text()) if self.answer.exists() else None


def start(work: Callable[[], Any], tree: Path, seconds: float) -> Child:
    """``work()`` in a fork whose project is ``tree``: so many seconds of processor, ten times as many of wall clock.

    What it returns is answered through a file, so it must be JSON; {"error": text} where it raised.
    """
    answer, room = tree.with_suffix(".json"), tree.with_suffix(".tmp")
    answer.unlink(missing_ok=True)
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    limit = seconds + OVERHEAD
    pid = os.fork()
    if pid:
        return Child(pid, answer, 10 * limit)
    try:
        os.setpgid(0, 0)
        _settle(tree, room, int(limit) + 1)
        _tell(answer, work())
    except BaseException:
        _tell(answer, {"error": traceback.format_exc()})
    finally:
        os._exit(0)


def _tell(answer: Path, told: Any) -> None:
    part = answer.with_suffix(".part")
    part.write_text(json.dumps(told))
    part.rename(answer)


def _settle(tree: Path, room: Path, seconds: int) -> None:
    for number, name in enumerate(("in", "out", "err")):
        target = os.open(os.devnull if name == "in" else room / name, os.O_RDWR | os.O_CREAT)
        os.dup2(target, number)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(tree)
    tempfile.tempdir = None
    os.environ |= {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "TMPDIR": str(room)}
    ours = [name for name in sys.modules if name.split(".")[0] in ("mollm_cli", "tests", "benchmarks")]
    for name in ours:
        del sys.modules[name]
    sys.path[:] = [str(tree), *(path for path in sys.path if not (Path(path or ".") / "mollm_cli").exists())]
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
