"""A Stepper in one line."""

from __future__ import annotations

import torch

from mollm_cli.engine.step import Stepper
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.models.reference import Reference


def stepper(model, loss, solver, *, lr=0.1, direction=None, target=None, clip=None, optimizer=None, kind=None):
    kind = kind or ("copy" if loss.needs_reference else "none")
    parameters = [p for p in model.parameters() if p.requires_grad]
    return Stepper(
        model=model,
        reference=Reference(model, kind),
        loss=loss,
        solver=solver,
        direction=direction or Direction(),
        optimizer=optimizer or torch.optim.SGD(parameters, lr),
        target=target,
        clip_norm=clip,
    )
