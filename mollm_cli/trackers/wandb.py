"""Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import RequestError


class WeightsAndBiases:
    """One W&B run a run; needs the extra ``wandb``. Project: where it is listed."""

    def __init__(self, project: str = "mollm-unlearn") -> None:
        self.project = project
        self.run: Any = None

    def start(self, run_dir: Path) -> None:
        """Open the run. Raises RequestError where the package is missing."""
        try:
            import wandb
        except ImportError as error:
            raise RequestError('tracker=wandb needs pip install "mollm-unlearn[wandb]"') from error
        self.run = wandb.init(project=self.project, dir=str(run_dir), name=run_dir.name)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """All values of a step at once."""
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        """Finish the run."""
        if self.run is not None:
            self.run.finish()
