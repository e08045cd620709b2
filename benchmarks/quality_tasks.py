"""What is compared, on what: the tasks of benchmarks/quality.py and the contenders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parents[2] / "shared"
FACTORS = (0.3, 1.0, 3.0)
"""What the task's learning rate is multiplied by on the tuning seed: three tries for everybody."""
TUNING_SEED = 0
UNRELATED = (
    "A stone bridge crosses the river near the mill.",
    "The train leaves early and the platform is cold.",
    "Bread needs flour and water and some time.",
    "Most clouds in that picture are grey.",
    "The garden gate was painted twice last year.",
)
"""What ga_mismatch_kl teaches instead: sentences that answer no question about an author."""


@dataclass(frozen=True, slots=True)
class Task:
    """A model, what it is to forget, and where runs are compared.

    axes: column -> the value at or below which forgetting is matched; None: the oracle's. compared: the column that is
    to be kept; higher: whether more of it is better. every: steps between two looks; rows: of a set, in a look.
    looked: metrics of every look; once: metrics at the first look at or past the mark alone, because they cost more.
    """

    name: str
    overrides: tuple[str, ...]
    learning_rate: float
    axes: Mapping[str, float | None]
    compared: str
    higher: bool
    every: int
    rows: int
    sets: tuple[str, ...]
    looked: tuple[str, ...]
    once: tuple[str, ...]
    seeds: tuple[int, ...]
    fresh_seeds: tuple[int, ...] = (11, 12, 13, 14, 15)
    oracle: str | None = None

    @property
    def rates(self) -> tuple[float, ...]:
        """The three learning rates."""
        return tuple(float(f"{self.learning_rate * factor:.3g}") for factor in FACTORS)


@dataclass(frozen=True, slots=True)
class Contender:
    """A row of the table; ``loss`` names the file in conf/loss. needs: overrides by task, for what a loss asks.

    variant: another solver or setting of a loss that has its own row; asked for by name, and listed in its own table.
    """

    name: str
    loss: str
    overrides: tuple[str, ...] = ()
    needs: Mapping[str, tuple[str, ...]] | None = None
    variant: bool = False

    def typed(self, task: Task) -> tuple[str, ...] | None:
        """Its overrides on ``task``; None where it cannot be run there."""
        if self.needs is not None and task.name not in self.needs:
            return None
        return (f"loss={self.loss}", *self.overrides, *(self.needs or {}).get(task.name, ()))


def _like_questions(name: str, overrides: Sequence[str], oracle: str | None, **changed: Any) -> Task:
    settings: dict[str, Any] = {
        "learning_rate": 1e-4,
        "axes": {"forget_probability": None, "forget_extraction_strength": None},
        "compared": "retain_probability",
        "higher": True,
        "every": 2,
        "rows": 90,
        "sets": ("forget", "retain"),
        "looked": ("probability", "extraction_strength"),
        "once": ("truth_ratio", "truth_ratio_utility", "forget_quality"),
        "seeds": (1, 2, 3, 4, 5),
    }
    return Task(name, tuple(overrides), oracle=oracle, **(settings | changed))


def embedded() -> Task:
    """The embedded model and authors, against the embedded oracle.

    Where a direction solver rests is set below the oracle's 0.171: by default it is the starting model's 0.207 on
    holdout, and such a run would never come to the mark.
    """
    return _like_questions("embedded", ["engine.max_steps=400", "direction.forget_target=0.15"], "embedded:oracle")


def lily(shared: Path = SHARED) -> Task:
    """Stories that name Lily. There is no oracle: the marks are the experiment's target, on old and on new stories."""
    stories = shared / "data" / "tinystories" / "tinystories.jsonl"
    return Task(
        "lily",
        (
            "experiment=tinystories-lily",
            f"model.path={shared / 'models' / 'TinyStories-656K'}",
            f"data.forget.path={stories}",
        ),
        learning_rate=3e-4,
        axes={"forget_probability": 0.02, "forget_test_probability": 0.02},
        compared="retain_test_perplexity",
        higher=False,
        every=10,
        rows=64,
        sets=("forget", "forget_test", "retain_test"),
        looked=("probability", "perplexity"),
        once=(),
        seeds=(1, 2, 3),
    )


