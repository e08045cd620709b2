"""A run directory writes nowhere but into itself."""

from __future__ import annotations

import os
from pathlib import Path

from mollm_cli.core.errors import RequestError

LIBRARIES = ("wandb", ".submitit")
"""Folders in which a library leaves links of its own; those must stay in the directory."""


def refuse_link(run_dir: Path) -> None:
    """Raise RequestError where ``run_dir`` is a link. What it lies in may be one: the user's choice of a disk."""
    if run_dir.is_symlink():
        raise RequestError(
            f"the run directory must be a folder, found the link {run_dir} -> {run_dir.readlink()}. Name the folder "
            "that it leads to"
        )


def refuse_links(run_dir: Path) -> None:
    """Raise RequestError where ``run_dir``, of a run or a sweep, is a link, or holds one, or what is no file.

    Files are replaced, appended to and removed by their names, so a link that was put there before a run began, is gone
    on with or is purged would have that done elsewhere. A pipe would have a run wait.
    """
    refuse_link(run_dir)
    for folder, folders, files in os.walk(run_dir):
        for place in (Path(folder) / name for name in (*folders, *files)):
            if place.is_symlink() and not _of_library(place, run_dir):
                raise RequestError(
                    f"the run directory must hold no link, found {place} -> {place.readlink()}. Remove it, or take "
                    "another directory"
                )
            if not (place.is_symlink() or place.is_file() or place.is_dir()):
                raise RequestError(
                    f"the run directory must hold files and folders only, found {place}, a pipe, a socket or a device. "
                    "Remove it, or take another directory"
                )


def _of_library(link: Path, run_dir: Path) -> bool:
    theirs = link.relative_to(run_dir).parts[0] in LIBRARIES and link.parent != run_dir
    return theirs and link.resolve().is_relative_to(run_dir.resolve())
