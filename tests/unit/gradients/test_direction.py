"""Everything around the programme: live rows, normalisation, rescaling, verification, and the traps of MOLLM."""

from __future__ import annotations

import numpy as np
import pytest

from mollm_cli.core.solution import Solution, Status
from mollm_cli.gradients.direction import choose, cosines, length_of
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.liveness import Liveness
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.mollm_pair import mollm_pair
from mollm_cli.losses.rmu import rmu
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum

OBJECTIVES = mollm(1, 1, 1).objectives  # forget, retain, KL, none preferred
FORGET, RETAIN, KL = np.array([1.0, 0.2, 0.0]), np.array([-0.3, 1.0, 0.1]), np.array([0.1, 0.5, 0.3])


def run(rows, settings=None, solver=None, losses=(0.5, 1.0, 1.0), probability=0.9, target=None):
    g = np.array(rows)
    solver = solver or DualSpaceMGDA()
    solver.bind(OBJECTIVES)
    settings = settings or Direction()
    norms, losses = np.linalg.norm(g, axis=1), np.array(losses)
    live = Liveness.of(OBJECTIVES, solver, settings, target).live(norms, losses, probability)
    return g, choose(g @ g.T, losses, live, solver, settings, {})


def test_trap_1_step_0_moves_though_the_kl_gradient_is_zero():
    g, choice = run([FORGET, RETAIN, 0 * KL], losses=(0.5, 1.0, 0.0))
    assert choice.live.tolist() == [True, True, False]
    assert choice.norm == pytest.approx(np.linalg.norm(g[:2], axis=1).mean())
    assert (choice.aligned[:2] > 0).all()
    assert np.isfinite(choice.weights).all()


def test_trap_1_paper_mode_freezes_there():
    g, choice = run([FORGET, RETAIN, 0 * KL], Direction(paper=True), losses=(0.5, 1.0, 0.0))
    assert choice.weights == pytest.approx([0, 0, choice.weights[2]])
    assert np.linalg.norm(g.T @ choice.weights) == 0
    assert choice.status is Status.STATIONARY


def test_trap_1_rounding_noise_in_kl_is_not_live_for_any_solver():
    for solver in (DualSpaceMGDA(), NormalizedSum()):
        _, choice = run(
            [FORGET, RETAIN, 0.5 * KL], losses=(0.5, 1.0, 1e-9), solver=solver
        )  # bf16: a large noise gradient
        assert not choice.live[2]


def test_trap_2_kl_within_its_budget_does_not_oppose():
    assert not run([FORGET, RETAIN, KL], losses=(0.5, 1.0, 0.019))[1].live[2]
    assert run([FORGET, RETAIN, KL], losses=(0.5, 1.0, 0.021))[1].live[2]
    assert run([FORGET, RETAIN, KL], Direction(kl_budget=0.0), losses=(0.5, 1.0, 0.001))[1].live[2]
    # a sum of unit rows needs no budget: KL is live from the first real value on
    assert run([FORGET, RETAIN, KL], solver=NormalizedSum(), losses=(0.5, 1.0, 0.001))[1].live[2]


def test_the_budget_is_in_nats_of_kl_and_holds_nothing_else():
    """Cross-entropy and KL as one objective, or a distance of hidden states, compare with the reference too."""
    for loss in (mollm_pair(), rmu()):
        norms, losses = np.ones(2), np.array([0.5, 1e-3])
        assert Liveness(loss.objectives, budget=0.02).live(norms, losses, 0.9).tolist() == [True, True]


def test_trap_3_the_smallest_gradient_does_not_decide():
    tiny = 1e-2
    _, plain = run([FORGET, tiny * RETAIN, 0 * KL], Direction(normalise="none"), losses=(0.5, 1, 0))
    _, mean = run([FORGET, tiny * RETAIN, 0 * KL], losses=(0.5, 1, 0))
    assert plain.aligned[0] < 0.2 * plain.aligned[1]  # min-norm of raw rows follows the short one
    assert mean.aligned[0] == pytest.approx(mean.aligned[1], rel=1e-6)


