"""What one process sends to the others in an optimizer step, counted from the configuration alone.

Bytes of a ring: of B bytes that all of p processes are to have, each sends B (p - 1) / p to collect (all-gather) or to
cut their sum (reduce-scatter), and twice that to add them up everywhere (all-reduce).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from mollm_cli.core.types import Role
from mollm_cli.engine.batch_losses import role_groups
from mollm_cli.engine.facts import Facts
from mollm_cli.engine.memory import tensor_bytes
from mollm_cli.engine.shares import groups, sent
from mollm_cli.engine.terms import Term
from mollm_cli.gradients.taps import Taps


def traffic(facts: Facts, model: Any) -> tuple[Term, ...]:
    """What a step sends, term by term; nothing for one process. Numbers of a few bytes, as losses are, are left out."""
    return tuple(_terms(facts, model)) if facts.processes > 1 else ()


def passes(facts: Facts) -> tuple[int, int]:
    """(forward, backward passes) of a step that chooses its weights anew, all objectives live; per pass of a role.

    exact, factors: a backward pass an objective. sketch: one more for the weighted sum, but for the first role with one
    objective; and where a role's batch comes in pieces, its forward passes once more, with factors too. Fixed weights:
    one a role. A role that is compared has the reference's forward pass beside its own, where no states are stored.
    """
    parts = role_groups(facts.loss.objectives)
    counts = [sum(_forwards(facts, role) for role in roles) for _, roles in parts]
    forward, n = sum(counts), facts.micro_batches
    if "gram" not in facts.solver.needs:
        return n * forward, n * len(parts)
    backward = sum(len(indices) for indices, _ in parts)
    if facts.direction.gram == "exact" or (facts.direction.gram == "factors" and n == 1):
        return n * forward, n * backward
    alone = _alone(facts)
    again = [k for k in range(len(parts)) if k != alone]
    kept = {len(parts) - 1} if n == 1 else set()
    repeated = sum(counts[k] for k in again if k not in kept)
    return n * (forward + repeated), n * (backward + len(again))


def sketched_passes(facts: Facts) -> int:
    """Those of the backward passes in which tapped weights get no gradient (gradients/taps.py)."""
    if "gram" not in facts.solver.needs or facts.direction.gram == "exact":
        return 0
    alone = 0 if _alone(facts) is None else 1
    return facts.micro_batches * (len(facts.loss.objectives) - alone)


def _alone(facts: Facts) -> int | None:
    """The first group of one objective, whose gradient is made and held."""
    parts = role_groups(facts.loss.objectives)
    return next((k for k, (indices, _) in enumerate(parts) if len(indices) == 1), None)


def _forwards(facts: Facts, role: Role) -> int:
    return 2 if facts.reference in ("copy", "adapter_off") and facts.loss.compares(role) else 1


def _terms(facts: Facts, model: Any) -> Iterator[Term]:
    p, m = facts.processes, len(facts.loss.objectives)
    trained = [x for x in model.parameters() if x.requires_grad]
    gradient = sum(x.numel() * sent(x) for x in trained)
    chooses = "gram" in facts.solver.needs
    sketched = chooses and facts.direction.gram != "exact"
    if facts.shards > 1:
        yield from _of_shards(facts, model, gradient)
    else:
        rows = m if chooses and not sketched else 1
        yield Term("gradients", rows * _ring(2 * gradient, p), f"all-reduce of {rows} x {gradient:,} bytes")
    if sketched:
        size = m * facts.direction.sketch_buckets * max(4, _widest(trained))
        yield Term("Gram matrix", _ring(2 * size, p), f"sketches, {m} x {facts.direction.sketch_buckets:,}")
    elif chooses and facts.shards > 1:
        yield Term("Gram matrix", _ring(2 * 8 * m * m, p), f"inner products, {m} x {m}")


def _of_shards(facts: Facts, model: Any, gradient: int) -> Iterator[Term]:
    """Layers are collected for every pass, what is around them once a step; every backward pass cuts a gradient."""
    forward, backward = passes(facts)
    inner, outer = groups(model)
    twin = facts.reference == "copy"
    collected = (forward + backward) * sum(map(tensor_bytes, inner)) + (2 if twin else 1) * tensor_bytes(outer)
    why = f"all-gather, {forward} forward and {backward} backward passes"
    yield Term("weights", _ring(collected, facts.processes), why)
    sketched = sketched_passes(facts)
    cut = (backward - sketched) * gradient + sketched * _untapped(model)
    also = f", {sketched} of them without tapped weights" if sketched else ""
    yield Term("gradients", _ring(cut, facts.processes), f"reduce-scatter, {backward} backward passes{also}")


def _untapped(model: Any) -> int:
    """Bytes on the way of what has a gradient in every backward pass."""
    trained = [p for p in model.parameters() if p.requires_grad]
    tapped = Taps(model, trained).matrices
    return sum(p.numel() * sent(p) for k, p in enumerate(trained) if k not in tapped)


def _ring(size: int, processes: int) -> int:
    return size * (processes - 1) // processes


def _widest(parameters: list[torch.nn.Parameter]) -> int:
    return max(p.element_size() for p in parameters)
