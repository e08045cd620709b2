"""The losses of one optimizer step's batches, forward pass by forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mollm_cli.core.masking import count_targets
from mollm_cli.core.outputs import Outputs
from mollm_cli.core.solution import Array
from mollm_cli.core.types import Batch, Loss, Objective, Role
from mollm_cli.core.world import ALONE, World
from mollm_cli.models.forward import forward, forward_hidden
from mollm_cli.models.reference import Reference
from mollm_cli.objectives.label_log_probs import label_log_probs, sequence_means, target_counts

Batches = Mapping[Role, Sequence[Batch]]
RoleGroup = tuple[tuple[int, ...], tuple[Role, ...]]
"""(indices, roles) of the objectives that come from one forward pass per role."""
Values = list[tuple[int, Any]]
"""[(i, value_i)] of one micro-batch, with graph; over micro-batches value_i sums to the mean over the step."""


@dataclass(frozen=True, slots=True)
class Forwards:
    """The parts that losses come from: the model, its frozen reference, the table of objectives.

    bf16: whether forward passes run under autocast.
    """

    model: Any
    reference: Reference
    loss: Loss
    bf16: bool = False

    def outputs(self, role: Role, batch: Batch) -> Outputs:
        """One forward pass, and one of the reference where an objective compares with it."""
        reference = self.reference if self.loss.compares(role) else None
        layer = self.loss.layer(role)
        with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=self.bf16):
            if layer is not None:
                frozen = reference.hidden(batch, layer) if reference else None
                return forward_hidden(self.model, batch, layer, frozen)
            return forward(self.model, batch, reference)


class BatchLosses:
    """The losses of one step, each divided by the count of the whole step, over all processes of ``world``.

    batches: this process's share. Of each role it has as many micro-batches as every other process has.
    held: whether the starting model's losses are wanted too, where objectives know them.

    Values are this process's own; ``so_far`` and ``totals`` speak of the whole step.
    """

    def __init__(self, forwards: Forwards, batches: Batches, world: World = ALONE, held: bool = False) -> None:
        self.forwards, self.batches, self.world, self.held = forwards, batches, world, held
        self.objectives = forwards.loss.objectives
        self.counts, self.tokens = _counted(batches, world)
        self._sums: dict[int, torch.Tensor] = {}
        self._starts: dict[int, torch.Tensor] = {}
        self._probabilities: list[torch.Tensor] = []

    def of(self, group: RoleGroup) -> Iterator[Values]:
        """The values of each micro-batch in turn, remembered for ``totals``; freed where the caller lets go of them."""
        indices, roles = group
        for k in range(len(self.batches[roles[0]])):
            outputs = self._outputs(roles, k)
            values = [(i, self._value(i, outputs, k)) for i in indices]
            for i, value in values:
                self._sums[i] = self._sums.get(i, 0) + value.detach()
                start = self.objectives[i].start
                if self.held and start is not None:
                    self._starts[i] = self._starts.get(i, 0) + self._shared(i, start(outputs)[0], k)
            # A loss that reads hidden states has no probabilities, and an idle row belongs to another process.
            if "forget" in outputs and outputs["forget"].hidden is None and not self.batches["forget"][k].idle:
                self._probabilities.append(_probabilities(outputs["forget"], self.batches["forget"][k].reworded))
            # The generator must hold nothing while the caller frees the graph, or its activations would live on.
            del outputs
            yield values
            del values

    def again(self, group: RoleGroup) -> Iterator[Values]:
        """The same values from new forward passes; they are the same because dropout is 0, so nothing is drawn."""
        indices, roles = group
        for k in range(len(self.batches[roles[0]])):
            outputs = self._outputs(roles, k)
            values = [(i, self._value(i, outputs, k)) for i in indices]
            del outputs
            yield values
            del values

    def at_once(self, group: RoleGroup) -> bool:
        """True where one pass gives the group's losses whole: they are known before anything is sent backward."""
        return len(self.batches[group[1][0]]) == 1

    def so_far(self, group: RoleGroup) -> tuple[Array, float | None]:
        """Losses [m], nan for other groups, and the forget probability, None where ``group`` does not read forget rows.

        To be called after the passes of ``group``; it costs one transfer from the device.
        """
        found = np.full(len(self.objectives), np.nan)
        values, probability = self._numbers(group[0], "forget" in group[1])
        found[list(group[0])] = values
        return found, probability

    def starts(self) -> Array | None:
        """The starting model's losses [m] on the rows seen so far, nan where unknown; None where nothing is held.

        It costs one transfer from the device.
        """
        if not self.held:
            return None
        found = np.full(len(self.objectives), np.nan)
        if self._starts:
            own = torch.stack([x.double() for x in self._starts.values()]).cpu().numpy()
            found[list(self._starts)] = self.world.sums(own)
        return found

    def totals(self) -> tuple[Array, float | None]:
        """Losses [m] and the batch's forget probability, exp(mean log p) averaged over rows in their own manner.

        It costs one transfer from the device.
        """
        return self._numbers(range(len(self.objectives)), True)

    def _numbers(self, indices: Sequence[int], forget: bool) -> tuple[Array, float | None]:
        known = [self._sums[i].double() for i in indices]
        if self.world.size > 1:
            return self._everyones(known, forget)
        read = forget and bool(self._probabilities)
        numbers = [*known, torch.cat(self._probabilities).mean().double()] if read else known
        values = torch.stack(numbers).cpu().numpy()
        return values[: len(known)], float(values[-1]) if read else None

    def _everyones(self, known: Sequence[torch.Tensor], forget: bool) -> tuple[Array, float | None]:
        rows = torch.cat(self._probabilities).double() if forget and self._probabilities else torch.zeros(0)
        own = [*(float(value) for value in known), float(rows.sum()), len(rows)]
        *values, total, count = self.world.sums(np.array(own)).tolist()
        return np.array(values), total / count if count else None

    def _outputs(self, roles: Sequence[Role], k: int) -> dict[Role, Outputs]:
        return {role: self.forwards.outputs(role, self.batches[role][k]) for role in roles}

    def _value(self, i: int, outputs: Mapping[Role, Outputs], k: int) -> torch.Tensor:
        return self._shared(i, self.objectives[i].function(outputs)[0], k)

    def _shared(self, i: int, total: torch.Tensor, k: int) -> torch.Tensor:
        """The part that micro-batch ``k`` has in a mean over the whole step."""
        objective = self.objectives[i]
        if self.batches[objective.roles[0]][k].idle:
            # The pass is made, because the collectives of shards need one from every process, but it counts nothing.
            total = total * 0.0
        return total / self.counts[objective.roles[0]][objective.unit]


