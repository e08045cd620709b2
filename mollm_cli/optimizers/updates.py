"""The ways in which weights of half precision take an update."""

from __future__ import annotations

from typing import Any, Literal

from mollm_cli.core.errors import RequestError

Update = Literal["auto", "plain", "stochastic_rounding", "master"]
"""optimizers/float32_update.py has all but "plain", which leaves the update to the optimizer; see settled."""


def settled(update: Update, dtype: str, adapter: str = "none") -> Update:
    """``update``, or what "auto" stands for: an update that moves weights of this type, at the least cost.

    bfloat16: stochastic rounding, which takes no memory beside the weights. float16, whose rounding is not ours to
    draw: a float32 copy. Weights of float32, and an adapter's: plain.
    """
    moving: dict[str, Update] = {"bfloat16": "stochastic_rounding", "float16": "master"}
    return update if update != "auto" else moving.get(dtype, "plain") if adapter == "none" else "plain"


def updates_plainly(optimizer: Any) -> bool:
    """True where a step below the last bit of a weight is lost, as with an optimizer of the user's own."""
    return getattr(optimizer, "update", "plain") == "plain"


def check_update(update: Update, dtype: str, adapter: str) -> None:
    """Refuse an update that is not for these weights; those of an adapter are float32. Raises RequestError."""
    if update in ("auto", "plain"):
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
