"""The step that keeps one gradient per objective: exact inner products, and a guard over what the optimizer did."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mollm_cli.core.solution import Array
from mollm_cli.engine.batch_losses import BatchLosses, role_groups
from mollm_cli.engine.buffers import Buffers
from mollm_cli.engine.refresh import remember
from mollm_cli.engine.result import StepResult
from mollm_cli.engine.step_state import StepState
from mollm_cli.gradients.by_layer import choose_by_layer
from mollm_cli.gradients.descent import Descent, guarded
from mollm_cli.gradients.direction import Choice, choose
from mollm_cli.gradients.gradient_rows import GradientRows, require_finite
from mollm_cli.gradients.inner import grams
from mollm_cli.gradients.layers import layer_indices
from mollm_cli.optimizers.adam import AdamRows, applied, preconditioner


@dataclass(slots=True)
class GramStep:
    """Gradients -> Gram matrix -> who is live -> weights -> direction -> optimizer -> what it did to each objective.

    layers: names, and for every parameter the index of its layer, where layers have weights of their own; else None.
    before, direction: buffers for the parameters before the step, and for d.
    """

    layers: tuple[list[str], list[int]] | None
    before: Buffers
    direction: Buffers

    @classmethod
    def of(cls, state: StepState) -> GramStep:
        """For the parameters and the direction of ``state``."""
        layers = layer_indices(state.trained.names) if state.direction.scope == "layer" else None
        return cls(layers, Buffers(state.parameters), Buffers(state.parameters))

    def __call__(self, state: StepState, losses: BatchLosses, record: bool) -> StepResult:
        """Take the step; ``record``: measure its first-order changes, those of resting objectives too."""
        names = state.names
        rows, skipped = self.gradients(state, losses, record)
        # Totals and Gram matrix are read after all backward passes were queued: each read waits for the device.
        totals, probability = losses.totals()
        by_layer = rows.grams(state.trained.sums)
        gram = by_layer.sum(axis=0)
        # A gradient that is not finite ends the run here, while the state before the step can still be saved.
        require_finite(np.diag(gram), [*names, *state.solver.carries], "gradient")
        norms = np.sqrt(np.maximum(np.diag(gram), 0.0))[: len(names)]
        starts = losses.starts()
        live = state.liveness.live(norms, totals, probability, starts)
        adam = _adam(state, rows, norms, live) if state.direction.metric == "adam" else None
        choice = self._choose(state, rows, by_layer, totals, live, adam)
        # |d| follows from the Gram matrix, so d is written clipped and no pass over the parameters measures it.
        weights = choice.weights[None] if choice.layers is None else choice.layers
        norm = state.clipping.write(rows, by_layer, weights, totals, self.direction.tensors())
        state.paced(totals, bool(live.any()))
        state.settled(live)
        rates = state.liveness.excess(totals, starts) * live / state.direction.hold_steps
        descent = self._descend(state, rows, norms, live, rates, adam, record)
        if descent is not None and skipped.any():
            # What was not measured is not told as zero.
            raw, realised = (np.where(skipped, np.nan, x) for x in (descent.raw, descent.realised))
            descent = replace(descent, raw=raw, realised=realised)
        # The step is taken: from here on, and not before, the solver remembers it.
        remember(state.remembered, names, choice, state.direction.refresh_every)
        if choice.carried is not None:
            state.carried = rows.carry(choice.carried)
        m = len(names)
        return StepResult(
            totals, choice.weights[:m], norm, probability, losses.tokens, choice.status, choice, gram[:m, :m], descent
        )

    def gradients(self, state: StepState, losses: BatchLosses, record: bool) -> tuple[GradientRows, NDArray[np.bool_]]:
        """The gradients, and who was skipped, [m]: who rests gets no backward pass where nobody records it."""
        m, layers = len(state.names), None if self.layers is None else self.layers[1]
        rows = GradientRows(state.parameters, m, state.carried, state.direction.rows, layers)
        skipped = np.zeros(m, dtype=bool)
        for group in role_groups(state.loss.objectives):
            for values in losses.of(group):
                if not record:
                    skipped |= state.resting(losses, group)
                wanted = [(i, value) for i, value in values if not skipped[i]]
                for k, (i, value) in enumerate(wanted):
                    # Objectives of one role share a forward pass: its graph serves until the last of them.
                    value.backward(retain_graph=k < len(wanted) - 1)
                    state.trained.collect()
                    rows.harvest(i)
            for i in group[0]:
                # The sum over replicas runs while the next role goes forward.
                if state.trained.replicated and not skipped[i]:
                    rows.begin_sum(state.trained.world, i)
        rows.finish_sums()
        return rows, skipped

    def _choose(
        self,
        state: StepState,
        rows: GradientRows,
        by_layer: Array,
        totals: Array,
        live: NDArray[np.bool_],
        adam: AdamRows | None,
    ) -> Choice:
        """The weights, by the Gram matrix as it is or in the optimizer's metric."""
        programme = by_layer
        if adam is not None:
            every = [*rows.rows, *rows.carried]
            programme = grams(every, state.parameters, rows.layers, adam.metric, state.trained.sums)
        told = (totals, live, state.solver, state.direction, state.remembered)
        return choose(programme[0], *told) if self.layers is None else choose_by_layer(programme, self.layers[0], *told)

    def _descend(
        self,
        state: StepState,
        rows: GradientRows,
        norms: Array,
        live: NDArray[np.bool_],
        rates: Array,
        adam: AdamRows | None,
        record: bool,
    ) -> Descent | None:
        """Let the optimizer step, and hold what it did against every objective's gradient; the guard corrects it."""
        parameters = state.parameters
        guard = state.direction.guard and not state.direction.paper
        # The optimizer's step is known only afterwards, as a difference: decay, momentum and rounding are all in it.
        before = self.before.copied() if record or guard else []
        (state.optimizer if adam is None else adam).step()
        if not before:
            return None
        moves = adam.moves if adam is not None else lambda k: parameters[k].grad is not None
        rule = applied(state.optimizer, parameters, before, moves) if record else None
        # The correction is the smallest in the optimizer's own metric, as its steps are.
        metric, held = preconditioner(state.optimizer, parameters), live if guard else None
        return guarded(parameters, before, rows.rows, norms, held, metric, rule, state.trained.sums, rates)


def _adam(state: StepState, rows: GradientRows, norms: Array, live: NDArray[np.bool_]) -> AdamRows:
    """AdamW's step with a metric that is fed by the live rows, at the length that d has, clipping included."""
    fed = live & (norms > 0)
    length = min(norms[fed].mean() if fed.any() else 0.0, state.clip_norm or np.inf)
    scale = np.where(fed, length / np.where(fed, norms, 1.0), 0.0)
    return AdamRows(state.optimizer, state.parameters, rows.rows, scale)
