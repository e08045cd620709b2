"""Restricts training to the parameters that a loss names."""

from __future__ import annotations

import re
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Loss
from mollm_cli.models.forward import layers


def restrict(model: Any, loss: Loss) -> None:
    """Freeze the parameters that ``loss`` does not train.

    Raises RequestError where that leaves nothing to train, or where the model lacks the layer that the loss reads.
    """
    for objective in loss.objectives:
        if objective.layer is not None and not 0 <= objective.layer < len(layers(model)):
            raise RequestError(
                f"loss.layer must be a layer of the model, 0 to {len(layers(model)) - 1}, found {objective.layer}. "
                f"Set loss.layer={len(layers(model)) // 2}"
            )
    if loss.trainable is None:
        return
    parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    chosen = {name for name, _ in parameters if re.search(loss.trainable, name)}
    if not chosen:
        raise RequestError(
            f"loss={loss.name} trains the parameters whose name has {loss.trainable}, found none among "
            f"{len(parameters)}, the first is '{parameters[0][0]}'. Choose another loss, or a loss of your own with "
            "another Loss.trainable"
        )
    for name, parameter in parameters:
        parameter.requires_grad_(name in chosen)
