"""The adapter against TorchJD's own aggregators on the rows themselves, and each weighting's programme."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torchjd import aggregation as jd

from mollm_cli.core.solution import Status
from mollm_cli.solvers import torchjd
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.torchjd import WEIGHTINGS, TorchJD
from tests.support.grams import along, gradients, objectives, solved
from tests.support.solvers import NUMBERS

AGGREGATORS = {
    "pcgrad": jd.PCGrad,
    "gradvac": jd.GradVac,
    "imtl_g": jd.IMTLG,
    "aligned_mtl": jd.AlignedMTL,
    "upgrad": jd.UPGrad,
    "dualproj": jd.DualProj,
    "fairgrad": lambda: jd.FairGrad(alpha=1.0),
}


def adapter(name):
    return TorchJD(name, NUMBERS.get(name))


@pytest.mark.parametrize("name", AGGREGATORS)
@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_the_direction_is_that_of_the_aggregator_on_the_weighted_rows(name, m):
    c = [0.5, 1.0, 2.0, 1.5, 1.0][:m]
    for seed in range(4):
        g = gradients(seed, m, "random")
        torch.manual_seed(seed)
        expected = AGGREGATORS[name]()(torch.from_numpy(g * np.array(c)[:, None])).numpy()
        torch.manual_seed(seed)
        d = along(g, solved(adapter(name), g @ g.T, weights=c).weights)
        assert d == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)


def test_pcgrad_by_hand():
    # g_1 = (1, 0), g_2 = (-1, 1): each is projected off the other, (1/2, 1/2) and (0, 1)
    g = np.array([[1.0, 0.0], [-1.0, 1.0]])
    assert g.T @ solved(adapter("pcgrad"), g @ g.T).weights == pytest.approx([0.5, 1.5])


def test_imtl_g_has_equal_projections_on_unit_rows():
    g = gradients(0, 4, "random")
    unit = g / np.linalg.norm(g, axis=1, keepdims=True)
    along_each = unit @ (g.T @ solved(adapter("imtl_g"), g @ g.T).weights)
    assert along_each == pytest.approx(np.full(4, along_each[0]))


def test_fairgrad_is_the_fixed_point_of_its_equation():
    g = gradients(2, 3, "random")
    weights = solved(adapter("fairgrad"), g @ g.T).weights
    unit = (g @ g.T) / np.diag(g @ g.T).max()
    assert unit @ weights == pytest.approx(1 / weights, rel=1e-5)


def projected(g, row):
    """``row`` on the cone of the d with g_i . d >= 0: row + sum_i v_i g_i, v >= 0 of the smallest length."""
    return row + g.T @ nnls(g.T, -row)[0]


@pytest.mark.parametrize("m", range(2, 9))
def test_upgrad_and_dualproj_against_projections_of_the_vectors(m):
    """On unit rows, with preferences; TorchJD regularises the programme by 1e-4 of the trace, hence the tolerance."""
    for seed in range(5):
        g, c = gradients(seed, m, "random"), np.linspace(1, 2, m)
        g /= np.linalg.norm(g, axis=1, keepdims=True)
        each = [projected(g, row) for row in c[:, None] * g]
        for name, expected in (("upgrad", np.mean(each, axis=0)), ("dualproj", projected(g, c @ g / m))):
            d = g.T @ solved(adapter(name), g @ g.T, weights=list(c)).weights
            assert d == pytest.approx(expected, abs=2e-2)
            assert (g @ d >= -1e-2).all()


@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 5), marks=pytest.mark.slow)])
@pytest.mark.parametrize("m", range(2, 7))
def test_our_min_norm_point_is_theirs(m, seeds):
    for seed in seeds:
        g = gradients(seed, m, "random")
        gram = g @ g.T
        theirs = jd.MGDAWeighting(epsilon=1e-9, max_iters=3_000)(torch.from_numpy(gram)).numpy()
        ours = solved(DualSpaceMGDA(), gram).weights
        value, other = ours @ gram @ ours, theirs @ gram @ theirs
        assert value <= other + 1e-12 and other <= value + 1e-2 * np.diag(gram).mean()


def test_gradvac_remembers_its_cosines_in_the_state_alone():
    """One object kept over steps, as TorchJD has it, and a new one at each step with our state: the same weights."""
    theirs, state = jd.GradVacWeighting(beta=0.5), {}
    for seed in range(4):
        g = gradients(seed, 3, "random")
        gram = (g @ g.T) / np.diag(g @ g.T).max()
        torch.manual_seed(seed)
        expected = theirs(torch.from_numpy(gram)).numpy()
        torch.manual_seed(seed)
        answer = solved(adapter("gradvac"), gram, state=state)
        assert answer.weights == pytest.approx(expected)
        assert all(isinstance(value, float) for value in answer.state.values())
        state |= answer.state
    assert len(state) == 6


def test_a_weighting_that_finds_nothing_is_degenerate(monkeypatch):
    def fails(gram):
        raise ValueError("no solution")

    monkeypatch.setattr(TorchJD, "_weighting", lambda self, m: fails)
    answer = solved(adapter("upgrad"), np.eye(2))
    assert (answer.status, answer.weights.tolist()) == (Status.DEGENERATE, [0.0, 0.0])
    monkeypatch.setattr(TorchJD, "_weighting", lambda self, m: lambda gram: gram[0] * float("nan"))
    assert solved(adapter("upgrad"), np.eye(2)).status is Status.DEGENERATE


@pytest.mark.parametrize(
    ("missing", "name", "message"),
    [
        (
            "torchjd",
            "pcgrad",
            r"solver pcgrad needs torchjd, found no torchjd installed; run pip .*unlearn\[torchjd\]'",
        ),
        (
            "quadprog",
            "upgrad",
            r"needs torchjd, qpsolvers, quadprog, found no quadprog .*\[torchjd\]', or choose another",
        ),
        ("cvxpy", "cagrad", r"found no cvxpy.*\[torchjd-cvxpy\]'"),
        ("ecos", "nash_mtl", r"no ecos installed.*\[torchjd-cvxpy\]'"),
    ],
)
def test_a_package_that_is_not_there_is_named_with_its_remedy(missing, name, message, monkeypatch):
    monkeypatch.setattr(torchjd, "find_spec", lambda module: None if module == missing else module)
    with pytest.raises(ValueError, match=message):
        adapter(name).bind(objectives(1.0, 1.0))


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("pcgard", None, "solver.name must be a weighting of TorchJD, found 'pcgard'; did you mean 'pcgrad'"),
        ("pcgrad", 1.0, "solver.number must be null for pcgrad, which takes none; found 1.0"),
        ("gradvac", None, r"solver.number, the beta of gradvac, must be in \[0.0, 1.0\], found None"),
        ("gradvac", 1.5, r"beta of gradvac, must be in \[0.0, 1.0\], found 1.5"),
        ("fairgrad", -1.0, r"alpha of fairgrad, must be in \[0.0, inf\], found -1.0"),
        ("cagrad", float("nan"), "the c of cagrad, must be in"),
    ],
)
def test_what_cannot_be_is_refused(name, number, message):
    with pytest.raises(ValueError, match=message):
        TorchJD(name, number)


def test_rows_are_found_from_a_matrix_that_rounding_made_indefinite():
    """For the weighting that wants rows; the other one needs a package that may not be there."""
    g = gradients(0, 4, "rank1")
    gram = torch.as_tensor(g @ g.T) - 1e-9 * torch.eye(4, dtype=torch.float64)
    rows = torchjd._root(gram)
    assert (rows @ rows.T).numpy() == pytest.approx(g @ g.T, abs=1e-8)


@pytest.mark.parametrize("name", sorted(name for name in WEIGHTINGS if "cvxpy" in WEIGHTINGS[name].needs))
def test_those_that_need_cvxpy(name):
    """Two unit rows: both give the bisector. Three: no row rises."""
    for module in WEIGHTINGS[name].needs:
        pytest.importorskip(module)
    solver = adapter(name)
    g = np.array([[1.0, 0.0], [-0.6, 0.8]])
    assert along(g, solved(solver, g @ g.T).weights) == pytest.approx((g[0] + g[1]) / 0.8**0.5, abs=1e-3)
    g = gradients(5, 3, "random")
    d = along(g, solved(solver, g @ g.T).weights)
    assert (g @ d > 0).all() if name == "nash_mtl" else (g.mean(axis=0) @ d > 0)
