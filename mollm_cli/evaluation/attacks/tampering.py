"""What an attack on the weights brings back, point by point."""

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
"""x, and by name the mean probability of the answers of a set."""


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

    probability: of those of the rows ``forget`` (some of ``bench.rows["forget"]``) that the attack was not given;
    <set>_probability: of ``others``; each the mean over rows of exp(mean_t log p_t), in [0, 1]. Where a loss, a
    gradient or the weights become non-finite, the curve ends with values of None at the last x, and details say why.
    Raises what else the attack raises.
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
