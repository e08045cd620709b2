"""A run directory writes nowhere but into itself."""

from __future__ import annotations

import os
from pathlib import Path

from mollm_cli.core.errors import RequestError


def refuse_links(run_dir: Path) -> None:
    """Raise RequestError where something in ``run_dir`` is a link that leads out of it.

    Files are replaced and appended to by their names, so a link that was put there before a run began, or is gone on
    with, would have them written elsewhere. ``run_dir`` itself may be a link: that is the user's choice of a disk.
    """
    home = run_dir.resolve()
    for folder, folders, files in os.walk(home):
        for place in (Path(folder) / name for name in (*folders, *files)):
            if place.is_symlink() and not place.resolve().is_relative_to(home):
                raise RequestError(
                    f"the run directory must hold no link that leads out of it, found {place} -> {place.readlink()}. "
                    "Remove it, or take another directory"
                )
