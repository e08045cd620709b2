"""direction.scope=layer in the engine: descent in every layer, at the cost of the global step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.mollm import mollm
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.projected_forget import ProjectedForget
from tests.support.counting import counting, moved, parameters
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt

WHOLE = {"forget": [batch(1, prefix="f")], "retain": [batch(2, prefix="r")]}
LIVE = {"kl_budget": 0.0, "forget_target": None, "live_threshold": 0.0}


def adamw(model):
    return torch.optim.AdamW(model.parameters(), 1e-3)


def by_layer(step, vectors):
    """Slices of flat ``vectors`` per layer, in the order of the layers."""
    _, index = step.kind.layers
    pieces = [vector.split([p.numel() for p in step.parameters]) for vector in vectors]
    for layer in range(max(index) + 1):
        own = [k for k, place in enumerate(index) if place == layer]
        yield [torch.cat([piece[k] for k in own]) for piece in pieces]


def test_in_every_layer_every_live_objective_descends():
    """Plain SGD, so that Delta = -lr d; the rows are those of three steps with one objective each."""
    model = opt()
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(**LIVE, scope="layer", guard=False))
    moved(model)
    rows = step.kind.gradients(step, step.losses(WHOLE), True)[0].rows
    gradients = [
        torch.cat(
            [
                torch.zeros(p.numel()).double() if x is None else x.reshape(-1)
                for x, p in zip(row, step.parameters, strict=True)
            ]
        )
        for row in rows
    ]
    before = parameters(model)
    result = step(WHOLE, 1e-3)
    change = parameters(model) - before
    assert result.choice.live.all()
    assert result.choice.layers.shape == (len(step.kind.layers[0]), 3)
    seen = 0
    for *own, moved_here in by_layer(step, [*gradients, change]):
        for g in own:
            assert float(g @ moved_here) <= 1e-12
            seen += float(g.norm()) > 0
        assert float(moved_here.norm()) > 0
    assert seen >= 3 * 4
    assert (result.descent.realised < 0).all()
    assert result.descent.realised == pytest.approx([float(g @ change) for g in gradients], rel=1e-6)
    ends = [layer.weights for layer in (result, stepper_of("global", model, step.reference)(WHOLE, 0.0))]
    assert not np.allclose(*ends, rtol=1e-3)


def stepper_of(scope, model, reference):
    made = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(**LIVE, scope=scope, guard=False))
    made.reference = reference
    return made


def test_passes_are_those_of_the_global_step():
    for scope in ("global", "layer"):
        model = llama()
        step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(scope=scope))
        counts = counting(model)
        step(WHOLE, 0.1)
        assert counts == {"forward": 2, "backward": 3}


@pytest.mark.parametrize("solver", [DualSpaceMGDA, ProjectedForget])
@pytest.mark.parametrize("options", [{}, {"metric": "adam"}, {"guard": False}, {"normalise": "none"}], ids=str)
def test_it_goes_with_metric_guard_and_carried_rows_and_resumes(options, solver, tmp_path):
    ends = []
    for cut in (False, True):
        model = llama()
        new = lambda m: stepper(  # noqa: E731
            m, mollm(), solver(), direction=Direction(**LIVE, **options, scope="layer"), optimizer=adamw(m), clip=1.0
        )
        step = new(model)
        for k in range(3):
            if cut and k == 2:
                checkpoint.save(tmp_path, 2, step, {})
                model = llama(seed=4)
                fresh = new(model)
                fresh.reference = step.reference
                checkpoint.load(tmp_path, fresh)
                step = fresh
            result = step({"forget": [batch(k, prefix="f")], "retain": [batch(k + 9)]}, 1e-3)
            assert np.isfinite(result.losses).all()
            if options.get("guard", True):
                norms = np.sqrt(np.diag(result.gram))
                assert (result.descent.realised <= 1e-6 * norms * result.descent.norm)[result.choice.live].all()
        ends.append(parameters(model))
    assert torch.equal(*ends)


def test_a_model_of_one_layer_takes_the_global_step(monkeypatch):
    ends = []
    for scope in ("global", "layer"):
        model = opt()
        step = stepper(model, grad_diff(), DualSpaceMGDA(), direction=Direction(scope=scope))
        if scope == "layer":
            step.kind.layers = (["all"], [0] * len(step.parameters))
        step(WHOLE, 0.1)
        ends.append(parameters(model))
    assert (ends[0] - ends[1]).abs().max() < 1e-14
