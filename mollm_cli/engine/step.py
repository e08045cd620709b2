"""One optimizer step: forward each role once, one gradient per objective, a direction, the optimizer.

The story of a step, with a solver that reads the Gram matrix:
  forward forget, forward retain -> losses -> one backward per objective, harvested into rows -> Gram matrix
  -> which objectives are live, one weight each -> d = sum_i w_i g_i into .grad -> clip -> optimizer
  -> what it did, against every row -> corrected where a live objective would rise.
Where no gradient is made an objective (direction.gram=sketch, factors) it is that of engine/sketched.py. With a solver
that needs no Gram matrix, and between two refreshes of the weights (direction.refresh_every), the weighted sum of the
losses is sent backward instead, once per role; where such a solver reads losses, it gets those of the step before, so
that one forward pass a role is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mollm_cli.core.solution import Array, Solver, Status
from mollm_cli.core.types import Loss
from mollm_cli.engine.batch_losses import Batches, BatchLosses, Forwards, RoleGroup, role_groups, weighted
from mollm_cli.engine.buffers import Buffers
from mollm_cli.engine.refresh import age_weights, keep_weights, kept_weights
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.sketched import descend_by_sketch, send_weighted_back, sketch_gradients
from mollm_cli.gradients.by_layer import choose_by_layer
from mollm_cli.gradients.clipping import Clipping
from mollm_cli.gradients.descent import Descent, guarded
from mollm_cli.gradients.direction import Choice, choose, kl_budget, live_rows, resting_rows
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.gradient_rows import GradientRows, require_finite
from mollm_cli.gradients.inner import GradientRow, grams
from mollm_cli.gradients.layers import layer_indices
from mollm_cli.gradients.matrix_sketch import MatrixSketch
from mollm_cli.gradients.taps import Taps
from mollm_cli.gradients.trained import Trained
from mollm_cli.models.reference import Reference
from mollm_cli.optimizers.adam import AdamRows, applied, preconditioner


@dataclass(slots=True)
class Stepper:
    """Everything a step needs that stays the same from step to step; ``target`` is the resolved forget target.

    state and carried, rows, are what the solver remembers; like the optimizer's they move when the step is taken.
    layers: names, and of every parameter the index of its own, where weights differ between layers. sketch: the map
    that stands for gradients where none is kept; taps: the layers that give it their factors. trained: the parameters,
    whose part of several processes' work is this one's; None: all, alone. Raises ValueError where solver and direction
    do not go together.
    """

    model: Any
    reference: Reference
    loss: Loss
    solver: Solver
    direction: Direction
    optimizer: torch.optim.Optimizer
    target: float | None = None
    clip_norm: float | None = None
    bf16: bool = False
    state: dict[str, float] = field(default_factory=dict)
    trained: Trained = None  # type: ignore[assignment]  # filled in at once
    parameters: list[torch.nn.Parameter] = field(init=False)
    carried: list[GradientRow] = field(init=False)
    layers: tuple[list[str], list[int]] | None = field(init=False, default=None)
    sketch: MatrixSketch | None = field(init=False, default=None)
    taps: Taps | None = field(init=False, default=None)
    _clipping: Clipping = field(init=False)
    _before: Buffers = field(init=False)
    _direction: Buffers = field(init=False)

    def __post_init__(self) -> None:
        """Bind the solver to the objectives' order."""
        self.solver.bind(self.loss.objectives)
        self.trained = self.trained or Trained.of(self.model)
        self.parameters = self.trained.parameters
        self.trained.require_moved_by(self.optimizer)
        self.carried = [[None] * len(self.parameters) for _ in self.solver.carries]
        self._clipping = Clipping(self.trained, self._names, self.clip_norm)
        self._before, self._direction = Buffers(self.parameters), Buffers(self.parameters)
        if "gram" not in self.solver.needs:
            return
        self.direction.check_carries(self.solver.name, self.solver.carries)
        if self.direction.scope == "layer":
            self.layers = layer_indices(self.trained.names)
        if self.direction.gram != "exact":
            self.taps = Taps(self.model, self.trained.whole)
            self.sketch = MatrixSketch(
                [p.shape for p in self.trained.whole], self.taps.matrices, self.direction.sketch_buckets,
                self.parameters[0].device, self.trained.starts,
            )  # fmt: skip

    def __call__(self, batches: Batches, lr: float, record: bool = True) -> StepResult:
        """Take one step on one list of micro-batches per role. Raises NonFiniteError before the optimizer moves.

        record: also measure the first-order changes, which costs a copy of the parameters (so does direction.guard),
        for objectives that rest too, which costs their backward passes.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        result = self._along(self._losses(batches), record)
        self.trained.renew()
        return replace(result, after=self._after(batches)) if record and self.direction.verify else result

    def _along(self, losses: BatchLosses, record: bool) -> StepResult:
        if "gram" not in self.solver.needs:
            return self._along_fixed_weights(losses)
        kept = kept_weights(self.state, self._names, self.direction.refresh_every)
        if kept is not None:
            return self._along_kept_weights(losses, kept)
        if self.sketch is not None and self.taps is not None:
            with self.taps.open():
                return self._along_sketched_direction(losses, self.sketch, self.taps, record)
        return self._along_direction(losses, record)

    def _along_fixed_weights(self, losses: BatchLosses) -> StepResult:
        kept = [f"loss.{name}" for name in self._names]
        before = np.array([self.state.get(key, np.nan) for key in kept])
        answer = self.solver.solve(np.zeros((0, 0)), before, np.ones(len(kept), dtype=bool), self.state)
        for group in role_groups(self.loss.objectives):
            for values in losses.of(group):
                _send_back(weighted(values, answer.weights))
        totals, probability = losses.totals()
        self.trained.settle()
        norm = self._clipping.clip(totals)
        self.optimizer.step()
        self.state.update(answer.state)
        if "losses" in self.solver.needs:
            self.state.update(zip(kept, totals.tolist(), strict=True))
        return StepResult(totals, answer.weights, norm, probability, losses.tokens)

    def _along_kept_weights(self, losses: BatchLosses, weights: Array) -> StepResult:
        """With the weights of an earlier step, less those that rest by now; no gradient to hold the step against."""
        used = weights.copy()
        for group in role_groups(self.loss.objectives):
            for values in losses.of(group):
                used[self._resting(losses, group)] = 0.0
                _send_back(weighted(values, used))
        totals, probability = losses.totals()
        self.trained.settle()
        norm = self._clipping.clip(totals)
        self.optimizer.step()
        age_weights(self.state)
        return StepResult(totals, used, norm, probability, losses.tokens, Status.REUSED)

    def _along_sketched_direction(
        self, losses: BatchLosses, sketch: MatrixSketch, taps: Taps, record: bool
    ) -> StepResult:
        keep = self.direction.gram == "factors" and not self.trained.sharded
        found = sketch_gradients(self.trained, losses, sketch, taps, _nobody if record else self._resting, keep)
        totals, probability = losses.totals()
        gram = found.sketches.gram()
        require_finite(np.diag(gram), self._names, "gradient")
        choice = self._choose(gram[None], totals, probability)
        send_weighted_back(self.trained, losses, choice.weights, found)
        self.trained.settle()
        norm = self._clipping.clip(totals)
        descent = descend_by_sketch(self.optimizer, self.trained, found.sketches, record)
        self._remember(choice)
        return StepResult(
            totals, choice.weights, norm, probability, losses.tokens, choice.status, choice, gram, descent
        )

    def _along_direction(self, losses: BatchLosses, record: bool) -> StepResult:
        rows, skipped = self._harvested(losses, record)
        totals, probability = losses.totals()
        by_layer = rows.grams(self.trained.sums)
        gram = by_layer.sum(axis=0)
        require_finite(np.diag(gram), [*self._names, *self.solver.carries], "gradient")
        adam = self._adam(rows, gram, totals, probability) if self.direction.metric == "adam" else None
        programme = by_layer
        if adam is not None:
            programme = grams([*rows.rows, *rows.carried], self.parameters, rows.layers, adam.metric, self.trained.sums)
        choice = self._choose(programme, totals, probability)
        weights = choice.weights[None] if choice.layers is None else choice.layers
        norm = self._clipping.write(rows, by_layer, weights, totals, self._direction.tensors())
        descent = self._descend(rows, gram, choice.live, adam, record)
        if descent is not None and skipped.any():
            raw, realised = (np.where(skipped, np.nan, x) for x in (descent.raw, descent.realised))
            descent = replace(descent, raw=raw, realised=realised)
        self._remember(choice)
        if choice.carried is not None:
            self.carried = rows.carry(choice.carried)
        m = len(self._names)
        weights, gram = choice.weights[:m], gram[:m, :m]
        return StepResult(totals, weights, norm, probability, losses.tokens, choice.status, choice, gram, descent)

    def _harvested(self, losses: BatchLosses, record: bool) -> tuple[GradientRows, NDArray[np.bool_]]:
        """One backward pass an objective, but none for what rests where nobody records it: who was skipped, [m]."""
        layers = None if self.layers is None else self.layers[1]
        rows = GradientRows(self.parameters, len(self._names), self.carried, self.direction.rows, layers)
        skipped = np.zeros(len(self._names), dtype=bool)
        for group in role_groups(self.loss.objectives):
            for values in losses.of(group):
                if not record:
                    skipped |= self._resting(losses, group)
                wanted = [(i, value) for i, value in values if not skipped[i]]
                for k, (i, value) in enumerate(wanted):
                    value.backward(retain_graph=k < len(wanted) - 1)
                    self.trained.collect()
                    rows.harvest(i)
            for i in group[0]:
                if self.trained.replicated and not skipped[i]:
                    rows.begin_sum(self.trained.world, i)
        rows.finish_sums()
        return rows, skipped

    @property
    def _names(self) -> list[str]:
        return [o.name for o in self.loss.objectives]

    def _losses(self, batches: Batches) -> BatchLosses:
        return BatchLosses(Forwards(self.model, self.reference, self.loss, self.bf16), batches, self.trained.world)

    def _resting(self, losses: BatchLosses, group: RoleGroup) -> NDArray[np.bool_]:
        """Who of ``group`` wants nothing in this step, [m], where its losses are known before they are sent back."""
        objectives, settings = self.loss.objectives, self.direction
        may = [o.divergence or ("forget" in o.roles and self.target is not None) for o in objectives]
        if settings.paper or not losses.at_once(group) or not any(may[i] for i in group[0]):
            return _nobody(losses, group)
        values, probability = losses.so_far(group)
        budget = kl_budget(self.solver, settings)
        return resting_rows(objectives, settings, budget, values, _certain(probability), self.target)

    def _choose(self, by_layer: Array, losses: Array, probability: float | None) -> Choice:
        """by_layer [L, m+k, m+k]: one matrix where the weights are the same everywhere."""
        told = (losses, self.loss.objectives, self.solver, self.direction, _certain(probability), self.target)
        if self.layers is None:
            return choose(by_layer[0], *told, self.state)
        return choose_by_layer(by_layer, self.layers[0], *told, self.state)

    def _remember(self, choice: Choice) -> None:
        """The step is taken: what the solver keeps of it, and its weights where they serve for others too."""
        self.state.update(choice.state)
        keep_weights(self.state, self._names, choice.weights[: len(self._names)], self.direction.refresh_every)

    def _adam(self, rows: GradientRows, gram: Array, losses: Array, probability: float | None) -> AdamRows:
        """AdamW's step with a metric that is fed by the live rows, at the length that d has, clipping included."""
        objectives, settings = self.loss.objectives, self.direction
        norms = np.sqrt(np.maximum(np.diag(gram), 0.0))[: len(objectives)]
        budget = kl_budget(self.solver, settings)
        live = live_rows(objectives, settings, budget, norms, losses, _certain(probability), self.target) & (norms > 0)
        length = min(norms[live].mean() if live.any() else 0.0, self.clip_norm or np.inf)
        scale = np.where(live, length / np.where(live, norms, 1.0), 0.0)
        return AdamRows(self.optimizer, self.parameters, rows.rows, scale)

    def _descend(
        self, rows: GradientRows, gram: Array, live: NDArray[np.bool_], adam: AdamRows | None, record: bool
    ) -> Descent | None:
        """Let the optimizer step, and hold what it did against every objective's row; the guard corrects it."""
        norms = np.sqrt(np.maximum(np.diag(gram), 0.0))[: len(live)]
        guard = self.direction.guard and not self.direction.paper
        before = self._before.copied() if record or guard else []
        (self.optimizer if adam is None else adam).step()
        if not before:
            return None
        moves = adam.moves if adam is not None else lambda k: self.parameters[k].grad is not None
        rule = applied(self.optimizer, self.parameters, before, moves) if record else None
        metric, held = preconditioner(self.optimizer, self.parameters), live if guard else None
        return guarded(self.parameters, before, rows.rows, norms, held, metric, rule, self.trained.sums)

    def _after(self, batches: Batches) -> Array:
        """The losses of ``batches`` as they are now; a forward pass a role, and of the reference where one is read."""
        losses = self._losses(batches)
        with torch.no_grad():
            for group in role_groups(self.loss.objectives):
                for _ in losses.of(group):
                    pass
        return losses.totals()[0]


def _certain(probability: float | None) -> float:
    return 1.0 if probability is None else probability


def _nobody(losses: BatchLosses, group: RoleGroup) -> NDArray[np.bool_]:
    return np.zeros(len(losses.objectives), dtype=bool)


def _send_back(total: Any) -> None:
    if total is not None:
        total.backward()
