"""The command that goes on with a run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from mollm_cli.core.secrets import shown_override

KEYS = ("resume", "run_dir")


def going_on(typed: Sequence[str], command: str, run_dir: Path) -> str:
    """``typed``, the program's name first, as a line to paste that goes on in ``run_dir``, or begins there.

    It is right at every moment: before there is a resume point the run begins again, with the scores that it has.
    """
    words = [shown_override(word) for word in typed[1:] if word.lstrip("+").partition("=")[0] not in KEYS]
    place = str(run_dir) if re.fullmatch(r"[\w./-]+", str(run_dir)) else f'"{run_dir}"'
    return shlex.join([f"mollm-{command}", *words, "resume=auto", f"run_dir={place}"])
