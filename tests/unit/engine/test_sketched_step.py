"""direction.gram=sketch: the direction of the exact step with the weights of the sketch, and no gradient kept."""

from __future__ import annotations

import copy
import dataclasses
import weakref

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from mollm_cli.core.errors import NonFiniteError
from mollm_cli.core.types import Loss, Objective
from mollm_cli.engine.record import step_record
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.gradient_sketches import GradientSketches
from mollm_cli.gradients.trained import Trained
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.mollm_pair import mollm_pair
from mollm_cli.objectives.label_log_probs import on
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.projected_forget import ProjectedForget
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.counting import counting, moved, parameters
from tests.support.sketched import FORGET, LIVE, RETAIN, WHOLE, Fixed, batches_of, plain
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt, split


def sketched(**more):
    return plain("sketch", **more)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "parts"])
@pytest.mark.parametrize("loss", [mollm(0.5, 2.0, 1.5), ga_kl(), mollm_pair(), dpo()], ids=lambda x: x.name)
def test_with_fixed_weights_the_step_is_the_exact_one(loss, whole):
    ends = []
    for direction in (sketched(), plain("exact", guard=False)):
        model = opt()
        step = stepper(model, loss, Fixed(), direction=direction)
        moved(model)
        result = step(batches_of(loss, whole), 0.1)
        ends.append((parameters(model), result.losses))
    assert (ends[0][0] - ends[1][0]).abs().max() < 1e-12
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-12)


@pytest.mark.parametrize("buckets", [256, 4096, 65_536])
@pytest.mark.parametrize("gram", ["sketch", "factors"])
def test_the_gram_matrix_is_that_of_the_gradients_within_its_error(gram, buckets):
    """Three standard errors, bounded for these gradients: blocks add little where many matrices share them."""
    model = llama(dtype=torch.float64)
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=plain(gram, sketch_buckets=buckets))
    moved(model)
    rows = [gradient(model, step.reference, objective, WHOLE) for objective in mollm().objectives]
    sizes = [p.numel() for p in model.parameters()]
    squares = np.array([[float(part.square().sum()) for part in torch.split(row, sizes)] for row in rows])
    exact = (torch.stack(rows) @ torch.stack(rows).T).numpy()
    seen = step(WHOLE, 1e-3).gram
    lengths = np.sqrt(np.diag(exact))
    relative = np.abs(seen - exact) / np.outer(lengths, lengths)
    for i, j in zip(*np.triu_indices(3), strict=True):
        shares = squares[i] * squares[j] / (exact[i, i] * exact[j, j])
        blocks = sum(step.kind.sketch.spread(k) * shares[k] for k in step.kind.sketch.matrices)
        assert relative[i, j] <= 3 * np.sqrt(step.kind.sketch.error**2 * (1 + blocks) + blocks)
    assert not np.allclose(seen, exact, rtol=1e-6)
    assert np.linalg.eigvalsh(seen).min() >= -1e-12 * seen.max()


@pytest.mark.parametrize("seed", range(4))
def test_the_real_gradients_descend_along_the_sketched_direction(seed):
    """What the weights of the sketch are worth on the gradients themselves: plain SGD, so that Delta = -lr d.

    The record saw the same, without ever having the two vectors.
    """
    model, batches = opt(), {"forget": [batch(seed, prefix="f")], "retain": [batch(seed + 9)]}
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(**LIVE, gram="sketch"))
    moved(model, seed)
    gradients = [gradient(model, step.reference, objective, batches) for objective in mollm().objectives]
    before = parameters(model)
    result = step(batches, 1e-3)
    change = parameters(model) - before
    assert result.choice.live.all()
    for g, seen in zip(gradients, result.descent.realised, strict=True):
        scale = float(g.norm() * change.norm())
        assert g @ change < -0.01 * scale
        assert abs(float(g @ change) - seen) <= 3 * result.descent.error * scale


@pytest.mark.parametrize("gram", ["sketch", "factors"])
def test_the_record_knows_what_blocks_cost(gram):
    """Blocks of 8 x 8 for matrices of 32 x 32 to 64 x 32: what was done is known less well, and said to be."""
    model = opt()
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(**LIVE, gram=gram, sketch_buckets=256))
    moved(model)
    gradients = [gradient(model, step.reference, objective, WHOLE) for objective in mollm().objectives]
    before = parameters(model)
    descent = step(WHOLE, 1e-3).descent
    change = parameters(model) - before
    assert 1.3 * step.kind.sketch.error < descent.error < np.sqrt(step.kind.sketch.error**2 * 1.5625 + 0.5625)
    for g, seen in zip(gradients, descent.realised, strict=True):
        assert abs(float(g @ change) - seen) <= 3 * descent.error * float(g.norm() * change.norm())


def gradient(model, reference, objective, batches):
    """Of one objective, flat, by a step of plain SGD on a copy."""
    twin = copy.deepcopy(model)
    loss = Loss("alone", (dataclasses.replace(objective, weight=1.0),))
    alone = stepper(twin, loss, WeightedSum())
    alone.reference = reference
    alone({role: batches[role] for role in loss.roles}, 1.0)
    return parameters(model) - parameters(twin)


