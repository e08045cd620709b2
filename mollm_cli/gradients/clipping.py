"""The direction is written to ``.grad`` no longer than engine.clip_norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.core.solution import Array
from mollm_cli.gradients.direction import length_of
from mollm_cli.gradients.gradient_rows import GradientRows, require_finite
from mollm_cli.gradients.trained import Trained


@dataclass(frozen=True, slots=True)
class Clipping:
    """d <- d min(1, limit / (|d| + 1e-6)), as torch clips.

    names: those of the objectives, for errors.
    limit: the longest that d may be; None: d stays as it is.
    """

    trained: Trained
    names: Sequence[str]
    limit: float | None

    def clip(self, losses: Array) -> float:
        """Clip ``.grad``, and return the norm that it had. Raises NonFiniteError where it or a loss is not finite."""
        require_finite(losses, self.names, "loss")
        gradients = [p.grad for p in self.trained.parameters if p.grad is not None]
        norm = self.trained.norm(gradients)
        if not np.isfinite(float(norm)):
            summed = " + ".join(self.names)
            raise NonFiniteError(
                f"the gradient of {summed} is not finite; the optimizer has not moved. Lower optimizer.lr."
            )
        if self.limit is not None and gradients:
            torch.nn.utils.clip_grads_with_norm_(self.trained.parameters, self.limit, norm)
        return float(norm)

    def write(
        self,
        rows: GradientRows,
        grams: Array,
        weights: Array,
        losses: Array,
        out: Sequence[torch.Tensor] | None = None,
    ) -> float:
        """Put d = sum_i weights_i g_i into ``.grad``, clipped, and return the norm that it had before.

        grams [L, n, n], weights [L, n]: of each layer.
        losses [m]: checked for being finite.
        out: buffers as in ``GradientRows.write``.
        """
        # |d| is known from the Gram matrix before d is written, so d is written once, as it stays.
        norm = length_of(grams, weights)
        if norm is None:
            # The terms of |d|^2 all but cancel, or are not finite: only d itself can tell its length.
            rows.write(weights, out)
            return self.clip(losses)
        require_finite(losses, self.names, "loss")
        rows.write(weights if self.limit is None else weights * min(1.0, self.limit / (norm + 1e-6)), out)
        return norm