def test_trap_4_forgetting_rests_at_its_target_and_comes_back():
    rows = [FORGET, RETAIN, KL]
    assert run(rows, probability=0.31, target=0.3)[1].live[0]
    resting = run(rows, probability=0.30, target=0.3)[1]
    assert not resting.live[0]
    assert resting.weights[0] == 0
    assert run(rows, probability=0.30, target=None)[1].live[0]
    assert run(rows, Direction(paper=True), probability=0.0, target=0.3)[1].live[0]


def test_weights_belong_to_raw_rows_and_the_direction_has_the_mean_norm_of_live_rows():
    g, choice = run([10 * FORGET, RETAIN, 0 * KL], losses=(0.5, 1, 0))
    d = g.T @ choice.weights
    assert np.linalg.norm(d) == pytest.approx(np.linalg.norm(g[:2], axis=1).mean())
    assert choice.simplex.sum() == pytest.approx(1)
    assert choice.aligned == pytest.approx(
        [g[i] @ d / np.linalg.norm(g[i]) / np.linalg.norm(d) if g[i].any() else 0 for i in range(3)]
    )


def test_no_rescaling_on_request():
    g, choice = run([FORGET, RETAIN, 0 * KL], Direction(rescale=False, normalise="none"), losses=(0.5, 1, 0))
    assert choice.weights.sum() == pytest.approx(1)
    assert choice.norm == pytest.approx(np.linalg.norm(g.T @ choice.weights))


def test_opposite_rows_are_stationary_and_not_blown_up():
    _, choice = run([FORGET, -FORGET, 0 * KL], losses=(0.5, 1, 0))
    assert choice.status is Status.STATIONARY
    assert choice.norm < 1e-6


class Said(DualSpaceMGDA):
    """A solver that says what it is told to say."""

    def __init__(self, weights, status):
        super().__init__()
        self.answer = Solution(np.array(weights), status)

    def solve(self, gram, losses, live, state):
        return self.answer


@pytest.mark.parametrize(
    ("weights", "status", "expected", "length"),
    [
        ([5e-4, 5e-4, 0], Status.CONVERGED, Status.CONVERGED, 1.0),
        ([5e-4, 5e-4, 0], Status.STATIONARY, Status.STATIONARY, 2.236e-5),  # left as short as it is
        ([1e-3, 1e-2, 0], Status.CONVERGED, Status.ASCENDS, 1.0),
        ([1e-3, 1e-2, 0], Status.STATIONARY, Status.STATIONARY, 9e-3),  # what is left of it is rounding
    ],
)
def test_a_stationary_direction_is_neither_lengthened_nor_said_to_ascend(weights, status, expected, length):
    """Two rows of length 1, almost opposite: what lowers the second raises the first."""
    east, west = np.array([1.0, 0.0]), np.array([-0.999, (1 - 0.999**2) ** 0.5])
    g, choice = run([east, west, 0 * east], Direction(normalise="none"), Said(weights, status), losses=(0.5, 1, 0))
    assert choice.status is expected
    assert choice.norm == pytest.approx(length, rel=1e-2)
    assert np.linalg.norm(g.T @ choice.weights) == pytest.approx(choice.norm)


@pytest.mark.parametrize(
    ("left", "length"),
    [(1.0, 1.0), (4e-3, 4e-3**0.5), (2e-3, None), (0.0, None), (-1e-9, None), (np.nan, None), (np.inf, None)],
)
def test_a_length_is_known_where_the_terms_of_its_square_do_not_cancel(left, length):
    """1 - 2 x (2 - left) / 2 + 1 = left, of terms that sum to 4 - left without their signs: 1e-3 of that is 4e-3."""
    gram = np.array([[1.0, 1 - left / 2], [1 - left / 2, 1.0]])
    weights = np.array([[1.0, -1.0]])
    assert length_of(gram[None], weights) == (None if length is None else pytest.approx(length))
    if length is not None:  # squares add up over layers, weights and all
        assert length_of(np.stack([gram, 4 * gram]), np.concatenate([weights, 3 * weights])) == pytest.approx(
            37**0.5 * length
        )


