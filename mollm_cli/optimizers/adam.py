"""The metric and the change by which an optimizer follows ``.grad``, and AdamW with a metric made of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from mollm_cli.core.solution import Array
from mollm_cli.gradients.inner import Changes, GradientRow, Metric, ParameterChange, raised
from mollm_cli.optimizers.float32_update import Float32Update

ParameterGroup = dict[str, Any]


def preconditioner(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.nn.Parameter]) -> Metric:
    """The diagonal P of the step just taken. Adam: 1 / (sqrt(v_hat) + eps) from its state; others: the identity."""
    groups = _groups(optimizer)
    steps = cache(lambda: _steps(optimizer))

    def diagonal(k: int) -> torch.Tensor | float:
        state, group = optimizer.state.get(parameters[k], {}), groups[parameters[k]]
        if "exp_avg_sq" not in state:
            return 0.0 if "betas" in group and not state else 1.0
        v = raised(state["exp_avg_sq"], parameters[k].device)
        # Where v = 0 the optimizer has never moved that coordinate, and 1 / eps would rule every inner product.
        return _inverse_root(v, group, steps()[parameters[k]]).masked_fill_(v == 0, 0.0)

    return diagonal


def applied(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[torch.nn.Parameter],
    before: Sequence[torch.Tensor],
    moved: Callable[[int], bool],
) -> Changes | None:
    """The change of the step just taken as the optimizer's rule has it: metric, momentum and decay included.

    before: the parameters before the step.
    moved: tells whether the step took parameter k.

    It is made of the optimizer's state after the step, so that nothing is computed twice. Known are torch's AdamW and
    SGD, and AdamRows, which writes AdamW's state; None for any other optimizer.
    """
    groups, steps = _groups(optimizer), cache(lambda: _steps(optimizer))
    known = {torch.optim.AdamW: _adamw_change, torch.optim.SGD: _sgd_change}
    rule = known.get(type(optimizer.inner if isinstance(optimizer, Float32Update) else optimizer))
    if rule is None:
        return None

    def change(k: int) -> ParameterChange | None:
        parameter = parameters[k]
        if not moved(k):
            return None
        state = {**optimizer.state.get(parameter, {}), "step": steps().get(parameter)}
        return rule(before[k], parameter.grad, state, groups[parameter])

    return change


class AdamRows:
    """One step of AdamW whose second moment is fed by the objectives' rows, not by the direction. Ours.

    v <- b2 v + (1 - b2) mean_i (s_i g_i)^2 over live i, with the rows s_i g_i at one common length. So P is known
    before the weights are, and the Gram matrix in it is exact for this very step. With AdamW's own v, which holds d, it
    never is (that of the step before is off by a third). Every coordinate that a live row reaches has v > 0, and there
    is a P at the first step. Momentum, bias correction and decay are AdamW's, and so is the state. Nothing is written
    before ``step``.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: Sequence[torch.nn.Parameter],
        rows: Sequence[GradientRow],
        scale: Array,
    ) -> None:
        """Take the rows [m], with scale [m] = s_i, which is 0 for a row that is not live."""
        self.optimizer, self.parameters = optimizer, parameters
        self.rows = [(row, float(s)) for row, s in zip(rows, scale, strict=True) if s > 0]
        self.groups, self.steps = _groups(optimizer), _steps(optimizer)

    def metric(self, k: int) -> torch.Tensor | float:
        """P on parameter k; 0 where no live row reaches it, so that it does not move."""
        v = self._second(k)
        if v is None:
            return 0.0
        return _inverse_root(v, self.groups[self.parameters[k]], self._state(k)["step"] + 1).masked_fill_(v == 0, 0.0)

    def moves(self, k: int) -> bool:
        """True where ``step`` takes parameter k: where a live row reaches it."""
        return any(row[k] is not None for row, _ in self.rows)

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters and write the moments."""
        for k, parameter in enumerate(self.parameters):
            v = self._second(k)
            if v is None:
                continue
            state, group = self._state(k), self.groups[parameter]
            rate, step = 1 - group["betas"][0], state["step"] + 1
            first = state["exp_avg"].mul(1 - rate)
            first = first if parameter.grad is None else first.add_(parameter.grad, alpha=rate)
            change = _adamw_formula(group, step)(parameter, raised(first, first.device), v)
            count = torch.tensor(step, dtype=torch.float32, device=parameter.device)
            moments = {"exp_avg": first, "exp_avg_sq": v.to(parameter.dtype), "step": count}
            self.optimizer.state[parameter].update(moments)
            parameter.add_(change)

    def _second(self, k: int) -> torch.Tensor | None:
        squares: torch.Tensor | None = None
        for row, scale in self.rows:
            part = row[k]
            if part is not None:
                square = (raised(part, self.parameters[k].device) * scale).square_()
                squares = square if squares is None else squares.add_(square)
        if squares is None:
            return None
        beta = self.groups[self.parameters[k]]["betas"][1]
        return squares.mul_((1 - beta) / len(self.rows)).add_(self._state(k)["exp_avg_sq"], alpha=beta)

    def _state(self, k: int) -> dict[str, Any]:
        parameter = self.parameters[k]
        state = self.optimizer.state.get(parameter)
        if state:
            return {**state, "step": self.steps[parameter]}
        zeros = torch.zeros_like(parameter)
        return {"step": 0.0, "exp_avg": zeros, "exp_avg_sq": zeros}


def _adamw_formula(group: ParameterGroup, step: float) -> Callable[..., torch.Tensor]:
    """-lr (P m_hat + weight_decay theta), from theta before the step, m and v after it."""
    # The bias corrections are taken out of the roots, as torch does: one pass over the parameter less.
    share, decay, rate = 1 - group["betas"][0] ** step, group["weight_decay"], -float(group["lr"])

    root = (1 - group["betas"][1] ** step) ** 0.5

    def formula(theta: torch.Tensor, m: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        change = torch.div(m, v.sqrt().add_(group["eps"] * root)).mul_(rate / share * root)
        return change.add_(theta, alpha=rate * decay) if decay else change

    return formula


def _adamw_change(
    theta: torch.Tensor, gradient: torch.Tensor | None, state: dict[str, Any], group: ParameterGroup
) -> ParameterChange | None:
    """AdamW's change, from its moments; None where it has none yet."""
    if "exp_avg" not in state:
        return None
    return ParameterChange(_adamw_formula(group, state["step"]), theta, state["exp_avg"], state["exp_avg_sq"])


