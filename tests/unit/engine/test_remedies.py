"""What is advised where a run does not fit: the change that alters the result least."""

from __future__ import annotations

from dataclasses import replace

import pytest
from transformers import LlamaConfig

from mollm_cli.engine import remedies
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.facts import Asking, Facts, Shape
from mollm_cli.engine.planner import Plan
from mollm_cli.engine.remedies import remedy
from mollm_cli.engine.terms import Phase, Term
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.model_settings import Model
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import SGD, AdamW
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA

FACTS = Facts(
    Model("random"),
    LlamaConfig(),
    mollm(),
    DualSpaceMGDA(),
    Direction(),
    AdamW(),
    Engine(batch_size=8),
    dict.fromkeys(("forget", "retain"), Shape(8, 16, 80, padded=True)),
    Asking(),
    "copy",
    "cuda",
)


def made_up(facts: Facts) -> Plan:
    """100, and less for each thing that takes less."""
    size = 92 + facts.shapes["forget"].rows
    size -= 10 * facts.model.activation_checkpointing + 10 * (facts.reference != "copy")
    size -= 10 * (facts.direction.gram == "sketch") + 10 * isinstance(facts.optimizer, AdamW8bit)
    size -= 20 * (facts.model.dtype == "bfloat16") + {"none": 0, "lora": 40, "qlora": 50}[facts.model.adapter]
    return Plan((Phase("step", (Term("all", size),)),), (), (), 0, 0)


@pytest.fixture(autouse=True)
def _nothing_is_built(monkeypatch):
    monkeypatch.setattr(remedies, "least_bytes", lambda facts: 0)


@pytest.mark.parametrize(
    ("capacity", "overrides"),
    [
        (96, ("engine.micro_batch=4",)),
        (94, ("engine.micro_batch=2",)),
        (90, ("model.activation_checkpointing=true",)),
        (80, ("model.dtype=bfloat16", "optimizer.update=stochastic_rounding")),
        (60, ("model.adapter=lora",)),
        (41, ("model.adapter=qlora",)),
    ],
)
def test_one_change_where_one_is_enough(capacity, overrides):
    found = remedy(FACTS, capacity, made_up)
    assert found is not None
    assert found.overrides == overrides
    assert found.plan.peak.size <= capacity


def test_several_where_one_is_not_and_none_that_is_not_needed():
    found = remedy(replace(FACTS, device="cpu"), 49, made_up)
    assert found is not None
    assert found.overrides == (
        "engine.micro_batch=1",
        "model.activation_checkpointing=true",
        "model.reference=cache",
        "direction.gram=sketch",
        "model.dtype=bfloat16",
        "optimizer.update=stochastic_rounding",
    )


def test_none_where_nothing_helps():
    assert remedy(FACTS, -1000, made_up) is None


def test_what_can_not_fit_is_not_planned(monkeypatch):
    monkeypatch.setattr(remedies, "least_bytes", lambda facts: 1000)
    assert remedy(FACTS, 999, lambda facts: pytest.fail("planned")) is None


def test_a_smaller_micro_batch_has_fewer_targets_and_one_row_no_padding():
    single = list(remedies._smaller_micro_batch(FACTS))[-1]
    assert single.facts.shapes["forget"] == Shape(1, 16, 10, padded=False)
    assert single.facts.engine.micro_batch == 1


def test_moments_of_8_bits_are_adamws_on_one_card():
    asked = {
        "one card": FACTS,
        "replicas": replace(FACTS, engine=Engine(batch_size=8, processes=2)),
        "shards": replace(FACTS, engine=Engine(batch_size=8, processes=2, parallel="fsdp")),
        "no card": replace(FACTS, device="cpu"),
        "SGD": replace(FACTS, optimizer=SGD()),
    }
    both = [("optimizer=adamw_8bit",), ("optimizer=paged_adamw_8bit",)]
    found = {name: [change.overrides for change in remedies._eight_bits(facts)] for name, facts in asked.items()}
    assert found == {"one card": both, "replicas": both, "shards": [], "no card": [], "SGD": []}


def test_no_sketch_for_what_works_on_gradients():
    assert not list(remedies._sketch(replace(FACTS, direction=Direction(metric="adam"))))
    assert not list(remedies._sketch(replace(FACTS, direction=Direction(scope="layer"))))
