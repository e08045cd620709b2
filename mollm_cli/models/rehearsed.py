"""Model folders of others, tried within limits before they are read: a small file may ask for any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mollm_cli.assets.locate import is_embedded
from mollm_cli.core.bounded import bounded, forks
from mollm_cli.models.model_settings import Model

REMEDY = "Set model.path to a folder written by save_pretrained, or to a Hub id (org/name)"
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx")
"""Files that are not read for a tokenizer or an architecture."""
_TRIED: set[tuple[Any, ...]] = set()


def wants_rehearsal(description: Model, folder: Path | None) -> bool:
    """Whether ``folder`` is a stranger's: not where it is ours or not here yet, or its code may run, which was read."""
    return folder is not None and not description.trust_remote_code and not is_embedded(folder) and forks()


def rehearse(description: Model, folder: Path | None, what: str, work: Callable[[], object]) -> None:
    """Do ``work``, which reads ``folder``, once in a process with limits. Raises RequestError where they are reached.

    Its exceptions are not told: it is done again by whoever asks.
    """
    if folder is None or not wants_rehearsal(description, folder):
        return
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.suffix not in WEIGHTS]
    state = (what, str(folder), *((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files))
    if state in _TRIED:
        return
    size = sum(file.stat().st_size for file in files)
    bounded(f"model.path={description.path}: reading the {what}", lambda: _quietly(work), REMEDY, size)
    _TRIED.add(state)


def _quietly(work: Callable[[], object]) -> None:
    try:
        work()
    except MemoryError:
        raise
    except BaseException:  # a panic of a library in Rust is no Exception
        return
