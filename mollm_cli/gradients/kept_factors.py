"""Gradients that wait for their weights; a matrix's wait as factors, so that one product serves all objectives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch

from mollm_cli.core.solution import Array
from mollm_cli.gradients.taps import Factors


class KeptFactors:
    """Gradients of several objectives, parameter by parameter, until ``add_to`` has their weights.

    Objectives of one forward pass share the inputs X of a linear layer, so sum_i w_i D_i' X = (sum_i w_i D_i)' X.
    Memory: the cotangents and the inputs of all tapped layers, and the gradients of what is not a tapped weight.
    """

    def __init__(self) -> None:
        self._factors: dict[int, list[tuple[int, Factors]]] = {}
        self._gradients: dict[int, list[tuple[int, torch.Tensor]]] = {}

    def keep_factors(self, objective: int, k: int, factors: Factors) -> None:
        """Keep the factors of parameter ``k``."""
        self._factors.setdefault(k, []).append((objective, factors))

    def keep(self, objective: int, k: int, gradient: torch.Tensor) -> None:
        """Keep the gradient of parameter ``k``."""
        self._gradients.setdefault(k, []).append((objective, gradient))

    @torch.no_grad()
    def add_to(self, parameters: Sequence[torch.nn.Parameter], weights: Array) -> None:
        """``.grad`` += sum_i weights_i g_i; every gradient is freed on the way."""
        while self._factors:
            k, found = self._factors.popitem()
            for _, shared in groupby(found, lambda one: _seen(one[1]).data_ptr()):
                _add_product(parameters[k], [(float(weights[i]), factors) for i, factors in shared if weights[i] != 0])
        while self._gradients:
            k, gradients = self._gradients.popitem()
            for i, gradient in gradients:
                if weights[i] != 0:
                    _add(parameters[k], gradient.mul_(float(weights[i])))


def _seen(factors: Factors) -> torch.Tensor:
    return factors.right if factors.cotangent_left else factors.left


def _add_product(parameter: torch.nn.Parameter, shared: Sequence[tuple[float, Factors]]) -> None:
    """``.grad`` += (sum w D)' X, of factors that share one X."""
    if not shared:
        return
    left, right, cotangent_left = shared[0][1]
    total = (left if cotangent_left else right) * shared[0][0]
    for weight, factors in shared[1:]:
        total.add_(factors.left if cotangent_left else factors.right, alpha=weight)
    left, right = (total, right) if cotangent_left else (left, total)
    if parameter.grad is not None and parameter.grad.dtype == total.dtype:
        parameter.grad.addmm_(left.T, right)
    else:
        _add(parameter, left.T @ right)


def _add(parameter: torch.nn.Parameter, gradient: torch.Tensor) -> None:
    gradient = gradient.to(parameter.dtype)
    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
