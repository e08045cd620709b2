"""The curve of an attack on the weights: what it brings back, point by point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.core.types import Encoded, Result
from mollm_cli.evaluation.teacher_forcing import teacher_forced
from mollm_cli.metrics.aggregate import mean_result

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from mollm_cli.evaluation.attacks.attack_protocol import Bench, WeightsAttack

PROBABILITY = "probability"
Curve = list[tuple[float, dict[str, Result]]]
"""Points (x, by name the mean probability of a set's answers)."""


def curve(
    attack: WeightsAttack,
    model: PreTrainedModel,
    bench: Bench,
    forget: Sequence[Encoded],
    others: Mapping[str, Sequence[Encoded]],
    pad_id: int,
    batch_size: int,
    device: torch.device,
) -> Curve:
    """Tamper with ``model`` in place and measure it whenever the attack says so.

    forget: the rows measured, a part of ``bench.rows["forget"]``; those that the attack was given are left out.
    others: rows of further sets, by name.

    A point holds ``probability`` (forget) and ``<set>_probability`` (others), each the mean over rows of
    exp(mean_t log p_t), in [0, 1]. If a loss, a gradient or the weights become non-finite, the curve ends with None at
    the last x, and details say why. Raises whatever else the attack raises.
    """
    ids = {row.id for row in forget}
    held_back = [row for row in attack.measured(bench.rows["forget"]) if row.id in ids]
    sets = {PROBABILITY: held_back} | {f"{name}_{PROBABILITY}": rows for name, rows in others.items()}
    points: Curve = []
    x = 0.0
    try:
        for x in attack.tampered(model, bench):
            points.append((x, {k: _probability(model, rows, pad_id, batch_size, device) for k, rows in sets.items()}))
    except NonFiniteError as ruined:
        points.append((x, {key: Result(None, details={"why": str(ruined)}) for key in sets}))
    return points


def _probability(
    model: PreTrainedModel, rows: Sequence[Encoded], pad_id: int, batch_size: int, device: torch.device
) -> Result:
    return mean_result(math.exp(score.mean) for score in teacher_forced(model, rows, pad_id, batch_size, device))
