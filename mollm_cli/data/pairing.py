"""Datasets paired with roles and loaded together: test rows are carved off, and overlap is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.core.types import ROLES, Role
from mollm_cli.data.alternate import follow
from mollm_cli.data.carve import carve
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.deletion import divide
from mollm_cli.data.load_dataset import Loaded, load
from mollm_cli.data.near_duplicates import drop_near_duplicates
from mollm_cli.data.ordinary import ORDINARY
from mollm_cli.data.overlap import drop_overlap, refuse_overlap, unseen, untested
from mollm_cli.data.reworded import REWORDED

COMPANIONS: dict[Role, tuple[Role, ...]] = {"forget": ("forget_test", "holdout"), "retain": ("retain_test",)}
"""Roles that are of another role's kind: they go when the user puts a file in the place of its source."""
SETS = "sets."
MIX = "mix.retain."
TAKEN = (*ROLES, ORDINARY, REWORDED)
"""Names that the user's own sets cannot have."""
SAMPLED = "dataset@data.retain=sampled"
"""The remedy if there is nothing to retain."""
Answer = Callable[[Loaded, Role], Loaded]
"""A function that gives the rows of a role their answers: the starting model, which this layer does not know."""
TESTS: dict[Role, Role] = {"forget": "forget_test", "retain": "retain_test"}


@dataclass(frozen=True, slots=True)
class Pairing:
    """Datasets by role; ``conf/data/*.yaml`` builds it, ``load_roles`` reads it.

    ``forget`` and ``retain`` are trained on. ``forget_test``, ``retain_test``: of the same kind, never trained on;
    where one is absent, ``test_share`` of the rows is carved by seed; of the forget rows ``forget_test_share``, where
    that is null the same, and nothing of a personal set or of ``source``. ``holdout``: of the forget set's kind, never
    seen by the starting model. ``sets``: evaluated only, under their names. A role without a source is absent.
    ``epoch``: the role whose rows make an epoch (engine.max_epochs); the other comes round as often as it does.
    ``cache``: what is computed of rows that are not personal is kept between runs: token ids of large sets
    (data/token_cache.py), states of the reference (run/run_reference.py).
    ``drop_overlap`` leaves rows that are to be forgotten out of retain; ``allow_overlap`` trains on both. Otherwise
    overlap is refused. ``near_duplicates``: rows of retain that are as similar as this to a row to forget are left out
    (data/near_duplicates.py). ``source``: a file of which forget takes some rows and retain the rest, ``id_field`` the
    column of data.forget.ids, ``deleted`` the ids of earlier requests (data/deletion.py). ``mix``: {"retain": {NAME:
    dataset}}, further sets that are trained on as retain, by their weights, and evaluated under their names. Raises
    ValueError.
    """

    name: str
    forget: Dataset
    retain: Dataset
    forget_test: Dataset | None = None
    retain_test: Dataset | None = None
    holdout: Dataset | None = None
    alternate: Dataset | None = None
    sets: dict[str, Dataset] = field(default_factory=dict)
    mix: dict[str, dict[str, Dataset]] = field(default_factory=dict)
    test_share: float = 0.1
    forget_test_share: float | None = None
    allow_overlap: bool = False
    drop_overlap: bool = False
    epoch: Literal["forget", "retain"] = "forget"
    cache: bool = True
    near_duplicates: float | None = None
    source: str | list[str] | None = None
    id_field: str | None = None
    deleted: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        if not 0 <= self.test_share < 1:
            raise ValueError(f"data.test_share must be in [0, 1), found {self.test_share}")
        if self.forget_test_share is not None and not 0 <= self.forget_test_share < 1:
            raise ValueError(f"data.forget_test_share must be in [0, 1) or null, found {self.forget_test_share}")
        if self.allow_overlap and self.drop_overlap:
            raise ValueError(
                "data.allow_overlap and data.drop_overlap exclude each other, found both; set one to false"
            )
        for role in ("forget", "retain"):
            if not getattr(self, role).has_source:
                key = f"data.{role}.path" if self.id_field is None else "data.source"
                or_else = f", or {SAMPLED} (texts of the starting model)" if role == "retain" else ""
                raise ValueError(f"data '{self.name}': {role} needs rows, found no source. Set {key}=FILE{or_else}")
        if self.near_duplicates is not None and not 0 < self.near_duplicates <= 1:
            raise ValueError(f"data.near_duplicates must be in (0, 1] or null, found {self.near_duplicates}")
        self._check_deletion()
        self._check_mix()
        for name in self.sets:
            if name in TAKEN:
                raise ValueError(f"data.sets.{name}: a set must not be called like a role; give it another name")

    def _check_deletion(self) -> None:
        if self.source is None and self.deleted is not None:
            raise ValueError("data.deleted names rows of data.source, found no source. Set data.source=FILE")
        if "deleted" in self.sets and self.deleted is not None:
            raise ValueError("data.deleted makes the set 'deleted', found data.sets.deleted too; give it another name")
        for role, dataset in present(self).items():
            if dataset.ids is not None and (role != "forget" or self.source is None):
                raise ValueError(
                    f"data.{role}.ids must be null but in forget where data.source is set, found ids. "
                    "Use data=deletion data.source=FILE data.forget.ids=IDS, or a filter"
                )

    def _check_mix(self) -> None:
        for role in self.mix:
            if role != "retain":
                raise ValueError(
                    f"data.mix takes sets for retain, found data.mix.{role}. Use data.mix.retain.NAME, or several "
                    f"files in one role: data.{role}.path=[A, B]"
                )
        for place, dataset in present(self).items():
            if place.startswith(MIX) and (called(place) in TAKEN or called(place) in {*self.sets, "deleted"}):
                raise ValueError(f"data.{place}: its name is that of a role or a set; give it another name")
            if dataset.sampled and place != "retain" and not place.startswith(MIX):
                raise ValueError(
                    f"data.{place}.from_model must be null, found {dataset.from_model}: only retain and "
                    f"data.mix.retain.NAME can be what the model says. Set data.{place}.path=FILE"
                )
            if dataset.manners and place != "forget":
                raise ValueError(
                    f"data.{place}.manners must be [], found {', '.join(dataset.manners)}: only rows to forget are "
                    "trained on in other manners. Set data.forget.manners"
                )
            if dataset.weight != 1 and place != "retain" and not place.startswith(MIX):
                raise ValueError(
                    f"data.{place}.weight must be 1, found {dataset.weight}: only retain and data.mix.retain.NAME are "
                    "mixed by weight"
                )


