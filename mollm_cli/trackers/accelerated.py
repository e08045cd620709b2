"""Trackers of accelerate: TensorBoard, Weights & Biases, MLflow, and whatever else it has a class for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import write_text
from mollm_cli.core.errors import RequestError, nearest

IDENTITY = "wandb_id"
"""The file of a run directory that holds the id of its W&B run."""
EXTRAS = ("tensorboard", "wandb")
"""Trackers whose package is an extra of ours under the same name; others are installed by their own name."""


class Accelerated:
    """The tracker that accelerate calls ``kind``.

    kind: a name in ``accelerate.tracking``: tensorboard, wandb, mlflow, trackio, comet_ml, aim, clearml, dvclive, ...
    project: the name under which the run is listed; TensorBoard has its files in RUN/tensorboard instead.
    """

    def __init__(self, kind: str, project: str = "mollm-unlearn") -> None:
        self.kind, self.project = kind, project
        self.tracker: Any = None

    def start(self, run_dir: Path, after: int = 0) -> None:
        """Open the tracker; a run resumed ``after`` some steps continues its record if the tracker supports that.

        Raises RequestError for a kind that accelerate does not have, or if its package is missing.
        """
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        found = LOGGER_TYPE_TO_CLASS.get(self.kind)
        if found is None:
            known = sorted(map(str, LOGGER_TYPE_TO_CLASS))
            raise RequestError(
                f"tracker.kind must be a tracker of accelerate, found '{self.kind}'; {nearest(self.kind, known)}"
            )
        PartialState(cpu=True)  # accelerate's trackers ask it for the process; the device does not matter here
        try:
            self.tracker = found(*self._named(), **self._settings(run_dir, after, found.requires_logging_directory))
            self.tracker.start()
        except ImportError as error:
            extra = f'"mollm-unlearn[{self.kind}]"' if self.kind in EXTRAS else self.kind
            raise RequestError(f"tracker={self.kind} must find its package, found none; pip install {extra}") from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log all values of a step."""
        self.tracker.log(dict(values), step=step)

    def close(self) -> None:
        """Flush and close, unless the run ended before the tracker was opened."""
        if self.tracker is not None:
            self.tracker.finish()

    def _named(self) -> tuple[str]:
        """TensorBoard's name is the folder of its files; the others' is the project."""
        return ("tensorboard" if self.kind == "tensorboard" else self.project,)

    def _settings(self, run_dir: Path, after: int, in_folder: bool) -> dict[str, Any]:
        settings: dict[str, Any] = {"logging_dir": str(run_dir)} if in_folder else {}
        if self.kind == "tensorboard":
            # TensorBoard then ignores the entries of an earlier file for steps that are taken again.
            settings["purge_step"] = after + 1 if after else None
        elif self.kind == "wandb":
            settings |= {"dir": str(run_dir), "name": run_dir.name, "id": _identity(run_dir), "resume": "allow"}
        return settings


def _identity(run_dir: Path) -> str:
    """The id of the W&B run, the same each time the run is resumed."""
    file = run_dir / IDENTITY
    if not file.is_file():
        write_text(file, secrets.token_hex(8))
    return file.read_text(encoding="utf-8").strip()
