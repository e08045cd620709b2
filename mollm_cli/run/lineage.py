"""The runs that a model came through: one request after another, each with the data that it was to forget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mollm_cli.core.manifest import Manifest

CHECKPOINT = "checkpoint"


def lineage(model_path: str, files: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs behind ``model_path``, the first one first; [] where it is no RUN/checkpoint with a manifest beside it.

    ``files``: the weight files that were read (path, bytes, sha256). An entry: run (the folder's name), command line,
    loss, weights (file name -> sha256 of what the run wrote), forget (sha256 over the forget rows; None where it read
    none), unchanged (of the last one: whether the weights that were read are those that it wrote).
    """
    folder = Path(model_path).expanduser().absolute()
    parent = _manifest(folder.parent) if folder.name == CHECKPOINT else None
    if parent is None:
        return []
    try:
        return [*parent.get("lineage", []), _entry(folder.parent.name, parent, files)]
    except (AttributeError, KeyError, TypeError):
        return []  # a file of that name which no run wrote


def _entry(run: str, parent: dict[str, Any], files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    written = _hashes(parent.get("checkpoint", {}).get("files", []))
    return {
        "run": run,
        "command": parent.get("command"),
        "loss": parent.get("loss"),
        "weights": written,
        "forget": parent.get("datasets", {}).get("forget", {}).get("sha256"),
        "unchanged": written == _hashes(files),
    }


def warning(runs: Sequence[dict[str, Any]]) -> str | None:
    """The note for weights that are not those that the last run wrote."""
    if not runs or runs[-1]["unchanged"]:
        return None
    return (
        f"warning: the weights of model.path are not those that the run {runs[-1]['run']} wrote; the manifest's "
        "lineage says so (unchanged: false)"
    )


def _hashes(files: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {file["path"]: file["sha256"] for file in files}


def _manifest(run_dir: Path) -> dict[str, Any] | None:
    """The manifest of a run; None where there is none, or what is there is none."""
    found = Manifest.read(run_dir)
    return found if isinstance(found.get("command"), str) else None
