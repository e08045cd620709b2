"""At most four changes to a request that take less memory, in the order of how little they alter the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from mollm_cli.models.reference import Kind
from mollm_cli.planning.estimate import estimate, least_bytes
from mollm_cli.planning.memory_plan import MemoryPlan
from mollm_cli.planning.sizes import Shape, Sizes

Change = tuple[tuple[str, ...], Sizes]
"""Overrides as they are typed, and the sizes with them."""
Changes = Callable[[Sizes], Iterator[Change]]


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change, and the peak with it."""

    overrides: tuple[str, ...]
    peak: int


def remedy(sizes: Sizes, capacity: int, estimated: Callable[[Sizes], MemoryPlan] = estimate) -> Remedy | None:
    """The least change after which ``sizes`` fit into ``capacity`` bytes; None where no setting does it.

    One of CHANGES where that is enough; else the first ones together, without those that are not needed.
    """

    def fitting(chosen: Sequence[tuple[Changes, int]]) -> Remedy | None:
        overrides, changed = _with(sizes, chosen)
        if least_bytes(changed) > capacity:
            return None
        peak = estimated(changed).peak.size
        return Remedy(overrides, peak) if peak <= capacity else None

    single = [[(change, k)] for change in CHANGES for k, _ in enumerate(change(sizes))]
    whole = [(change, -1) for change in CHANGES if any(True for _ in change(sizes))]
    for chosen in [*single, *(whole[:n] for n in range(2, len(whole) + 1))]:
        if (found := fitting(chosen)) is None:
            continue
        for each in reversed(chosen[:-1]):  # without the last one it did not fit
            rest = [one for one in chosen if one != each]
            if (less := fitting(rest)) is not None:
                chosen, found = rest, less
        return found
    return None


def _with(sizes: Sizes, chosen: Sequence[tuple[Changes, int]]) -> Change:
    typed: tuple[str, ...] = ()
    for change, which in chosen:
        overrides, sizes = list(change(sizes))[which]
        typed = (*typed, *overrides)
    return typed, sizes


def smaller_micro_batch(sizes: Sizes) -> Iterator[Change]:
    """Fewer rows in a forward pass, half as many and then one: the same gradients, added up in more pieces."""
    most = max(shape.rows for shape in sizes.shapes.values())
    for rows in sorted({max(1, most // 2), 1}, reverse=True) if most > 1 else ():
        shapes = {role: _cut(shape, rows) for role, shape in sizes.shapes.items()}
        engine = replace(sizes.engine, micro_batch=rows)
        yield (f"engine.micro_batch={rows}",), replace(sizes, engine=engine, shapes=shapes)


def _cut(shape: Shape, rows: int) -> Shape:
    kept = min(rows, shape.rows)
    return replace(shape, rows=kept, targets=-(-shape.targets * kept // shape.rows), padded=shape.padded and kept > 1)


def _checkpointing(sizes: Sizes) -> Iterator[Change]:
    """Activations computed again in the backward pass: the same numbers, a third more time."""
    if not sizes.model.activation_checkpointing:
        model = replace(sizes.model, activation_checkpointing=True)
        yield ("model.activation_checkpointing=true",), replace(sizes, model=model)


def _sketch(sizes: Sizes) -> Iterator[Change]:
    """Weights from sketched gradients, none of which is kept."""
    direction = sizes.direction
    by_gradients = direction.scope == "layer" or direction.metric == "adam" or sizes.solver.carries
    if sizes.keeps_rows and not by_gradients:
        yield ("direction.gram=sketch",), replace(sizes, direction=replace(direction, gram="sketch", rows="same"))


def low_rank(sizes: Sizes) -> Iterator[Change]:
    """Low-rank matrices in place of all weights, then over weights in bfloat16."""
    if sizes.model.adapter != "none" or sizes.loss.trainable is not None:
        return
    kept: Kind = "none" if sizes.reference == "none" else "adapter_off"
    plain = replace(sizes.optimizer, update="plain")
    model = replace(sizes.model, adapter="lora", reference="auto")
    changed = replace(sizes, model=model, reference=kept, optimizer=plain)
    typed = ("model.adapter=lora", *(("optimizer.update=plain",) if plain != sizes.optimizer else ()))
    yield typed, changed
    if model.dtype == "float32":
        yield (*typed, "model.dtype=bfloat16"), replace(changed, model=replace(model, dtype="bfloat16"))


CHANGES: tuple[Changes, ...] = (smaller_micro_batch, _checkpointing, _sketch, low_rank)
"""The first two do not alter the result at all."""
