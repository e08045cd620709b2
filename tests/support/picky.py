"""A user's own loss, named by a ``_target_``, that goes with one solver only."""

from __future__ import annotations

from mollm_cli.core.types import Loss
from mollm_cli.losses.ga import ga


def picky() -> Loss:
    """Gradient ascent that allows no solver but normalized_sum."""
    return Loss("picky", ga().objectives, solvers=("normalized_sum",))
