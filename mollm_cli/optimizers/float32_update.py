"""Weights of half precision that do not lose small updates: the optimizer's rule in float32, then one rounding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from mollm_cli.optimizers.updates import Update, settled

CHUNK = 2**26
"""Parameters whose weights and gradients are held in float32 at one time: half a GiB."""


def updating(rule: torch.optim.Optimizer, update: Update) -> torch.optim.Optimizer:
    """``rule`` itself where the update is plain, else ``rule`` in float32; "auto" goes by the first of its weights."""
    first = next(parameter for group in rule.param_groups for parameter in group["params"])
    update = settled(update, str(first.dtype).removeprefix("torch."))
    return rule if update == "plain" else Float32Update(rule, master=update == "master")


def stochastically_rounded(exact: torch.Tensor) -> torch.Tensor:
    """Float32 ``exact`` as bfloat16, rounded up or down at random: E[result] = exact (Gupta et al., arXiv 1502.02551).

    A number that bfloat16 can hold stays as it is. The random numbers come from torch's generator of the device, which
    a run seeds and a resume point restores.
    """
    # bfloat16 is the upper half of float32. Of 16 random bits added to the lower half, the carry comes with exactly the
    # probability that is the distance to the lower neighbour.
    noise = torch.randint(0, 1 << 16, exact.shape, dtype=torch.int32, device=exact.device)
    return noise.add_(exact.view(torch.int32)).bitwise_and_(-1 << 16).view(torch.float32).bfloat16()


class Float32Update(torch.optim.Optimizer):
    """``inner`` moves float32 values of half-precision parameters; its own state becomes float32 as well.

    master: whether the values are a float32 copy, from which weights are rounded to the nearest (4 bytes per
        parameter). Else they are the weights' own, rounded stochastically afterwards (bfloat16 only, no memory).

    In bfloat16 a weight keeps 8 bits: an update below 2^-9 of it is rounded away, step after step (Zamirai et al.,
    arXiv 2010.06192), and so is the decay of a second moment at b2 = 0.999. Parameters are taken ``CHUNK`` elements at
    a time. Groups and state are those of ``inner``.
    """

    def __init__(self, inner: torch.optim.Optimizer, master: bool) -> None:
        super().__init__(inner.param_groups, {})
        self.inner, self.state = inner, inner.state
        self.masters: dict[torch.nn.Parameter, torch.Tensor] | None = {} if master else None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # the overloads of torch return a loss
        """Move every parameter that has a gradient; leave the gradients as they are."""
        whole = self.inner.param_groups
        try:
            for group in whole:
                for chunk in _chunks([p for p in group["params"] if p.grad is not None]):
                    self.inner.param_groups = [{**group, "params": chunk}]
                    self._step([p for p in chunk if p.element_size() < 4])
        finally:
            self.inner.param_groups = whole

    def _step(self, half: Sequence[torch.nn.Parameter]) -> None:
        """One step of ``inner``, for which the parameters of ``half`` hold float32 values and gradients."""
        kept = [(p, p.data, p.grad) for p in half if p.grad is not None]
        for parameter, weights, gradient in kept:
            parameter.grad = None
            parameter.data = self._exact(parameter, weights)
            parameter.grad = gradient.float()
        self.inner.step()
        for parameter, weights, gradient in kept:
            exact = parameter.data
            weights.copy_(stochastically_rounded(exact) if self.masters is None else exact)
            parameter.grad = None
            parameter.data = weights
            parameter.grad = gradient

    def _exact(self, parameter: torch.nn.Parameter, weights: torch.Tensor) -> torch.Tensor:
        """The float32 values that ``weights`` stand for."""
        if self.masters is None:
            return weights.float()
        master = self.masters.get(parameter)
        if master is None:
            master = self.masters[parameter] = weights.float()
        # Somebody else may have written to the weights since (direction.guard does): the copy takes that in.
        return master.add_(weights.float() - master.to(weights.dtype).float())


def _chunks(parameters: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """``parameters`` in order, in chunks of at most ``CHUNK`` elements; at least one in each."""
    chunk: list[torch.nn.Parameter] = []
    for parameter in parameters:
        if chunk and sum(p.numel() for p in chunk) + parameter.numel() > CHUNK:
            yield chunk
            chunk = []
        chunk.append(parameter)
    if chunk:
        yield chunk
