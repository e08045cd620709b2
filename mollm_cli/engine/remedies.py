"""What to change in a request that does not fit a device: the change that alters the result least."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mollm_cli.engine.facts import Facts, Shape
from mollm_cli.engine.planner import Plan, least_bytes, plan
from mollm_cli.models.reference import Kind
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import AdamW

Planner = Callable[[Facts], Plan]


@dataclass(frozen=True, slots=True)
class Change:
    """Overrides as they are typed, and what the request comes to with them."""

    overrides: tuple[str, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that fits, with its plan."""

    overrides: tuple[str, ...]
    plan: Plan


def remedy(facts: Facts, capacity: int, planner: Planner = plan) -> Remedy | None:
    """The least change after which ``facts`` fit into ``capacity`` bytes; None where no setting does it.

    Single changes first, in the order of ``STEPS``; then all of the first k, k as small as it may be, without those of
    them that turn out not to be needed.
    """
    for step in STEPS:
        for change in step(facts):
            found = _fitting(change.facts, capacity, planner)
            if found is not None:
                return Remedy(change.overrides, found)
    taken: list[Change] = []
    for step in STEPS:
        for change in list(step(taken[-1].facts if taken else facts))[-1:]:
            taken.append(change)
            if _fitting(change.facts, capacity, planner) is not None:
                return _needed(facts, [c.overrides for c in taken], capacity, planner)
    return None


def _needed(facts: Facts, overrides: list[tuple[str, ...]], capacity: int, planner: Planner) -> Remedy | None:
    """``overrides`` without those that can be left out, the ones that alter the result most tried first."""
    kept = list(overrides)
    for each in reversed(overrides):
        rest = [o for o in kept if o != each]
        if _fitting(_with(facts, rest), capacity, planner) is not None:
            kept = rest
    found = _fitting(_with(facts, kept), capacity, planner)
    return None if found is None else Remedy(tuple(text for each in kept for text in each), found)


def _with(facts: Facts, overrides: list[tuple[str, ...]]) -> Facts:
    for step in STEPS:
        for change in step(facts):
            if change.overrides in overrides:
                facts = change.facts
    return facts


def _fitting(facts: Facts, capacity: int, planner: Planner) -> Plan | None:
    if least_bytes(facts) > capacity:
        return None
    found = planner(facts)
    return found if found.peak.size <= capacity else None


def _smaller_micro_batch(facts: Facts) -> Iterator[Change]:
    """Fewer rows in a forward pass, halved and halved again: the same gradients, added up in more pieces."""
    rows = max(shape.rows for shape in facts.shapes.values())
    while rows > 1:
        rows //= 2
        shapes = {role: _cut(shape, rows) for role, shape in facts.shapes.items()}
        engine = replace(facts.engine, micro_batch=rows)
        yield Change((f"engine.micro_batch={rows}",), replace(facts, engine=engine, shapes=shapes))


def _cut(shape: Shape, rows: int) -> Shape:
    targets = -(-shape.targets * rows // shape.rows)
    return replace(shape, rows=rows, targets=targets, padded=shape.padded and rows > 1)


def _checkpointing(facts: Facts) -> Iterator[Change]:
    """Activations computed again in the backward pass: the same numbers, a third more time."""
    if not facts.model.activation_checkpointing:
        model = replace(facts.model, activation_checkpointing=True)
        yield Change(("model.activation_checkpointing=true",), replace(facts, model=model))


def _cached_reference(facts: Facts) -> Iterator[Change]:
    """The starting model's states on disk in place of a second model: the same KL."""
    if facts.reference == "copy":
        model = replace(facts.model, reference="cache")
        yield Change(("model.reference=cache",), replace(facts, model=model, reference="cache"))


def _sketch(facts: Facts) -> Iterator[Change]:
    """Weights from sketched gradients, none of which is kept."""
    direction = facts.direction
    by_gradients = direction.scope == "layer" or direction.metric == "adam" or facts.solver.carries
    if "gram" in facts.solver.needs and direction.gram == "exact" and not by_gradients:
        sketched = replace(direction, gram="sketch", rows="same")
        yield Change(("direction.gram=sketch",), replace(facts, direction=sketched))


def _eight_bits(facts: Facts) -> Iterator[Change]:
    """Moments of 8 bits, on the card and then beside it."""
    old = facts.optimizer
    if facts.device != "cuda" or not isinstance(old, AdamW) or facts.shards > 1:
        return
    for paged, name in ((False, "adamw_8bit"), (True, "paged_adamw_8bit")):
        new = AdamW8bit(old.lr, old.betas, old.eps, old.weight_decay, old.schedule, old.warmup_steps, old.update, paged)
        yield Change((f"optimizer={name}",), replace(facts, optimizer=new))


def _half_precision(facts: Facts) -> Iterator[Change]:
    """Weights in bfloat16, rounded at random where they are trained, so that small updates count."""
    if facts.model.dtype != "float32":
        return
    rounded = replace(facts.optimizer, update="stochastic_rounding")
    half = replace(facts, model=replace(facts.model, dtype="bfloat16"))
    if facts.model.adapter == "none":
        yield Change(("model.dtype=bfloat16", "optimizer.update=stochastic_rounding"), replace(half, optimizer=rounded))
    else:
        yield Change(("model.dtype=bfloat16",), half)


def _low_rank(facts: Facts) -> Iterator[Change]:
    """Low-rank matrices in place of all weights, then over weights of 4 bits."""
    if facts.model.adapter == "qlora" or facts.model.adapter_path is not None:
        return
    kept: Kind = "none" if facts.reference == "none" else "adapter_off"
    if facts.model.adapter == "none":
        lora = replace(facts.model, adapter="lora", reference="auto")
        yield Change(("model.adapter=lora",), replace(facts, model=lora, reference=kept))
    if facts.device == "cuda" and facts.model.weights == "pretrained" and facts.shards == 1:
        qlora = replace(facts.model, adapter="qlora", reference="auto")
        yield Change(("model.adapter=qlora",), replace(facts, model=qlora, reference=kept))


STEPS: tuple[Callable[[Facts], Iterator[Change]], ...] = (
    _smaller_micro_batch,
    _checkpointing,
    _cached_reference,
    _sketch,
    _eight_bits,
    _half_precision,
    _low_rank,
)
"""By how little they alter the result: the first three not at all."""
