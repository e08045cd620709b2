"""TorchJD's weightings on our Gram matrix: the gradient surgery and bargaining methods that others compare with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.errors import nearest
from mollm_cli.core.solution import KL_ROOM, Array, Solution, State, Status
from mollm_cli.core.types import Objective
from mollm_cli.solvers.cancelling import cancels

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Weighting:
    """A weighting of TorchJD.

    needs: the modules that it imports.
    extra: the extra of ours that brings them.
    number: name, least and most of the one number that it takes.
    """

    needs: tuple[str, ...] = ("torchjd",)
    extra: str = "torchjd"
    number: tuple[str, float, float] | None = None


_QUADPROG = Weighting(("torchjd", "qpsolvers", "quadprog"))
WEIGHTINGS = {
    "pcgrad": Weighting(),
    "gradvac": Weighting(number=("beta", 0.0, 1.0)),
    "imtl_g": Weighting(),
    "aligned_mtl": Weighting(),
    "upgrad": _QUADPROG,
    "dualproj": _QUADPROG,
    "fairgrad": Weighting(("torchjd", "scipy"), number=("alpha", 0.0, np.inf)),
    "cagrad": Weighting(("torchjd", "cvxpy", "clarabel"), "torchjd-cvxpy", ("c", 0.0, np.inf)),
    "nash_mtl": Weighting(("torchjd", "cvxpy", "ecos"), "torchjd-cvxpy"),
}
PHI = "gradvac.{row}.{other}"
"""GradVac's running cosine of two objectives, in the solver's state."""


class TorchJD:
    """d = sum_i w_i c_i g_i, w the weights that TorchJD's ``name`` finds for the rows c_i g_i, c_i the preference.

    name: one of WEIGHTINGS; its source is in the head of conf/solver/NAME.yaml.
    number: the one that the weighting takes (beta of gradvac, alpha of fairgrad, c of cagrad); None for the others.

    Rows that are not live or are zero are left out; the longest of the rest is given as 1, because tolerances inside
    are absolute. The method alone decides whether an objective may rise: the status says ``ascends`` where one does.
    imtl_g, nash_mtl and fairgrad with alpha 1 do not see the lengths of rows, so a preference changes nothing there.
    nash_mtl starts its iteration afresh at every step, where TorchJD's starts from the step before. pcgrad and gradvac
    draw the order of rows from torch's generator, which the resume point holds. Raises ValueError.
    """

    needs: frozenset[str] = frozenset({"gram"})
    carries: tuple[str, ...] = ()
    kl_budget = KL_ROOM

    def __init__(self, name: str, number: float | None = None) -> None:
        if name not in WEIGHTINGS:
            raise ValueError(f"solver.name must be a weighting of TorchJD, found '{name}'; {nearest(name, WEIGHTINGS)}")
        _check_number(name, number)
        self.name, self.number = name, 0.0 if number is None else number  # 0: nobody reads it
        self.objectives: tuple[Objective, ...] = ()

    def bind(self, objectives: Sequence[Objective]) -> None:
        """Take the preferences. Raises ValueError where a package is missing."""
        weighting = WEIGHTINGS[self.name]
        missing = [module for module in weighting.needs if find_spec(module) is None]
        if missing:
            raise ValueError(
                f"solver {self.name} needs {', '.join(weighting.needs)}, found no {' and no '.join(missing)} "
                f"installed; run pip install 'mollm-unlearn[{weighting.extra}]', or choose another solver"
            )
        self.objectives = tuple(objectives)

    def solve(self, gram: Array, losses: Array, live: NDArray[np.bool_], state: State) -> Solution:
        """Weights [m]; ``degenerate`` and all zero where the weighting found none."""
        weights = np.zeros(len(gram))
        rows = np.flatnonzero(live & (np.diag(gram) > 0))
        if len(rows) == 0:
            return Solution(weights, Status.RESTING)
        preference = np.array([self.objectives[i].weight for i in rows])
        if len(rows) == 1:
            weights[rows] = preference
            return Solution(weights, Status.SINGLE)
        asked = gram[np.ix_(rows, rows)] * np.outer(preference, preference)
        names = [self.objectives[i].name for i in rows]
        found, kept = self._weights((asked + asked.T) / (2 * np.diag(asked).max()), names, state)
        if found is None or not np.isfinite(found).all():
            return Solution(weights, Status.DEGENERATE)
        weights[rows] = found * preference
        if cancels(gram, weights):
            return Solution(weights, Status.STATIONARY, state=kept)
        return Solution(weights, Status.CONVERGED, state=kept)

    def _weights(self, gram: Array, names: Sequence[str], state: State) -> tuple[Array | None, dict[str, float]]:
        """The weights for ``gram``, whose largest entry is 1, and the numbers to remember; None without weights."""
        import torch

        asked = torch.from_numpy(gram)
        if self.name == "gradvac":
            return _gradvac(asked, names, state, self.number)
        try:
            # fairgrad takes powers of weights close to 0; cvxpy warns of how nash_mtl's problem is written
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found: Array = self._weighting(len(gram))(_root(asked) if self.name == "nash_mtl" else asked).numpy()
        except ValueError:  # the quadratic programme has no solution to its tolerance
            return None, {}
        return found, {}

    def _weighting(self, m: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """Make a new weighting of ``m`` rows."""
        from torchjd import aggregation as jd

        known: dict[str, Callable[[], Callable[[torch.Tensor], torch.Tensor]]] = {
            "pcgrad": jd.PCGradWeighting,
            "imtl_g": jd.IMTLGWeighting,
            "aligned_mtl": jd.AlignedMTLWeighting,
            "upgrad": jd.UPGradWeighting,
            "dualproj": jd.DualProjWeighting,
            "fairgrad": lambda: jd.FairGradWeighting(alpha=self.number),
            "cagrad": lambda: jd.CAGradWeighting(c=self.number),
            "nash_mtl": lambda: jd.NashMTL(m).weighting,
        }
        return known[self.name]()


def _check_number(name: str, number: float | None) -> None:
    """Refuse a number where none is taken, a missing one where one is, and one out of its range."""
    wanted = WEIGHTINGS[name].number
    if wanted is None and number is not None:
        raise ValueError(f"solver.number must be null for {name}, which takes none; found {number}")
    if wanted is not None:
        word, least, most = wanted
        if number is None or not least <= number <= most:
            raise ValueError(f"solver.number, the {word} of {name}, must be in [{least}, {most}], found {number}")


def _gradvac(gram: torch.Tensor, names: Sequence[str], state: State, beta: float) -> tuple[Array, dict[str, float]]:
    """GradVac, its running cosines taken from ``state`` and given back: the object itself lives for one step."""
    from torchjd.aggregation import GradVacWeighting

    keys = [[PHI.format(row=row, other=other) for other in names] for row in names]
    weighting = GradVacWeighting(beta=beta)
    weighting.register_buffer("_phi_t", gram.new_tensor([[state.get(key, 0.0) for key in row] for row in keys]))
    weighting._state_key = (len(names), gram.dtype)
    found: Array = weighting(gram).numpy()
    phi = weighting.get_buffer("_phi_t").tolist()
    return found, {key: phi[i][j] for i, row in enumerate(keys) for j, key in enumerate(row) if i != j}


def _root(gram: torch.Tensor) -> torch.Tensor:
    """J [m, m] with J J' = gram, for a weighting that wants rows."""
    import torch

    values, vectors = torch.linalg.eigh(gram)
    root: torch.Tensor = vectors * values.clamp(min=0.0).sqrt()
    return root