def present(pairing: Pairing) -> dict[Role, Dataset]:
    """The roles that have rows to read, named sets as ``sets.NAME``, sets mixed into retain as ``mix.retain.NAME``.

    A user's path for ``forget`` replaces the source of the description, and with it ``forget_test`` and ``holdout``
    where they still point to that same source: they would be rows of another kind (``retain_test`` likewise).
    """
    roles: dict[Role, Dataset | None] = {
        "forget": pairing.forget,
        "retain": pairing.retain,
        "forget_test": pairing.forget_test,
        "retain_test": pairing.retain_test,
        "holdout": pairing.holdout,
        "alternate": pairing.alternate,
    }
    for role, leader in (("forget", pairing.forget), ("retain", pairing.retain)):
        for companion in COMPANIONS[role]:
            other = roles[companion]
            if leader.replaced and other is not None and not other.path and _origin(other) == _origin(leader):
                roles[companion] = None
    named = {f"{SETS}{name}": dataset for name, dataset in pairing.sets.items()}
    named |= {f"{MIX}{name}": dataset for name, dataset in pairing.mix.get("retain", {}).items()}
    return {role: dataset for role, dataset in (roles | named).items() if dataset is not None and dataset.has_source}


def called(place: str) -> str:
    """The name of the rows at a place: ``sets.NAME`` and ``mix.retain.NAME`` are both NAME."""
    return place.rpartition(".")[2]


def mixture(pairing: Pairing) -> dict[str, float]:
    """The parts of retain: its own rows and the sets mixed in, with their weights."""
    places = present(pairing)
    return {called(p): dataset.weight for p, dataset in places.items() if p == "retain" or p.startswith(MIX)}


def _origin(dataset: Dataset) -> tuple[str | None, str]:
    """The Hub dataset, or the embedded folder, that the description names."""
    return dataset.hub, (dataset.embedded or "").split("/")[0]


