"""The line of train.jsonl that tells of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mollm_cli.core.solution import Array
from mollm_cli.engine.result import StepResult
from mollm_cli.gradients.direction import Choice, cosines


def step_record(result: StepResult, names: Sequence[str], lr: float, tokens_per_second: float) -> dict[str, Any]:
    """The flat names of the run directory's contract: loss.*, weight.*, simplex.*, cosine.*.*, predicted.*, realised.*.

    Where the step solved no programme (a solver that reads no Gram matrix, or weights that are ``reused``), the names
    that need one are absent, not zero: cosines, norms, first-order changes.

    weight.*, simplex.*: with direction.scope=layer, means over layers (gradients/by_layer.py).
    rising: the live objectives that rose, to first order, by more than rounding.
    first_order_error: with direction.gram=sketch, inner products are known to about this share of |a||b|, and rising
        names the objectives that rose by more than twice that.
    raw.*: the changes before the guard's correction; correction: its length over the step's. Both only with
        direction.guard, without which raw would be realised.
    after.*: only with direction.verify.
    moved: the share of the weights that the step moved; only where they are of half precision.
    """
    record: dict[str, Any] = {f"loss.{n}": float(v) for n, v in zip(names, result.losses, strict=True)}
    record |= {f"weight.{n}": float(v) for n, v in zip(names, result.weights, strict=True)}
    if result.choice is not None and result.gram is not None:
        record |= _directions(result, result.choice, result.gram, names)
    record |= {"status": str(result.status), "learning_rate": lr}
    record |= {"gradient_norm": result.gradient_norm, "tokens_per_second": tokens_per_second}
    if result.after is not None:
        record |= {f"after.{n}": float(v) for n, v in zip(names, result.after, strict=True)}
    if result.moved is not None:
        record["moved"] = result.moved
    if result.forget_probability is not None:
        record["forget_probability"] = result.forget_probability
    return record


def _directions(result: StepResult, choice: Choice, gram: Array, names: Sequence[str]) -> dict[str, Any]:
    descent = result.descent
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
    corrected = descent is not None and descent.correction is not None
    columns = {
        "simplex": choice.simplex,
        "norm": norms,
        "aligned": choice.aligned,
        "predicted": result.predicted,
        "raw": descent.raw if descent is not None and corrected else None,
        "realised": None if descent is None else descent.realised,
    }
    record: dict[str, Any] = {
        f"{key}.{n}": float(v)
        for key, values in columns.items()
        if values is not None
        for n, v in zip(names, values, strict=True)
    }
    record |= {f"live.{n}": bool(v) for n, v in zip(names, choice.live, strict=True)}
    if descent is not None:
        record["step_norm"] = descent.norm
        record["rising"] = [n for n, up in zip(names, descent.rising(norms, choice.live), strict=True) if up]
        if descent.error > 0:
            record["first_order_error"] = descent.error
        if descent.correction is not None:
            record["correction"] = descent.correction
    cosine = cosines(gram)
    record |= {
        f"cosine.{names[i]}.{names[j]}": float(cosine[i, j])
        for i in range(len(names))
        for j in range(i + 1, len(names))
    }
    return record
