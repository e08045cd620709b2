"""Model folders of others, tried within limits before they are read: a small file may ask for any work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mollm_cli.assets.locate import is_embedded
from mollm_cli.core.bounded import bounded, forks
from mollm_cli.core.budget import budget
from mollm_cli.core.errors import RequestError
from mollm_cli.core.read_back import read_mapping
from mollm_cli.models.model_settings import Model

REMEDY = "Set model.path to a folder written by save_pretrained, or to a Hub id (org/name)"
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx")
"""Files that are not read for a tokenizer or an architecture."""
LAYERS_A_SECOND = 20
"""Layers for each second of limits.seconds: 600 by default, and no published model has 200."""
LAYERS = re.compile(r"(^|_)(layers?|experts|depth|blocks)$")
"""Keys of config.json that say how many parts a model has."""
_TRIED: set[tuple[Any, ...]] = set()


def check_layers(description: Model, folder: Path | None) -> None:
    """Refuse more layers, or experts, than could be built, planned and stepped through. Raises RequestError.

    Only what config.json says is looked at; where it is no mapping, whoever reads it says so.
    """
    if folder is None or is_embedded(folder):
        return
    most = round(LAYERS_A_SECOND * budget().seconds)
    with suppress(OSError, ValueError):
        for name, count in _counts(read_mapping(folder / "config.json")):
            if count > most:
                raise RequestError(
                    f"model.path={description.path}: config.json must ask for at most {most} layers, found "
                    f"{name}={count}. {REMEDY}, or raise limits.seconds={-(-count // LAYERS_A_SECOND)} on the command "
                    "line"
                )


def _counts(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, int) and LAYERS.search(name):
            yield name, value
        elif isinstance(value, dict):
            yield from _counts(value)


def wants_rehearsal(description: Model, folder: Path | None) -> bool:
    """True if ``folder`` is a stranger's: neither ours, nor absent yet, nor of code that may run, which was read."""
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
