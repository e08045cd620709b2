"""TensorBoard event files in RUN/tensorboard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import RequestError


class TensorBoard:
    """Scalars by name; needs the extra ``tensorboard``."""

    def __init__(self) -> None:
        self.writer: Any = None

    def start(self, run_dir: Path, after: int = 0) -> None:
        """Open the event file; what an earlier one says of steps ``after`` those taken is passed over by its reader.

        Raises RequestError where the package is missing.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise RequestError('tracker=tensorboard needs pip install "mollm-unlearn[tensorboard]"') from error
        self.writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=after + 1 if after else None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar a name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close."""
        if self.writer is not None:
            self.writer.close()