def test_a_direction_that_ascends_is_reported():
    rows = [np.array([1.0, 0.0]), np.array([-0.9, 0.1]), np.array([-0.9, 0.12])]
    assert run(rows, solver=NormalizedSum())[1].status is Status.ASCENDS
    assert run(rows)[1].status is not Status.ASCENDS


def test_nothing_live_rests():
    _, choice = run([0 * FORGET, 0 * RETAIN, 0 * KL])
    assert choice.status is Status.RESTING
    assert choice.weights.tolist() == [0, 0, 0]


def test_live_threshold_is_relative():
    norms = np.array([1.0, 1e-4, 1.0])
    live = Liveness(OBJECTIVES).live(norms, np.ones(3), None)
    assert live.tolist() == [True, False, True]
    assert Liveness(OBJECTIVES).live(norms * 1e-12, np.ones(3), None).tolist() == live.tolist()


def test_live_threshold_is_relative_to_those_that_do_not_rest():
    """A row that rests is not measured between logged steps, so that its length must change nothing."""
    norms = np.array([1.0, 1e-4, 1e9])
    live = Liveness(OBJECTIVES, budget=0.02).live(norms, np.array([1.0, 1.0, 0.01]), None)
    assert live.tolist() == [True, False, False]


def test_resting_is_known_without_gradients():
    def rests(losses, probability=0.9, target=None, **settings):
        rule = Liveness(OBJECTIVES, budget=0.02, target=target, **settings)
        return rule.resting(np.array(losses), probability).tolist()

    assert rests([1.0, 1.0, 0.02]) == [False, False, True]
    assert rests([1.0, 1.0, 0.03]) == [False, False, False]
    assert rests([1.0, 1.0, np.nan]) == [False, False, False]
    assert rests([1.0, 1.0, 1.0], 0.2, 0.2) == [True, False, False]
    assert rests([1.0, 1.0, 0.0], 0.2, 0.2, paper=True) == [False, False, False]


def test_cosines():
    g = 1e-3 * np.array([FORGET, 2 * RETAIN, 0 * KL])
    c = cosines(g @ g.T)
    assert c[0, 1] == pytest.approx(FORGET @ RETAIN / np.linalg.norm(FORGET) / np.linalg.norm(RETAIN))
    assert c[2].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("live_threshold", 1.0, "direction.live_threshold must be in"),
        ("kl_budget", -0.1, "direction.kl_budget must be >= 0"),
        ("forget_target", 1.5, r"direction.forget_target is a probability in \(0, 1\)"),
        ("forget_target", 0.0, "direction.forget_target is a probability"),
        ("sketch_buckets", 0, "direction.sketch_buckets must be >= 1, found 0"),
        ("refresh_every", 0, "direction.refresh_every must be >= 1, found 0"),
    ],
)
def test_settings_refuse_what_cannot_be(key, value, message):
    with pytest.raises(ValueError, match=message):
        Direction(**{key: value})


@pytest.mark.parametrize("key", [{"scope": "layer"}, {"metric": "adam"}])
def test_what_works_on_gradients_refuses_settings_that_keep_none(key):
    (name, value), *_ = key.items()
    with pytest.raises(ValueError, match=rf"direction.{name}={value} works on the objectives' gradients, found direct"):
        Direction(**key, gram="sketch")
    with pytest.raises(
        ValueError, match=rf"direction.{name}={value} .*every step, found direction.refresh_every=2; set"
    ):
        Direction(**key, refresh_every=2)


def test_a_way_of_keeping_gradients_is_refused_where_none_is_kept():
    with pytest.raises(ValueError, match=r"direction.rows=host says how gradients are kept, and direction.gram=sketch"):
        Direction(gram="sketch", rows="host")


@pytest.mark.parametrize("key", [{"gram": "sketch"}, {"refresh_every": 2}])
def test_solvers_that_carry_gradients_are_named(key):
    Direction(**key).check_carries("dual_space_mgda", ())
    Direction().check_carries("projected_forget", ("average",))
    with pytest.raises(ValueError, match=r"solver projected_forget with its average works on .*; set direction\."):
        Direction(**key).check_carries("projected_forget", ("average",))