def _counted(batches: Batches, world: World) -> tuple[dict[Role, dict[str, int]], int]:
    """The targets and sequences of each role, and the tokens of all roles, in the whole step."""
    own = {role: [part for part in parts if not part.idle] for role, parts in batches.items()}
    numbers = [sum(int(b.attention_mask.sum()) for parts in own.values() for b in parts)]
    for parts in own.values():
        numbers += [sum(count_targets(b.labels) for b in parts), sum(len(b.ids) for b in parts)]
    tokens, *counts = (int(x) for x in world.sums(np.array(numbers, dtype=np.float64)))
    pairs = zip(batches, counts[::2], counts[1::2], strict=True)
    return {role: {"token": targets, "sequence": sequences} for role, targets, sequences in pairs}, tokens


@torch.no_grad()
def _probabilities(outputs: Outputs, reworded: Sequence[bool]) -> torch.Tensor:
    """exp(mean log p) of each row that has a target and is in its own manner."""
    log_probs = label_log_probs(outputs)
    found = sequence_means(log_probs, outputs).exp()
    if not any(reworded):
        return found
    own = torch.tensor([not other for other in reworded], device=found.device)
    return found[own[target_counts(log_probs, outputs) > 0]]


def role_groups(objectives: Sequence[Objective]) -> list[RoleGroup]:
    """Objectives that share a role are computed from one forward pass of it: (indices, roles) per group, in order."""
    groups: list[tuple[list[int], list[Role]]] = []
    for i, objective in enumerate(objectives):
        joined = [g for g in groups if set(g[1]) & set(objective.roles)]
        merged: tuple[list[int], list[Role]] = ([], [])
        for indices, roles in joined:
            merged[0].extend(indices)
            merged[1].extend(roles)
            groups.remove((indices, roles))
        merged[0].append(i)
        merged[1].extend(r for r in objective.roles if r not in merged[1])
        groups.append(merged)
    return [(tuple(indices), tuple(roles)) for indices, roles in groups]


def weighted(values: Values, weights: Array) -> Any:
    """sum_i weights_i value_i, with graph; None where all of them count for nothing."""
    terms = [float(weights[i]) * value for i, value in values if weights[i] != 0]
    return torch.stack(terms).sum() if terms else None


def send_back(values: Values, weights: Array) -> None:
    """Send sum_i weights_i value_i backward, into ``.grad``; nothing where all of them count for nothing."""
    total = weighted(values, weights)
    if total is not None:
        total.backward()
