"""Nothing to forget: forget rows that score at or below the target before the first step.

A model that never learned the rows comes out of any run looking as if it had forgotten them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from mollm_cli.core.errors import NothingToForgetError
from mollm_cli.core.types import COUNTERFACTUAL

OF = {
    "holdout": "what the starting model scores on data.holdout",
    COUNTERFACTUAL: "what the starting model scores on the same rows with other names and numbers",
    "oracle": "what the oracle scores",
    "said": "direction.forget_target",
}
"""The origin of a target, in words."""


class ForgetTarget(NamedTuple):
    """The forget probability at which forgetting rests, and a key of OF."""

    probability: float
    of: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of the forget rows before the first step: their mean probability, the target, and whose that is."""

    forget_probability: float
    target: float
    of: str

    @property
    def nothing(self) -> bool:
        """True where there is nothing to forget."""
        return self.forget_probability <= self.target

    @property
    def text(self) -> str:
        """The finding in words."""
        return (
            f"nothing to forget: before the first step the forget rows score {self.forget_probability:.4g}, at or "
            f"below the target {self.target:.4g} ({self.of})"
        )


def standing(target: ForgetTarget | None, forget: Callable[[], float], scored: Mapping[str, float]) -> Standing | None:
    """The forget rows held against the forget target, or where there is none against the oracle; None without either.

    target: the forget target as it was found. forget: scores every forget row with the model as it is.
    scored: the forget probability before and of the oracle, on the rows of the evaluation.
    """
    if target is not None:
        return Standing(forget(), target.probability, OF[target.of])
    if not {"before", "oracle"} <= scored.keys():
        return None
    return Standing(scored["before"], scored["oracle"], OF["oracle"])


def require_something(
    found: Standing | None, force: bool, tell: Callable[[str], None], note: Callable[..., Any]
) -> None:
    """Refuse a run that has nothing to forget, unless it is forced; either way it is told and noted in the manifest."""
    if found is None or not found.nothing:
        return
    note(nothing_to_forget=asdict(found))
    if force:
        tell(f"warning: {found.text}; the run goes on all the same")
        return
    raise NothingToForgetError(
        f"the forget rows must score above the target before the first step, found {found.text}. "
        "Check that model.path is the model that has learned them, or set force=true to go on all the same"
    )