def load_roles(
    pairing: Pairing, seed: int, roles: Iterable[Role] | None = None, answer: Answer | None = None
) -> dict[Role, Loaded]:
    """role -> its examples; ``sets.NAME`` and ``mix.retain.NAME`` under NAME. ``roles``: only these (None: all).

    ``seed`` draws the rows of carved tests. forget and retain are always read, since the others are judged against
    them; alternate answers to their prompts are brought into their order. ``answer`` gives rows that have only a prompt
    their answers (None: they stay empty). Raises RequestError.
    """
    datasets = present(pairing)
    wanted = None if roles is None else set(roles)
    divided = _divided(pairing)
    mixed = {called(place): place for place in datasets if place.startswith(MIX)}
    loaded = {
        called(place): load(dataset, place, pairing.cache)
        for place, dataset in datasets.items()
        if (wanted is None or place in TESTS or called(place) in {*wanted, *mixed}) and place not in divided
    } | divided
    for role, rows in loaded.items():
        if answer is not None and (rows.dataset.answers_from == "model" or rows.dataset.sampled):
            loaded[role] = answer(rows, mixed.get(role, role))
    _without_overlap(loaded, {"retain": "retain"} | mixed, pairing)
    for role, test in TESTS.items():
        if test in datasets:
            if test in loaded:
                loaded[test] = unseen(loaded[test], loaded[role], test, role)
            continue
        personal = role in divided or loaded[role].content == "personal"
        training, rest = carve(loaded[role].examples, _share(pairing, role, personal), seed)
        if rest:
            loaded[test] = loaded[role].keep(rest, carved_from=role)
            loaded[role] = loaded[role].keep(training, carved_for=test, held_back=len(rest))
    for name, place in mixed.items():
        if "retain_test" in loaded:
            loaded[name] = untested(loaded[name], loaded["retain_test"], f"data.{place}")
        loaded[name] = loaded[name].keep(loaded[name].examples, mixed_into="retain")
    if "alternate" in loaded:
        loaded["alternate"] = follow(loaded["forget"], loaded["alternate"])
    return _chosen(loaded, wanted, pairing)


def _share(pairing: Pairing, role: Role, personal: bool) -> float:
    """The part of a role's rows that is held back; of a personal forget set nothing, unless somebody asks for it."""
    if role == "forget" and pairing.forget_test_share is not None:
        return pairing.forget_test_share
    return 0.0 if role == "forget" and personal else pairing.test_share


def _divided(pairing: Pairing) -> dict[Role, Loaded]:
    """The sets that one reading of ``pairing.source`` yields; empty if there is no source."""
    if pairing.source is None:
        return {}
    retain = pairing.retain if pairing.retain.path == pairing.forget.path else None
    return divide(pairing.forget, retain, pairing.id_field, pairing.deleted, pairing.cache)


def _without_overlap(loaded: dict[Role, Loaded], retained: Mapping[str, str], pairing: Pairing) -> None:
    """``retained``: name -> place of the sets that must not hold what is to be forgotten."""
    gone = loaded["forget"]
    if "deleted" in loaded and pairing.deleted is not None:
        gone = gone.keep([*gone.examples, *loaded["deleted"].examples])
    for name, place in retained.items():
        key = f"data.{place}"
        if pairing.drop_overlap:
            loaded[name] = drop_overlap(gone, loaded[name], key)
        elif not pairing.allow_overlap:
            refuse_overlap(gone, loaded[name], key)
        if pairing.near_duplicates is not None:
            loaded[name] = drop_near_duplicates(gone.examples, loaded[name], pairing.near_duplicates, key)


def _chosen(loaded: dict[Role, Loaded], wanted: set[Role] | None, pairing: Pairing) -> dict[Role, Loaded]:
    if wanted is None:
        return loaded
    missing = sorted(wanted - set(loaded))
    if missing:
        raise RequestError(
            f"data '{pairing.name}' must feed role '{missing[0]}', found no dataset for it; "
            f"{nearest(missing[0], loaded)}. Set data.{missing[0]}.path=FILE"
        )
    return {role: found for role, found in loaded.items() if role in wanted}
