"""Every loss with every solver that it allows: three steps, one backward an objective, no gradient made flat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mollm_cli.core.solution import Status
from mollm_cli.engine.batch_losses import role_groups
from mollm_cli.gradients.gradient_rows import GradientRows
from tests.support.losses import LOSSES
from tests.support.solvers import SOLVERS
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, split

ROWS = {"forget": batch(1, prefix="f"), "retain": batch(2, prefix="r"), "alternate": batch(3, prefix="a")}


def allowed(loss, solver) -> bool:
    """By the loss's own list, else by what the solver refuses to be bound to."""
    if loss.solvers is not None:
        return solver in loss.solvers
    try:
        SOLVERS[solver]().bind(loss.objectives)
    except ValueError:
        return False
    return True


PAIRS = [(loss, solver) for loss in LOSSES for solver in SOLVERS if allowed(LOSSES[loss], solver)]


def _once(pairs):
    """Each loss once and each solver once, as far as possible in one pair; the full product is slow."""
    losses, solvers, few = set(), set(), []
    for new in (lambda a, b: a not in losses and b not in solvers, lambda a, b: a not in losses or b not in solvers):
        for loss, solver in pairs:
            if new(loss, solver):
                few.append((loss, solver))
                losses.add(loss)
                solvers.add(solver)
    return few


ONCE = _once(PAIRS)


def test_no_pair_is_missing():
    """pdu takes its own solver alone, and no other loss does; four losses have one side only."""
    refused = {(loss, solver) for loss in LOSSES for solver in SOLVERS} - set(PAIRS)
    one_sided = {loss for loss, solver in refused if solver == "orthogonal_descent"} - {"pdu"}
    assert one_sided == {"ga", "ceu", "undial"}
    assert {loss for loss, solver in refused if solver == "upgrad"} == {"pdu"}
    assert {loss for loss, solver in PAIRS if solver == "primal_dual"} == {"pdu"}


@pytest.mark.parametrize(
    ("loss", "solver"), [pytest.param(*pair, marks=() if pair in ONCE else pytest.mark.slow) for pair in PAIRS]
)
def test_three_steps(loss, solver):
    table = LOSSES[loss]
    model = llama(layers=1 + max(table.layer(role) or 0 for role in table.roles))  # one, or as many as the loss reads
    step = stepper(model, table, SOLVERS[solver]())
    backwards = []
    model.model.layers[0].input_layernorm.weight.register_hook(backwards.append)
    batches = {role: split(ROWS[role], 4) for role in table.roles}
    start = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    for _ in range(3):
        result = step(batches, 1e-3)
        assert np.isfinite(result.losses).all() and np.isfinite(result.weights).all()
        assert result.choice is None or result.choice.status is not Status.DEGENERATE
    passes = len(table.objectives) if "gram" in step.solver.needs else len(role_groups(table.objectives))
    assert len(backwards) == 3 * passes
    end = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    # on a model that knows nothing the forget gradient of satimp and simnpo is too short to be live
    resting = result.choice is not None and result.choice.status is Status.RESTING
    assert torch.isfinite(end).all() and torch.equal(start, end) is resting


class Largest(TorchDispatchMode):
    """Remembers the number of elements of the longest tensor that any operation gives out."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.elements = max(self.elements, out.numel())
        return out


def test_no_gradient_is_made_flat():
    """Gram matrix, direction and carried rows come from the parameters one by one."""
    model = llama()
    parameters = list(model.parameters())
    rows = GradientRows(parameters, 2, [[torch.randn_like(p) for p in parameters]])
    for i in range(2):
        for p in parameters:
            p.grad = torch.randn_like(p)
        rows.harvest(i)
    with Largest() as seen:
        rows.gram()
        rows.write(np.ones(3))
        rows.carry(np.ones((1, 3)))
    assert 0 < seen.elements <= max(p.numel() for p in parameters) < sum(p.numel() for p in parameters) / 2
