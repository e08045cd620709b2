"""The settings of the engine: the length of a run, the size of its batches, its device and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Keep = Literal["last", "target", "yardstick"]
Parallel = Literal["auto", "none", "ddp", "fsdp"]


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine's settings; ``conf/engine/*.yaml`` builds it. Steps are optimizer steps. Raises ValueError.

    micro_batch: rows per role in one forward pass. None: batch_size; "auto": as many as there is room for
        (engine/micro_batches.py).
    evaluate_limit: rows per role in a progress evaluation.
    matmul: how exact products of float32 matrices are; "auto" lets them use tensor cores where precision is bf16.
    compile: whether the model's layers go through torch.compile (models/compilation.py).
    processes: as many are started; None: as many as torchrun or accelerate launch started, else one.
    stop_at_target: whether the run ends once a progress evaluation is at the forget target.
    retain_floor: the share of the start's retain probability below which a run has collapsed. It stops then, and the
        collapsed weights are not kept (unless keep is last).
    keep: which evaluation's weights become the checkpoint (engine/selection.py).
    patience: after this many evaluations without a better one, by the rule of keep, the run stops.
    """

    max_steps: int = 400
    max_epochs: int | None = None
    batch_size: int = 16
    micro_batch: int | Literal["auto"] | None = None
    evaluate_every: int | None = 10
    evaluate_limit: int = 32
    checkpoint_every: int | None = None
    log_every: int = 1
    clip_norm: float | None = 1.0
    precision: Literal["float32", "bf16"] = "float32"
    matmul: Literal["auto", "highest", "high", "medium"] = "auto"
    compile: bool = False
    device: str = "auto"
    processes: int | None = None
    parallel: Parallel = "auto"
    stop_at_target: bool = True
    retain_floor: float | None = 0.1
    keep: Keep = "last"
    patience: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        for key in ("max_steps", "batch_size", "evaluate_limit", "log_every"):
            _at_least_one(key, getattr(self, key))
        for key in ("max_epochs", "micro_batch", "evaluate_every", "checkpoint_every", "patience", "processes"):
            if getattr(self, key) not in (None, "auto"):
                _at_least_one(key, getattr(self, key))
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"engine.clip_norm must be > 0 or null, found {self.clip_norm}")
        if self.retain_floor is not None and not 0 < self.retain_floor <= 1:
            raise ValueError(f"engine.retain_floor must be in (0, 1] or null, found {self.retain_floor}")
        if self.keep != "last" and self.evaluate_every is None:
            raise ValueError(
                f"engine.keep={self.keep} chooses among progress evaluations, found engine.evaluate_every=null; "
                "set engine.evaluate_every=N, or engine.keep=last"
            )
        if self.patience is not None and self.keep == "last":
            raise ValueError(
                f"engine.patience={self.patience} waits for a better evaluation, found engine.keep=last, which has no "
                "better; set engine.keep=target or engine.keep=yardstick, or engine.patience=null"
            )
        if self.parallel == "none" and (self.processes or 1) > 1:
            raise ValueError(
                f"engine.processes={self.processes} needs a way to share the work, found engine.parallel=none; set "
                "engine.parallel=auto, ddp or fsdp"
            )
        if self.device.split(":")[0] not in ("auto", "cuda", "mps", "cpu"):
            raise ValueError(f"engine.device must be auto, cuda, cuda:N, mps or cpu, found '{self.device}'")

    @property
    def rows(self) -> int:
        """Rows per role in one forward pass; where that is "auto", those of the first try."""
        return self.batch_size if self.micro_batch in (None, "auto") else int(self.micro_batch)


def _at_least_one(key: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"engine.{key} must be >= 1, found {value}")
