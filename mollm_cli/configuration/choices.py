"""The YAML files of conf/ and of the user's own folder, as text: which groups there are and what can be chosen.

Imports nothing heavy.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from mollm_cli.core.errors import RequestError

HIDDEN = "_"
"""Files that begin so are bases of others, not choices."""


def config_dir() -> Path:
    """The absolute folder of our configuration: inside the package (a wheel), or beside it (a checkout)."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise RequestError(f"conf/config.yaml must stand in {package} or beside it, found neither; reinstall mollm-unlearn")


def groups(folders: Sequence[Path]) -> list[str]:
    """The names of all groups but Hydra's own."""
    return sorted({d.name for f in folders for d in f.iterdir() if d.is_dir() and d.name != "hydra"})


def choices(group: str, folders: Sequence[Path]) -> dict[str, str]:
    """name -> head of each YAML of ``group``; our own folder comes first and wins, as in Hydra's search path."""
    files = [file for folder in folders for file in sorted((folder / group).glob("*.yaml"))]
    found: dict[str, str] = {}
    for file in files:
        if not file.stem.startswith(HIDDEN):
            found.setdefault(file.stem, head(file))
    return dict(sorted(found.items()))


def head(file: Path) -> str:
    """The summary of a YAML file: the first line of its comment, in whole sentences; "" if it has none."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    comment = [line.removeprefix("#").strip() for line in lines]
    first, *rest = [line for line in comment if line and not line.startswith("@package")] or [""]
    if not rest or first.endswith((".", ":", ")")):
        return first
    ends = [end.end() for end in re.finditer(r"\.(?= [A-Z`])", first)]
    if ends:
        return first[: ends[-1]]
    following = " ".join(rest)
    end = re.search(r"\.(?= |$)", following)
    return f"{first} {following[: end.end()] if end else following}"