def tofu(model: str, oracle: str, shared: Path = SHARED) -> Task:
    """TOFU's forget10 on a model that has learnt it, against one that learnt retain90 alone."""
    data = shared / "data" / "tofu"
    paths = {
        "forget.path": data / "forget10.json",
        "forget.perturbed": data / "forget10_perturbed.json",
        "retain.path": data / "retain_perturbed.json",
        "retain.perturbed": "null",
        "holdout.path": data / "holdout10.json",
    }
    overrides = [f"model.path={model}", "data=tofu", *(f"data.{key}={value}" for key, value in paths.items())]
    without = ["~data.sets.real_authors", "~data.sets.world_facts", "engine.max_steps=400"]
    return _like_questions("tofu", [*overrides, *without], oracle, every=5)


_IDK = ("+dataset@data.alternate=authors-idk",)
_IDK_TOFU = ("+dataset@data.alternate=tofu-idk", f"data.alternate.path={SHARED / 'data' / 'tofu' / 'forget10.json'}")
_ANSWERS = "data.alternate.answers=[" + ",".join(f'"{text}"' for text in UNRELATED) + "]"

_OPENUNLEARNING_DPO = "loss.forget_weight=20"
_OPENUNLEARNING_RMU = ("loss.coefficient=2", "loss.retain_weight=1")
"""The default's retain weight of 1200 is that of a 7B model: nothing moves here."""

CONTENDERS: tuple[Contender, ...] = (
    Contender("mollm", "mollm"),
    Contender("ga", "ga"),
    Contender("ga_kl", "ga_kl"),
    Contender("grad_diff", "grad_diff"),
    Contender("npo", "npo"),
    Contender("simnpo", "simnpo"),
    Contender("dpo", "dpo", (_OPENUNLEARNING_DPO,), needs={"embedded": _IDK, "tofu": _IDK_TOFU}),
    Contender("wga", "wga"),
    Contender("undial", "undial"),
    Contender("ceu", "ceu"),
    Contender("satimp", "satimp"),
    Contender("mollm_pair", "mollm_pair"),
    Contender(
        "ga_mismatch_kl", "ga_mismatch_kl", needs={"embedded": (*_IDK, _ANSWERS), "tofu": (*_IDK_TOFU, _ANSWERS)}
    ),
    Contender(
        "rmu",
        "rmu",
        _OPENUNLEARNING_RMU,
        needs={"embedded": ("loss.layer=2",), "lily": ("loss.layer=1",), "tofu": ("loss.layer=1",)},
    ),
    Contender(
        "pdu",
        "pdu",  # somewhat above the start's retain cross-entropy; five epochs of warm-up, as the authors
        needs={
            "embedded": ("loss.eps=0.1", "solver.warmup_steps=10"),
            "lily": ("loss.eps=3.4", "solver.warmup_steps=120"),
            "tofu": ("loss.eps=0.3", "solver.warmup_steps=125"),
        },
    ),
)
"""In the order in which they are run: every loss with its published or default settings."""

_SOLVERS = (
    "normalized_sum",
    "closest_descent",
    "projected_forget",
    "orthogonal_descent",
    "normalized_difference",
    "weighted_sum",
    "upgrad",
    "pcgrad",
    "aligned_mtl",
    "imtl_g",
)
_AT_3 = ("loss.retain_weight=3", "loss.kl_weight=3")
_SETTINGS = {
    "preference_1": ("loss.retain_weight=1", "loss.kl_weight=1"),
    "preference_3": _AT_3,
    "preference_10": ("loss.retain_weight=10", "loss.kl_weight=10"),
    "refresh_2": ("direction.refresh_every=2",),
    "refresh_4": ("direction.refresh_every=4",),
    "factors": ("direction.gram=factors",),
    "unguarded": (*_AT_3, "direction.guard=false"),
    "adam": (*_AT_3, "direction.metric=adam"),
    "closest_descent+adam": (*_AT_3, "solver=closest_descent", "direction.metric=adam"),
    "projected_forget+adam": (*_AT_3, "solver=projected_forget", "direction.metric=adam"),
}
VARIANTS: tuple[Contender, ...] = (
    *(Contender(f"mollm+{name}", "mollm", typed, variant=True) for name, typed in _SETTINGS.items()),
    *(Contender(f"mollm+{name}", "mollm", (*_AT_3, f"solver={name}"), variant=True) for name in _SOLVERS),
)
"""The three objectives of mollm under other preferences, solvers and settings, from which its default is chosen.

Solvers and settings are compared at one preference, 3: the default's before the preferences were.
"""