def _sgd_change(
    theta: torch.Tensor, gradient: torch.Tensor | None, state: dict[str, Any], group: ParameterGroup
) -> ParameterChange | None:
    """-lr b, b = momentum b + d + weight_decay theta, without dampening or Nesterov, as optimizer=sgd builds it."""
    rate, decay = -float(group["lr"]), group["weight_decay"]
    kept: torch.Tensor | None = state.get("momentum_buffer")
    if kept is not None:
        return ParameterChange(lambda b: b * rate, kept)
    return None if gradient is None else ParameterChange(lambda x, d: (d + decay * x).mul_(rate), theta, gradient)


def _inverse_root(v: torch.Tensor, group: ParameterGroup, step: float) -> torch.Tensor:
    """1 / (sqrt(v / (1 - b2^step)) + eps)."""
    v_hat: torch.Tensor = v / (1 - group["betas"][1] ** step)
    return v_hat.sqrt_().add_(group["eps"]).reciprocal_()


def _groups(optimizer: torch.optim.Optimizer) -> dict[torch.nn.Parameter, ParameterGroup]:
    return {parameter: group for group in optimizer.param_groups for parameter in group["params"]}


def _steps(optimizer: torch.optim.Optimizer) -> dict[torch.Tensor, float]:
    """The steps that each parameter has taken, in one transfer; parameters without a count are left out."""
    counts = {p: state["step"] for p, state in optimizer.state.items() if "step" in state}
    if not counts:
        return {}
    taken = torch.stack([torch.as_tensor(x).double() for x in counts.values()]).tolist()
    return dict(zip(counts, taken, strict=True))
