"""Weights per layer: by hand, equal to the global ones for one layer, and descent in every layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.core.solution import Solution, Status
from mollm_cli.gradients.by_layer import choose_by_layer
from mollm_cli.gradients.direction import choose
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.liveness import Liveness
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.mollm import mollm
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.projected_forget import ProjectedForget
from tests.support.solvers import SOLVERS

PLAIN = Direction(normalise="none", rescale=False, live_threshold=0.0, forget_target=None)


def run(layers, solver=None, settings=PLAIN, losses=None, loss=None, probability=0.9, target=None, state=None):
    """layers: per layer the rows [m, n_l]."""
    solver, objectives = solver or DualSpaceMGDA(), (loss or grad_diff()).objectives
    solver.bind(objectives)
    grams = np.array([np.array(rows) @ np.array(rows).T for rows in layers])
    losses = np.ones(len(objectives)) if losses is None else np.array(losses)
    names = [f"layer.{k}" for k in range(len(layers))]
    norms = np.sqrt(np.diagonal(grams.sum(axis=0)))[: len(objectives)]
    live = Liveness.of(objectives, solver, settings, target).live(norms, losses, probability)
    return choose_by_layer(grams, names, losses, live, solver, settings, state or {})


def direction(layers, choice):
    return np.concatenate([np.array(rows).T @ w for rows, w in zip(layers, choice.layers, strict=True)])


def test_two_layers_by_hand():
    """Layer 0: (2, 0) and (0, 1), min-norm .2 and .8, d = (.4, .8). Layer 1: (1, 0), (0, 1), halves, d = (.5, .5)."""
    layers = [[[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]
    choice = run(layers)
    assert choice.layers == pytest.approx(np.array([[0.2, 0.8], [0.5, 0.5]]))
    assert direction(layers, choice) == pytest.approx([0.4, 0.8, 0.5, 0.5])
    # what the log shows: (.2 * 4 + .5 * 1) / 5, (.8 * 1 + .5 * 1) / 2; simplex by shares 5 and 2 of the squares
    assert choice.weights == pytest.approx([0.26, 0.65])
    assert choice.simplex == pytest.approx([2 / 7, 5 / 7])
    assert choice.norm == pytest.approx(1.3**0.5)
    assert choice.aligned == pytest.approx([1.3 / (5 * 1.3) ** 0.5, 1.3 / (2 * 1.3) ** 0.5])
    assert choice.status is Status.CONVERGED


def test_the_logged_weight_is_the_multiple_of_the_row_closest_to_its_part():
    layers = [np.random.default_rng(k).standard_normal((2, 5)) for k in range(3)]
    choice = run(layers)
    for i in range(2):
        row = np.concatenate([rows[i] for rows in layers])
        part = np.concatenate([w[i] * rows[i] for rows, w in zip(layers, choice.layers, strict=True)])
        assert choice.weights[i] == pytest.approx(row @ part / (row @ row))


@pytest.mark.parametrize("settings", [PLAIN, Direction(), Direction(paper=True)])
@pytest.mark.parametrize("name", [n for n in SOLVERS if "gram" in SOLVERS[n]().needs and not SOLVERS[n]().carries])
def test_one_layer_is_the_global_choice(name, settings):
    rows, losses = np.random.default_rng(1).standard_normal((3, 7)), np.array([0.5, 1.0, 1.0])
    solver, objectives = SOLVERS[name](), mollm().objectives
    torch.manual_seed(0)  # pcgrad and gradvac draw the order in which they project
    found = run([rows], solver, settings, losses, mollm())
    torch.manual_seed(0)
    live = Liveness.of(objectives, solver, settings).live(np.linalg.norm(rows, axis=1), losses, 0.9)
    expected = choose(rows @ rows.T, losses, live, solver, settings, {})
    assert found.layers[0] == pytest.approx(expected.weights, rel=1e-12)
    assert found.weights == pytest.approx(expected.weights, rel=1e-12)
    assert found.aligned == pytest.approx(expected.aligned, rel=1e-12)
    assert found.norm == pytest.approx(expected.norm)
    assert found.status is expected.status
    assert (found.simplex is None) == (expected.simplex is None)
    if expected.simplex is not None:
        assert found.simplex == pytest.approx(expected.simplex)


@pytest.mark.parametrize("seed", range(5))
def test_every_live_row_descends_in_every_layer(seed):
    layers = [np.random.default_rng(seed * 9 + k).standard_normal((3, 4)) for k in range(4)]
    choice = run(layers, settings=Direction(forget_target=None), losses=[0.5, 1, 1], loss=mollm())
    for rows, weights in zip(layers, choice.layers, strict=True):
        assert (rows @ (rows.T @ weights) > 0).all()
    assert (choice.aligned > 0).all()


def test_liveness_is_decided_on_the_whole():
    """KL within its budget rests in both layers; a row that is short in one layer only is live in both."""
    layers = [[[1e-6, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]
    choice = run(layers, settings=Direction(forget_target=None), losses=[0.5, 1.0, 0.0], loss=mollm())
    assert choice.live.tolist() == [True, True, False]
    assert (choice.layers[:, 2] == 0).all()
    assert (choice.layers[:, :2] > 0).all()
    resting = run(layers, settings=Direction(), losses=[0.5, 1.0, 0.0], loss=mollm(), probability=0.1, target=0.2)
    assert resting.live.tolist() == [False, True, False]


def test_a_layer_that_a_live_row_does_not_reach_is_left_to_the_others():
    """Without this a zero row would be its layer's min-norm point, and nothing would move there."""
    layers = [[[0.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    choice = run(layers)
    assert choice.layers == pytest.approx(np.array([[0.0, 1.0], [0.5, 0.5], [0.0, 0.0]]))
    assert choice.status in (Status.CONVERGED, Status.SINGLE)
    assert run([layers[2]]).status is Status.RESTING


def test_a_stationary_layer_stands_still_while_another_moves():
    layers = [[[1.0, 0.0], [-1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]]
    choice = run(layers)
    assert direction(layers, choice)[:2] == pytest.approx([0.0, 0.0])
    assert (choice.aligned > 0).all()
    assert choice.status is Status.CONVERGED
    assert run(layers[:1] * 2).status is Status.STATIONARY


class Ascending(DualSpaceMGDA):
    """It follows the first row, whatever the others say."""

    def solve(self, gram, losses, live, state):
        return Solution(np.eye(len(gram))[0], Status.CONVERGED)


def test_an_objective_that_is_raised_on_the_whole_is_reported():
    against = [[1.0, 0.0], [-1.0, 0.5]]
    assert run([against, [[0.1, 0.0], [0.1, 0.0]]], Ascending()).status is Status.ASCENDS
    assert run([against, [[3.0, 0.0], [3.0, 0.0]]], Ascending()).status is Status.CONVERGED  # elsewhere it falls more


class Remembering(DualSpaceMGDA):
    """It counts in its state."""

    def solve(self, gram, losses, live, state):
        answer = super().solve(gram, losses, live, state)
        return Solution(answer.weights, answer.status, answer.simplex, {"asked": state.get("asked", 0) + gram[0, 0]})


def test_what_a_solver_remembers_is_kept_per_layer():
    layers = [[[1.0], [1.0]], [[2.0], [1.0]]]
    first = run(layers, Remembering())
    assert first.state == {"layer.0:asked": 1.0, "layer.1:asked": 4.0}
    assert run(layers, Remembering(), state=dict(first.state)).state == {"layer.0:asked": 2.0, "layer.1:asked": 8.0}


def test_a_carried_row_is_combined_per_layer():
    layers = [np.random.default_rng(k).standard_normal((3, 4)) for k in range(2)]
    choice = run(layers, ProjectedForget())
    assert choice.carried.shape == (1, 2, 3)
    for k, rows in enumerate(layers):
        alone = run([rows], ProjectedForget())
        assert choice.carried[0, k] == pytest.approx(alone.carried[0, 0])
