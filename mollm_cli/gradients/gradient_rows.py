"""One gradient per objective, kept per parameter, never flattened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.core.solution import Array
from mollm_cli.core.world import World
from mollm_cli.gradients.direction_settings import Storage
from mollm_cli.gradients.inner import GradientRow, Sums, combine, grams
from mollm_cli.gradients.replicas import RowSum


class GradientRows:
    """m gradients of n parameters, harvested from ``.grad`` after ``loss.backward()`` and added up over micro-batches.

    carried: k rows that a solver keeps from step to step; they stand after the objectives' own in the Gram matrix and
        in weights.
    storage: "bfloat16" halves the memory of the m rows; "host" keeps them in pinned memory of the host, from where they
        are read block by block.
    layers: for every parameter, its layer in 0..L-1, where weights differ between layers; None: they do not.

    A parameter that an objective does not reach has no entry, which counts as zero. Memory: m + k times the trainable
    parameters. (``autograd.grad`` would fail under FSDP2 and be silently local under DDP.)
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        objectives: int,
        carried: Sequence[GradientRow] = (),
        storage: Storage = "same",
        layers: Sequence[int] | None = None,
    ) -> None:
        self.parameters = list(parameters)
        self.rows: list[GradientRow] = [[None] * len(self.parameters) for _ in range(objectives)]
        self.carried = list(carried)
        self.storage: Storage = storage
        self.layers = layers
        self._begun: dict[int, RowSum] = {}

    def harvest(self, objective: int) -> None:
        """Move ``.grad`` into (or onto) the row of ``objective``, and leave ``.grad`` empty."""
        row = self.rows[objective]
        for k, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                kept, found = row[k], parameter.grad
                if kept is not None:
                    # Onto the new gradient, which is on the device and in full precision; the row need not be.
                    found.add_(kept.to(found.device, non_blocking=True))
                parameter.grad = None
                row[k] = self._stored(found)

    def begin_sum(self, world: World, objective: int) -> None:
        """Begin to add up the row of ``objective``, which is complete, over the replicas of ``world``."""
        if world.size > 1:
            self._begun[objective] = RowSum(world, self.rows[objective], self.parameters)

    def finish_sums(self) -> None:
        """Make every row that of all replicas' batches, one after the other, so that few are in float32 at a time."""
        while self._begun:
            objective, begun = self._begun.popitem()
            row = begun.finish()
            del begun
            whole = zip(row, self.parameters, strict=True)
            self.rows[objective] = [None if x is None else self._stored(x.to(p.dtype)) for x, p in whole]

    def _stored(self, gradient: torch.Tensor) -> torch.Tensor:
        if self.storage == "bfloat16":
            return gradient.bfloat16()
        if self.storage == "host" and gradient.device.type != "cpu":
            pinned = torch.empty_like(gradient, device="cpu", pin_memory=True)
            return pinned.copy_(gradient, non_blocking=True)
        return gradient

    def gram(self) -> Array:
        """G_ij = g_i . g_j, float64 [m+k, m+k]."""
        whole: Array = self.grams().sum(axis=0)
        return whole

    def grams(self, sums: Sums | None = None) -> Array:
        """G_ij of every layer, float64 [L, m+k, m+k]; they add up to ``gram``. sums: adds up the parts of rows."""
        return grams([*self.rows, *self.carried], self.parameters, self.layers, sums=sums)

    def write(self, weights: NDArray[np.float64], out: Sequence[torch.Tensor] | None = None) -> None:
        """Put d = sum_i weights_i g_i into ``.grad``; parameters that no weighted row reaches get no gradient.

        weights [m+k], or [L, m+k]: those of each layer.
        out: tensors like the parameters to write to; None: new ones.
        """
        for k, parameter in enumerate(self.parameters):
            parameter.grad = self._combined(weights, k, None if out is None else out[k])

    def carry(self, combinations: NDArray[np.float64]) -> list[GradientRow]:
        """The next carried rows: combinations [k, m+k], or [k, L, m+k], of the rows as they are."""
        return [[self._combined(weights, k) for k in range(len(self.parameters))] for weights in combinations]

    def _combined(self, weights: NDArray[np.float64], k: int, out: torch.Tensor | None = None) -> torch.Tensor | None:
        """sum_i weights_i g_i on parameter ``k``, in ``out`` if there is one; None where no weighted row reaches it."""
        if weights.ndim == 2:
            weights = weights[0 if self.layers is None else self.layers[k]]
        every = zip(weights, [*self.rows, *self.carried], strict=True)
        reached = [(float(weight), part) for weight, row in every if weight != 0 and (part := row[k]) is not None]
        if not reached:
            return None
        if out is None:
            out = torch.empty_like(self.parameters[k], requires_grad=False, memory_format=torch.contiguous_format)
        return combine([weight for weight, _ in reached], [part for _, part in reached], out)


def require_finite(values: NDArray[np.float64], names: Sequence[str], what: str) -> None:
    """Raise NonFiniteError naming the objectives whose ``values`` [m] are not finite."""
    bad = [name for name, value in zip(names, values, strict=True) if not np.isfinite(value)]
    if bad:
        raise NonFiniteError(
            f"the {what} of {', '.join(bad)} is not finite; the optimizer has not moved. "
            "Lower optimizer.lr, set engine.clip_norm, or use engine.precision=float32."
        )