@pytest.mark.parametrize(
    ("loss", "batches", "forwards", "backwards"),
    [
        (mollm(), WHOLE, 2, 4),  # forget once; retain: one an objective, and the weighted sum through the same graph
        (grad_diff(), WHOLE, 2, 3),
        (mollm(), {"forget": split(FORGET, 2), "retain": split(RETAIN, 2)}, 6, 8),  # retain is forwarded again
    ],
)
def test_the_number_of_passes(loss, batches, forwards, backwards):
    model = llama()
    step = stepper(model, loss, DualSpaceMGDA(), direction=sketched())
    moved(model)
    counts = counting(model)
    step(batches, 0.1)
    assert counts == {"forward": forwards, "backward": backwards}


def peak(step):
    """The highest running sum of bytes that ``step`` allocates."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return int(np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).max())


def test_memory_is_that_of_the_weighted_sum():
    """Peak of one step above model and optimizer: GA+KL, MOLLM without gradients, and MOLLM with all of them."""
    peaks = {}
    for name, loss, solver, direction in (
        ("ga_kl", ga_kl(), WeightedSum(), None),
        ("sketch", mollm(), DualSpaceMGDA(), Direction(**LIVE, gram="sketch", sketch_buckets=8192)),
        ("exact", mollm(), DualSpaceMGDA(), Direction(**LIVE, guard=False)),
    ):
        model = llama(hidden=128, vocab=512)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
        step = stepper(model, loss, solver, direction=direction, optimizer=optimizer)
        moved(model)
        result = step(WHOLE, 1e-3)
        assert result.choice is None or result.choice.live.all()
        optimizer.zero_grad(set_to_none=True)
        peaks[name] = peak(lambda step=step: step(WHOLE, 1e-3))
    assert peaks["sketch"] <= 1.1 * peaks["ga_kl"]
    assert peaks["exact"] >= 1.5 * peaks["ga_kl"]


def test_nothing_is_corrected_and_the_record_says_how_well_it_knows():
    model = llama()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(**LIVE, gram="sketch"), optimizer=optimizer)
    results = [step({"forget": [batch(k % 3, rows=2)], "retain": [batch((k + 2) % 3, rows=2)]}, 5e-3) for k in range(9)]
    names = [o.name for o in mollm().objectives]
    told = [step_record(result, names, 5e-3, 1.0) for result in results]
    assert not any("correction" in line for line in told)
    assert all(line["first_order_error"] == pytest.approx(0.0062, abs=1e-4) for line in told)
    assert any(line["rising"] for line in told), "momentum points the wrong way here: without a guard it shows"
    for line in told:
        for name in names:
            share = line[f"realised.{name}"] / (line[f"norm.{name}"] * line["step_norm"] or 1.0)
            assert (name in line["rising"]) == (line[f"live.{name}"] and share > 2 * line["first_order_error"])
    assert step(WHOLE, 5e-3, record=False).descent is None


def test_what_rests_is_not_sent_backward_between_logged_steps():
    for record, backwards in ((True, 4), (False, 3)):
        model = llama()
        step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(gram="sketch"))
        counts = counting(model)
        result = step(WHOLE, 0.1, record=record)  # step 0: the KL is 0
        assert counts["backward"] == backwards
        assert result.choice.live.tolist() == [True, True, False]


def test_a_gradient_that_is_not_finite_stops_before_the_optimizer_moves():
    cliff = on("retain", lambda o: ((o.logits - o.logits.detach()).abs().sqrt().sum(), 1))
    model = llama()
    before = parameters(model)
    loss = Loss("x", (mollm().objectives[0], Objective("cliff", ("retain",), cliff)))
    with pytest.raises(NonFiniteError, match="gradient of cliff is not finite; the optimizer has not moved"):
        stepper(model, loss, DualSpaceMGDA(), direction=sketched())(WHOLE, 0.1)
    assert torch.equal(parameters(model), before)


@pytest.mark.parametrize("key", [{"gram": "sketch"}, {"refresh_every": 2}])
def test_a_solver_that_carries_gradients_needs_them(key):
    with pytest.raises(ValueError, match=r"solver projected_forget with its retain_average works on the objectives'"):
        stepper(llama(), mollm(), ProjectedForget(), direction=Direction(**key))


class Unweighted(Fixed):
    """The first objective is live and gets nothing."""

    def solve(self, *told):
        return dataclasses.replace(super().solve(*told), weights=np.array([0.0, 1.0, 1.0]))


@pytest.mark.parametrize("gram", ["sketch", "factors"])
def test_a_gradient_without_weight_is_gone_before_the_others_are_made(gram, monkeypatch):
    """What is held of the first role is a whole gradient; beside it there would be two."""
    held, alive = [], []

    def take(self, objective, original=GradientSketches.take):
        row = original(self, objective)
        held.extend(weakref.ref(x.untyped_storage()) for x in row if x is not None)
        return row

    def put_back(self, k, part, original=Trained.put_back):
        original(self, k, part)
        if k == 0:
            alive.append(sum(x() is not None for x in held))

    monkeypatch.setattr(GradientSketches, "take", take)
    monkeypatch.setattr(Trained, "put_back", put_back)
    model = llama()
    step = stepper(model, mollm(), Unweighted(), direction=plain(gram, sketch_buckets=64))
    moved(model)
    step(WHOLE, 1e-3)
    assert held and alive == [1]  # the last one, which the caller's frame has
