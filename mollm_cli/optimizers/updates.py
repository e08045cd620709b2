"""The ways in which weights of half precision take an update."""

from __future__ import annotations

from typing import Literal

from mollm_cli.core.errors import RequestError

Update = Literal["plain", "stochastic_rounding", "master"]
"""optimizers/float32_update.py has all but "plain", which leaves the update to the optimizer."""


def check_update(update: Update, dtype: str, adapter: str) -> None:
    """Refuse an update that is not for these weights; those of an adapter are float32. Raises RequestError."""
    if update == "plain":
        return
    if adapter != "none":
        raise RequestError(
            f"optimizer.update={update} is for weights of half precision, found model.adapter={adapter}, whose "
            "matrices are float32; set optimizer.update=plain"
        )
    wanted = ("bfloat16",) if update == "stochastic_rounding" else ("bfloat16", "float16")
    if dtype not in wanted:
        raise RequestError(
            f"optimizer.update={update} is for weights in {' or '.join(wanted)}, found model.dtype={dtype}; "
            "set optimizer.update=plain, or model.dtype=bfloat16"
        )
