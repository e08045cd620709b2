"""The settings of the direction (direction.*), which all solvers that read the Gram matrix share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mollm_cli.core.solution import Solver

Storage = Literal["same", "bfloat16", "host"]
"""The ways to keep the objectives' gradients: as they come, in half the bytes, or in pinned memory of the host."""


@dataclass(frozen=True, slots=True)
class Direction:
    """The preparation of a programme's rows, and the use of its direction; conf/direction builds it. Raises ValueError.

    paper: the literal reading: every row takes part, no budget, no target, no guard. Freezes at step 0, over-forgets.
    normalise: "mean" scales live rows to their mean norm, so that the smallest gradient does not decide everything.
    rescale: whether the direction gets the mean norm of the live rows.
    live_threshold: the share of the longest row's norm below which a row is not live.
    kl_budget: nats per token within which a KL is not live; "auto": as many as the solver asks for.
    forget_target: the forget probability in (0, 1) at which forget objectives rest; they come back above it. "auto":
        the starting model's probability on ``holdout`` rows, else the oracle's, else the starting model's on
        counterfactual rows (data/counterfactual.py); null: never.
    metric: of the programme's Gram matrix. "adam": the optimizer's own, of this very step (optimizers/adam.py).
    guard: whether the optimizer's step is corrected where it would raise a live objective of its batch, to first order.
    verify: whether the losses of the batch are evaluated after the step too, for one forward pass per role.
    scope: "layer" solves one programme per layer (gradients/layers.py) from that layer's Gram matrix, so that in each
        layer every live objective descends or nothing moves. Who is live is decided on the whole.
    gram: "exact" keeps one gradient per objective.
        "sketch" makes no gradient but ``sketch_buckets`` sums of each (gradients/matrix_sketch.py), then sends one
        weighted sum backward (engine/sketch_step.py). Without gradients nothing is corrected.
        "factors" has the same sums and keeps the factors of the weighted gradient, which saves a backward pass.
    rows: how "exact" keeps the gradients.
    retain: "descend": cross-entropy on retain rows is lowered, and teaches. "hold": an objective that knows what the
        starting model has (retain cross-entropy, any KL) is live only above its bound; with ``guard`` it falls there
        by a rate, whatever the other rows say (gradients/descent.py). "auto": what the solver asks for.
    hold_margin: the share of the starting model's loss by which a held cross-entropy may be above it and want nothing.
    hold_steps: in so many steps what is above a bound is to be gone: each lowers it by that share, to first order.
    refresh_every: k >= 1. The programme is solved on every k-th step; the others use its weights, for one backward
        pass per role.
    """

    paper: bool = False
    normalise: Literal["none", "mean"] = "mean"
    rescale: bool = True
    live_threshold: float = 1e-3
    kl_budget: float | Literal["auto"] = "auto"
    forget_target: float | Literal["auto"] | None = "auto"
    metric: Literal["euclidean", "adam"] = "euclidean"
    guard: bool = True
    verify: bool = False
    scope: Literal["global", "layer"] = "global"
    gram: Literal["exact", "sketch", "factors"] = "exact"
    sketch_buckets: int = 65_536
    rows: Storage = "same"
    refresh_every: int = 1
    retain: Literal["auto", "hold", "descend"] = "descend"
    hold_margin: float = 0.02
    hold_steps: int = 4

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        if not 0 <= self.live_threshold < 1:
            raise ValueError(f"direction.live_threshold must be in [0, 1), found {self.live_threshold}")
        if self.kl_budget != "auto" and not self.kl_budget >= 0:
            raise ValueError(f"direction.kl_budget must be >= 0 nats per token, or auto, found {self.kl_budget}")
        if not self.hold_margin >= 0:
            raise ValueError(f"direction.hold_margin must be a share >= 0 of that loss, found {self.hold_margin}")
        if isinstance(self.forget_target, (int, float)) and not 0 < self.forget_target < 1:
            raise ValueError(
                f"direction.forget_target is a probability in (0, 1), or auto, or null; found {self.forget_target}"
            )
        for key in ("sketch_buckets", "refresh_every", "hold_steps"):
            if getattr(self, key) < 1:
                raise ValueError(f"direction.{key} must be >= 1, found {getattr(self, key)}")
        for what, needed in (
            ("direction.scope=layer", self.scope == "layer"),
            ("direction.metric=adam", self.metric == "adam"),
        ):
            if needed:
                self.require_rows(what)
        if self.gram != "exact" and self.rows != "same":
            raise ValueError(
                f"direction.rows={self.rows} says how gradients are kept, and direction.gram={self.gram} keeps none; "
                "set direction.rows=same, or direction.gram=exact"
            )

    def budget(self, solver: Solver) -> float:
        """Nats per token within which a KL is not live, under ``solver``."""
        return solver.kl_budget if self.kl_budget == "auto" else self.kl_budget

    def holds(self, solver: Solver) -> bool:
        """True where objectives that know their start are held there, under ``solver``."""
        asked = getattr(solver, "holds", False) if self.retain == "auto" else self.retain == "hold"
        return asked and not self.paper and "gram" in solver.needs

    def require_rows(self, what: str) -> None:
        """Raise ValueError where ``what``, which works on every step's gradients, would not get them."""
        if self.gram != "exact":
            raise ValueError(
                f"{what} works on the objectives' gradients, found direction.gram={self.gram}, which keeps none; "
                "set direction.gram=exact"
            )
        if self.refresh_every > 1:
            raise ValueError(
                f"{what} works on the objectives' gradients of every step, found direction.refresh_every="
                f"{self.refresh_every}; set direction.refresh_every=1"
            )

    def check_carries(self, solver: str, carries: Sequence[str]) -> None:
        """Raise ValueError where ``solver`` keeps a row that is made of gradients, and there are none."""
        if carries:
            self.require_rows(f"solver {solver} with its {', '.join(carries)}")
