"""Weights & Biases."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import write_text
from mollm_cli.core.errors import RequestError

IDENTITY = "wandb_id"
"""The file of a run directory that says which run of W&B it is."""


class WeightsAndBiases:
    """One W&B run a run; needs the extra ``wandb``. Project: where it is listed."""

    def __init__(self, project: str = "mollm-unlearn") -> None:
        self.project = project
        self.run: Any = None

    def start(self, run_dir: Path, after: int = 0) -> None:
        """Open the run, the same one where it goes on. Raises RequestError where the package is missing."""
        try:
            import wandb
        except ImportError as error:
            raise RequestError('tracker=wandb needs pip install "mollm-unlearn[wandb]"') from error
        told = {"project": self.project, "dir": str(run_dir), "name": run_dir.name}
        self.run = wandb.init(**told, id=_identity(run_dir / IDENTITY), resume="allow")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """All values of a step at once."""
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        """Finish the run."""
        if self.run is not None:
            self.run.finish()


def _identity(file: Path) -> str:
    if not file.is_file():
        write_text(file, secrets.token_hex(8))
    return file.read_text(encoding="utf-8").strip()
