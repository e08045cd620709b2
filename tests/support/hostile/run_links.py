"""Run directories with links, pipes and folders in the place of files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from tests.support.hostile.hostile_input import Hostile, Make, Place, inputs
from tests.support.hostile.run_directories import FAMILY, READ, RESUMED, met


def hostile_links() -> list[Hostile]:
    """Of the family of run directories."""
    kind = "links, pipes, folders in place of files"
    return inputs(FAMILY, kind, _links(), refused=False, changes=True, most=40)


def _links() -> Iterator[Make]:
    names = (
        "config.yaml", "manifest.json", "samples.jsonl", "report.html", "train.jsonl", "resume", "checkpoint",
        "metrics.json", "resume/scores", ".manifest.json.1", "lock", "tensorboard", "wandb",
        "checkpoint/config.json",
    )  # fmt: skip

    def clear(file: Path) -> None:
        if file.is_dir() and not file.is_symlink():
            for inner in sorted(file.rglob("*"), reverse=True):
                inner.rmdir() if inner.is_dir() else inner.unlink()
            file.rmdir()
        else:
            file.unlink(missing_ok=True)

    def linked(place: Place, file: Path) -> None:
        file.symlink_to(place.victim / "diary.txt" if file.suffix else place.victim)

    kinds: tuple[Callable[[Place, Path], object], ...] = (
        linked, lambda place, file: os.mkfifo(file), lambda place, file: file.symlink_to(file.name),
        lambda place, file: os.link(place.victim / "diary.txt", file), lambda place, file: file.mkdir(),
        lambda place, file: file.symlink_to("/dev/zero"),
    )  # fmt: skip
    for name, kind in product(names, kinds):

        def spoil(place: Place, run: Path, name: str = name, kind: Any = kind) -> None:
            clear(run / name)
            (run / name).parent.mkdir(exist_ok=True)
            kind(place, run / name)

        yield met(spoil)

    def whole(place: Place, run: Path) -> None:
        run.rename(place.folder / "elsewhere")
        run.symlink_to(place.folder / "elsewhere")

    for way in (*RESUMED, *READ):
        yield met(whole, way)
