"""RMU: hidden states of forget rows are steered to a random direction, those of retain rows are held."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from mollm_cli.core.types import Loss, Objective
from mollm_cli.objectives.hidden_distance import hidden_distance
from mollm_cli.objectives.hidden_steering import hidden_steering
from mollm_cli.objectives.label_log_probs import on


def rmu(
    layer: int = 7,
    coefficient: float = 6.5,
    direction_seed: int = 0,
    forget_weight: float = 1.0,
    retain_weight: float = 1200.0,
) -> Loss:
    """Two rows: mean_t mean_j (h - c u)^2 on forget, mean_t mean_j (h - h_ref)^2 on retain, h the output of ``layer``.

    layer: from 0; the forward pass stops there.
    coefficient: the length c of the goal, 2 to 20 in print.
    direction_seed: draws u, uniform on [0, 1)^H and normalised once.

    Trained are the MLP's output matrices of layers l - 2 to l. Source: Li et al. (WMDP), arXiv 2403.03218, whose means
    run over whole texts, ours over target tokens. Raises ValueError.
    """
    if layer < 0:
        raise ValueError(f"loss.layer must be >= 0, found {layer}")
    forget = on("forget", functools.partial(hidden_steering, coefficient=coefficient, seed=direction_seed))
    retain = on("retain", hidden_distance)
    return Loss(
        "rmu",
        (
            Objective("hidden_steering", ("forget",), forget, layer=layer, weight=forget_weight),
            Objective("hidden_distance", ("retain",), retain, layer=layer, reference=True, weight=retain_weight),
        ),
        trainable=_down_projections(range(max(layer - 2, 0), layer + 1)),
    )


def _down_projections(layers: Iterable[int]) -> str:
    """The matrices that lead out of the MLPs of ``layers``, as Llama, OPT, GPT-2 and GPT-NeoX name them."""
    numbers = "|".join(map(str, layers))
    return rf"\.({numbers})\.(mlp\.(down_proj|c_proj|fc2|dense_4h_to_h)|fc2)\.(.*\.)?weight$"
