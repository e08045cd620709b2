"""What is advised where a run does not fit: the change that alters the result least."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.planning import remedies
from mollm_cli.planning.memory_plan import MemoryPlan, Phase, Term
from mollm_cli.planning.remedies import low_rank, remedy, smaller_micro_batch
from mollm_cli.planning.sizes import Shape, Sizes
from tests.support.planned import planned

SIZES = planned(shapes=dict.fromkeys(("forget", "retain"), Shape(8, 16, 80, padded=True)))


def made_up(sizes: Sizes) -> MemoryPlan:
    """100, and less for each thing that takes less."""
    size = 92 + sizes.shapes["forget"].rows
    size -= 10 * sizes.model.activation_checkpointing + 10 * (sizes.direction.gram == "sketch")
    size -= 20 * (sizes.model.dtype == "bfloat16") + 40 * (sizes.model.adapter == "lora")
    return MemoryPlan((Phase("step", (Term("all", size),)),), (), (), 0, 0)


@pytest.fixture(autouse=True)
def _nothing_is_built(monkeypatch):
    monkeypatch.setattr(remedies, "least_bytes", lambda sizes: 0)


@pytest.mark.parametrize(
    ("capacity", "overrides"),
    [
        (96, ("engine.micro_batch=4",)),
        (93, ("engine.micro_batch=1",)),
        (90, ("model.activation_checkpointing=true",)),
        (60, ("model.adapter=lora",)),
        (40, ("model.adapter=lora", "model.dtype=bfloat16")),
        (32, ("model.activation_checkpointing=true", "model.adapter=lora", "model.dtype=bfloat16")),
        (13, (
            "engine.micro_batch=1", "model.activation_checkpointing=true", "direction.gram=sketch",
            "model.adapter=lora", "model.dtype=bfloat16",
        )),
    ],
)  # fmt: skip
def test_the_least_change_and_nothing_that_is_not_needed(capacity, overrides):
    found = remedy(SIZES, capacity, made_up)
    assert found is not None and found.overrides == overrides and found.peak <= capacity


def test_none_where_nothing_helps():
    assert remedy(SIZES, -1000, made_up) is None


def test_what_can_not_fit_is_not_estimated(monkeypatch):
    monkeypatch.setattr(remedies, "least_bytes", lambda sizes: 1000)
    assert remedy(SIZES, 999, lambda sizes: pytest.fail("estimated")) is None


def test_a_smaller_micro_batch_has_fewer_targets_and_one_row_no_padding():
    *_, (typed, single) = smaller_micro_batch(SIZES)
    assert typed == ("engine.micro_batch=1",) and single.engine.micro_batch == 1
    assert single.shapes["forget"] == Shape(1, 16, 10, padded=False)
    assert not list(smaller_micro_batch(single))


def test_no_sketch_for_what_works_on_gradients():
    assert not list(remedies._sketch(replace(SIZES, direction=Direction(metric="adam"))))
    assert not list(remedies._sketch(replace(SIZES, direction=Direction(scope="layer"))))


def test_matrices_of_an_adapter_are_float32_and_take_plain_updates():
    half = replace(SIZES, model=replace(SIZES.model, dtype="bfloat16"), optimizer=AdamW(update="master"))
    ((typed, changed),) = low_rank(half)
    assert typed == ("model.adapter=lora", "optimizer.update=plain") and changed.optimizer == AdamW()
    assert changed.reference == "adapter_off" and not list(low_rank(changed))
