"""Requests that several processes cannot share are refused before any of them has loaded a model."""

from __future__ import annotations

from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.models.model_settings import Model
from mollm_cli.optimizers.eight_bit import AdamW8bit


def check_parallel(engine: Engine, model: Model, optimizer: Any) -> None:
    """Refuse shards of weights or states that are not whole floating-point tables. Raises RequestError."""
    check_pieces(engine, engine.processes or 1)
    if engine.parallel != "fsdp":
        return
    for found, set_to, refused in (
        ("model.adapter=qlora, whose 4-bit weights are no tables of numbers", "model.adapter=lora", _four_bits(model)),
        ("an 8-bit optimizer, whose blocks would cross the cuts", "optimizer=adamw", isinstance(optimizer, AdamW8bit)),
        ("engine.compile=true, not tried on layers in shards", "engine.compile=false", engine.compile),
    ):
        if refused:
            raise RequestError(
                f"engine.parallel=fsdp must be able to cut weights and optimizer, found {found}; "
                f"set {set_to}, or engine.parallel=ddp"
            )


def _four_bits(model: Model) -> bool:
    return model.adapter == "qlora"


def check_pieces(engine: Engine, processes: int) -> None:
    """Refuse engine.micro_batch=auto for several processes. Raises RequestError."""
    # One process would take a step again that the others have already taken.
    if engine.micro_batch == "auto" and processes > 1:
        raise RequestError(
            f"engine.micro_batch=auto is for one process, found {processes}, of which one may run out of memory where "
            "the others do not; set engine.micro_batch=N"
        )
