"""Who may see what a run leaves behind: modes of folders and files, and which rows' text is shown."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal

from mollm_cli.core.types import Content

FOLDER, FILE = 0o700, 0o600
"""Modes: the owner alone."""
KeepText = bool | Literal["auto"]
"""Whether prompts, answers and generations are kept: of all rows, of none, or ("auto") of ordinary ones."""


def shows_text(content: Content, keep_text: KeepText) -> bool:
    """Whether the text of rows with this content may be kept and shown."""
    return content == "ordinary" if keep_text == "auto" else keep_text


def make_private(folder: Path) -> None:
    """Make ``folder`` for the owner alone, with each parent that is not there yet. Raises OSError."""
    for place in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
        place.mkdir(mode=FOLDER, exist_ok=True)


def is_private(folder: Path) -> bool:
    """Whether nobody but the owner can enter ``folder``; who opened it, meant it."""
    return not folder.stat().st_mode & 0o077


def tighten(folder: Path) -> None:
    """Whatever is in a private ``folder`` for the owner alone too; a folder that was opened stays as it is.

    A link is not followed; what cannot be changed is left.
    """
    if not is_private(folder):
        return
    for place, folders, files in os.walk(folder):
        for name, mode in [*((name, FOLDER) for name in folders), *((name, FILE) for name in files)]:
            path = Path(place, name)
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    path.chmod(mode)
