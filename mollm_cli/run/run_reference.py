"""The reference of a run: of which kind, and for a cached one its rows, filled before the first step."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mollm_cli.configuration.request import TrainRequest
from mollm_cli.core.doing import doing
from mollm_cli.core.errors import RequestError
from mollm_cli.core.privacy import make_private
from mollm_cli.core.solution import KL_ROUNDING
from mollm_cli.core.types import Batch, Encoded, Role
from mollm_cli.data.batches import Stream, collate
from mollm_cli.data.ordinary import ORDINARY
from mollm_cli.data.token_cache import cache_folder
from mollm_cli.engine.device import matmul_precision
from mollm_cli.models.reference import Kind, Reference, reference_kind, starting_states, tensor_bytes
from mollm_cli.models.reference_cache import Forward, StateCache, fingerprint
from mollm_cli.models.sharding import holders
from mollm_cli.reporting.formatting import size
from mollm_cli.run.prepare import SPARE_BYTES, Prepared, written_bytes

if TYPE_CHECKING:
    from mollm_cli.run.training_set import TrainingSet

HALF_ROUNDING = 1e-2
"""Nats per token under which a KL in half precision may be rounding: that other rows are in the batch makes 1e-5 in a
Llama of four layers in bfloat16, and more in deeper ones."""
ROUNDING_SHARE = 1e-4
"""Of the longest gradient: a KL or a distance that is rounding, in float32, has a shorter one."""


class _NotCachedError(Exception):
    """Why the starting model's states are not cached, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class References:
    """Builds the reference of a run of ``steps`` steps on ``streams``.

    "auto" caches unless something speaks against it: then it is a copy, and the reason is told. What may not be kept
    on disk (personal rows, data.cache=false, code of the model's own) or finds no room there is held in memory where
    that is less than a copy.
    """

    request: TrainRequest
    plan: TrainingSet
    prepared: Prepared
    streams: Mapping[Role, Stream]
    steps: int
    run_dir: Path
    tell: Callable[[str], None]

    def of(self, model: Any, device: torch.device) -> Reference:
        """The reference of ``model`` as it is now. Raises RequestError where model.reference=cache cannot be."""
        asked = self.request.model.reference == "cache"
        kind = reference_kind(self.request.model, self.plan.loss.needs_reference)
        if kind != "cache":
            return Reference(model, kind)
        try:
            if not asked:
                self._check_start()
            with matmul_precision(self.request.engine):
                return Reference(model, "cache", self._filled(model, device))
        except _NotCachedError as reason:
            if asked:
                raise RequestError(
                    "model.reference=cache needs states of the starting model that can be kept, but "
                    f"{reason}. Set model.reference=copy"
                ) from reason
            self.tell(f"reference: a copy of the model ({size(tensor_bytes(model))}), because {reason}")
            return Reference(model, "copy")

    @property
    def kind(self) -> Kind:
        """The kind that ``of`` builds, by the configuration alone: head, rows and disk may still ask for a copy."""
        kind = reference_kind(self.request.model, self.plan.loss.needs_reference)
        if kind == "cache" and self.request.model.reference == "auto":
            try:
                self._check_start()
            except _NotCachedError:
                return "copy"
        return kind

    def _check_start(self) -> None:
        """Refuse what takes rounding for a gradient: a cached start differs from the model by rounding, a copy by 0."""
        solver, direction = self.plan.solver, self.plan.direction
        if "gram" not in solver.needs:
            return
        half = self._bf16 or self.request.model.dtype in ("bfloat16", "float16")
        budget = solver.kl_budget if direction.kl_budget == "auto" else direction.kl_budget
        for objective in self.plan.loss.objectives:
            within = objective.divergence and budget >= (HALF_ROUNDING if half else KL_ROUNDING)
            short = not half and direction.live_threshold >= ROUNDING_SHARE
            if objective.reference and (objective.divergence or objective.layer is not None):
                if direction.paper:
                    raise _NotCachedError("direction.paper=true is literal, with a gradient of exactly 0 at the start")
                if not within and not short:
                    raise _NotCachedError(
                        f"the rounding of {objective.name} would pass for a gradient (direction.kl_budget, "
                        "direction.live_threshold)"
                    )

    def _filled(self, model: Any, device: torch.device) -> StateCache:
        """The states of every row that the run can draw and compare."""
        layers = {self.plan.loss.layer(role) for role in self._roles}
        if len(layers) > 1:
            raise _NotCachedError(f"the roles {', '.join(self._roles)} are not read at one layer")
        forward = Forward(device.type, self._bf16, layers.pop())
        rows = [row for role in self._roles for row in drawn(self.streams[role], self.steps)]
        kept = self._withheld() is None
        folder = cache_folder().parent / "reference" / fingerprint(model, forward) if kept else None
        cache = StateCache(rows, folder, forward.layer)
        holders(model).barrier()  # nobody fills what another has not looked at yet
        for file in cache.damaged:
            self.tell(f"reference: {file} was damaged; its rows are filled again")
        if missing := cache.missing():
            self._fill(cache, missing, model, forward, device)
        return cache

    def _fill(
        self, cache: StateCache, missing: Sequence[Encoded], model: Any, forward: Forward, device: torch.device
    ) -> None:

        def batch_of(rows: Sequence[Encoded]) -> Batch:
            return collate(rows, self.prepared.pad_id).to(device)

        states_of = starting_states(model, forward)
        try:
            first = states_of(batch_of(missing[-1:]))
        except ValueError as refused:
            raise _NotCachedError(str(refused)) from refused
        needed = sum(row.targets for row in missing) * first.shape[1] * first.element_size()
        self._settle(cache, needed, model)
        self.tell(
            f"reference: filling the states of {len(missing)} rows ({size(needed)}) in {cache.folder or 'memory'}"
        )
        began = time.perf_counter()
        try:
            with doing("filling the reference", len(missing)):
                cache.fill(states_of, batch_of, self.request.engine.rows, holders(model))
        except OSError as problem:
            raise _NotCachedError(f"{cache.folder} takes no file ({problem.strerror or problem})") from problem
        self.tell(f"reference: filled in {time.perf_counter() - began:.1f} s")

    def _settle(self, cache: StateCache, needed: int, model: Any) -> None:
        """Settle where ``needed`` bytes go: to the cache's folder, or else into memory, if a copy would take more."""
        problem = self._withheld() if cache.folder is None else self._refusal(cache.folder, needed, model)
        problem = holders(model).from_first(problem)  # a disk fills up while others look at it
        if problem is None:
            return
        if needed > tensor_bytes(model):
            raise _NotCachedError(f"{problem}, and {size(needed)} of states take more memory")
        self.tell(f"reference: states are held in memory, {problem}")
        cache.folder = None

    def _refusal(self, folder: Path, needed: int, model: Any) -> str | None:
        """Why ``folder`` cannot take ``needed`` bytes beside what the run itself writes."""
        try:
            make_private(folder)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as problem:
            return f"{folder} cannot be written to ({problem.strerror})"
        shared = self.run_dir.exists() and self.run_dir.stat().st_dev == folder.stat().st_dev
        needed += written_bytes(tensor_bytes(model), tensor_bytes(model, trained=True)) if shared else SPARE_BYTES
        free = shutil.disk_usage(folder).free
        return None if free >= needed else f"{folder} has {size(free)} free and {size(needed)} are needed"

    def _withheld(self) -> str | None:
        """Why no file may outlive the run: not of personal rows, nor where code decides what the states are."""
        names = [*(name for role in self._roles for name in self.prepared.sets_of(role)), *self._beside]
        for name in names:
            if self.prepared.loaded[name].content == "personal":
                return f"the rows of '{name}' are personal"
            if not self.prepared.loaded[name].cache:
                return "data.cache=false keeps nothing"
        return "model.trust_remote_code=true may change them" if self.request.model.trust_remote_code else None

    @property
    def _beside(self) -> list[str]:
        """The set of ordinary prompts, where there is one among the rows."""
        return [ORDINARY] if ORDINARY in self.prepared.loaded else []

    @property
    def _roles(self) -> list[Role]:
        """Those whose objectives compare with the reference."""
        return [role for role in self.plan.loss.roles if self.plan.loss.compares(role)]

    @property
    def _bf16(self) -> bool:
        return self.request.engine.precision == "bf16"


def drawn(stream: Stream, steps: int) -> list[Encoded]:
    """The rows that ``stream`` draws in ``steps`` steps, each once, in the order of their first use."""
    seen: dict[int, None] = {}
    for step in range(steps):
        seen |= dict.fromkeys(stream.rows(step))
        if len(seen) == len(stream.encoded):
            break
    return [stream.encoded[row] for row in seen]
