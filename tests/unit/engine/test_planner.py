"""The memory plan: terms, phases, and the figures of an 8B model that the documentation promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig

from mollm_cli.core.errors import RequestError
from mollm_cli.engine import rehearsed_step
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.facts import Asking, Facts, Shape
from mollm_cli.engine.planner import Plan, least_bytes, plan
from mollm_cli.gradients import inner
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.ga import ga
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.rmu import rmu
from mollm_cli.models.model_settings import Model
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum

CARD = 80 * 10**9
"""What a card of 80 GB has at the very least."""


def small() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
    )


def facts(**changes) -> Facts:
    loss = changes.pop("loss", mollm())
    shape = Shape(4, 16, 24, compared=100)
    given = {
        "model": Model("random"),
        "config": small(),
        "loss": loss,
        "solver": DualSpaceMGDA(),
        "direction": Direction(),
        "optimizer": AdamW(),
        "engine": Engine(batch_size=4),
        "shapes": dict.fromkeys(loss.roles, shape),
        "asking": Asking(2, 16, 12, 4),
        "reference": "cache",
        "device": "cuda",
    }
    return Facts(**(given | changes))


def sizes(found: Plan, phase: str = "step") -> dict[str, int]:
    (terms,) = [each.terms for each in found.phases if each.name == phase]
    return {term.name: term.size for term in terms}


def test_terms_by_hand():
    found = plan(facts())
    n = 2 * 97 * 32 + 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32
    assert found.parameters == found.trained == n
    terms = sizes(found)
    assert (terms["weights"], terms["optimizer state"]) == (4 * n + 2 * 4 * 4, 8 * n)  # and the rotary frequencies
    assert terms["reference"] == 4 * 97 * 32  # a frozen copy of the head
    disk = {term.name: term.size for term in found.disk}
    assert disk == {"checkpoint/": 4 * n, "resume/": 2 * 12 * n, "reference cache": 2 * 100 * 32 * 4}
    assert sizes(found, "evaluation")["keys and values"] == 2 * 2 * 32 * 2 * 20 * 4
    assert found.peak.size == max(phase.size for phase in found.phases)


def test_rows_in_main_memory_and_paged_moments_by_hand():
    n = plan(facts()).trained
    host = plan(facts(direction=Direction(rows="host"))).host
    assert [(term.name, term.size) for term in host] == [("gradient rows", 3 * 4 * n)]
    assert plan(facts(direction=Direction(rows="host"), device="cpu")).host == ()
    held = 4 * n + 2 * 4 * 4 + 4 * n  # weights, rotary frequencies and a gradient
    assert least_bytes(facts()) == held + 8 * n
    assert least_bytes(facts(optimizer=AdamW8bit(paged=True))) == held


@pytest.mark.parametrize(("on_cpu", "length"), [(True, 4), (False, 8)])
def test_two_blocks_are_as_long_as_on_the_device_that_is_meant(on_cpu, length, monkeypatch):
    monkeypatch.setattr(inner, "BLOCK", 4)
    monkeypatch.setattr(inner, "DEVICE_BLOCK", 8)
    with rehearsed_step._few_blocks(on_cpu):
        blocks = list(inner.cut([torch.zeros(100)], torch.device("meta")))
    assert [len(x) for (x,) in blocks] == [length, length]


def test_three_rows_a_direction_and_the_guards_copy_against_one_gradient():
    n = plan(facts()).trained
    exact = sizes(plan(facts()))["gradients"]
    assert exact >= 5 * 4 * n
    sketched = Direction(gram="sketch", sketch_buckets=64)  # blocks smaller than the matrices that they stand for
    assert sizes(plan(facts(direction=sketched)))["gradients"] <= exact - 3 * 4 * n


def test_smaller_pieces_take_less_and_a_second_model_more():
    whole = plan(facts(shapes=dict.fromkeys(("forget", "retain"), Shape(4, 64, 24)))).phases[0].size
    half = plan(facts(shapes=dict.fromkeys(("forget", "retain"), Shape(1, 64, 6)))).phases[0].size
    assert half < whole
    assert sizes(plan(facts(reference="copy")))["reference"] > 4 * plan(facts()).parameters - 1


def test_shards_by_hand():
    shapes = dict.fromkeys(("forget", "retain"), Shape(1, 4, 3, compared=100))  # gradients are the most of it
    one = sizes(plan(facts(engine=Engine(batch_size=1), shapes=shapes)))
    found = plan(facts(engine=Engine(batch_size=2, processes=2, parallel="fsdp"), shapes=shapes))
    terms = sizes(found)
    layer, outer = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32, 2 * 97 * 32 + 32
    n = 2 * layer + outer
    assert terms["weights"] == (4 * n + 2 * 4 * 4) // 2
    assert terms["optimizer state"] == 8 * n // 2
    assert terms["gathered weights"] == 4 * (2 * layer + outer)
    assert terms["reduction"] == (4 + 2 * 4) * max(layer, outer)
    assert terms["reference"] == 4 * 97 * 32  # each has the whole head
    assert terms["gradients"] == pytest.approx(one["gradients"] / 2, rel=0.02)
    assert [(term.name, term.size) for term in found.host] == [("weights", 4 * n)]
    assert {term.name: term.size for term in found.disk}["resume/"] == 2 * 12 * n  # whole tensors
    assert sizes(found, "evaluation")["gathered weights"] == terms["gathered weights"]


def test_of_shards_the_weighted_gradient_is_added_to_the_one_that_is_held():
    shapes = dict.fromkeys(("forget", "retain"), Shape(1, 4, 3, compared=100))
    engine = Engine(batch_size=2, processes=2, parallel="fsdp")
    found = plan(facts(direction=Direction(gram="sketch", sketch_buckets=64), engine=engine, shapes=shapes))
    assert sizes(found)["gradients"] == pytest.approx(4 * found.trained / 2, rel=0.02)


def test_every_objective_has_a_weight_in_a_rehearsal(monkeypatch):
    """One without would let go of its gradient, and the plan would be too small."""
    put = []
    monkeypatch.setattr(rehearsed_step._Shards, "put_back", lambda self, k, part: put.append(part is not None))
    plan(facts(direction=Direction(gram="sketch", sketch_buckets=64), engine=Engine(processes=2, parallel="fsdp")))
    assert put and all(put)


def test_the_largest_group_may_be_a_layer():
    config = small()
    config.intermediate_size = 1024
    layer = 4 * 32 * 32 + 3 * 32 * 1024 + 2 * 32
    found = plan(facts(config=config, engine=Engine(batch_size=4, processes=2, parallel="fsdp")))
    assert sizes(found)["reduction"] == 12 * layer


def test_replicas_by_hand():
    one, two = facts(), facts(engine=Engine(batch_size=4, processes=2))
    alone, found = sizes(plan(one)), sizes(plan(two))
    assert found.pop("CUDA") > alone.pop("CUDA")  # a share of all the rest
    tensors, objectives = 2 * 9 + 3, 3
    assert sum(found.values()) == sum(alone.values()) + 4 * objectives * tensors  # a bucket says who is reached
    assert (one.micro_batches, two.micro_batches) == (1, 1)
    assert replace(two, engine=Engine(batch_size=17, processes=2)).micro_batches == 3  # 9 rows, 4 at a time


@pytest.mark.parametrize(
    ("direction", "each"),
    [
        (Direction(), 3 * 2 + 2 + 2),  # rows, direction, the guard's copy: rows leave float32 one after the other
        (Direction(rows="host"), 3 * 4),  # those of the host come to the card
        (Direction(gram="sketch", sketch_buckets=64), 2),
    ],
)
def test_half_precision_is_added_up_in_float32(direction, each):
    shapes = dict.fromkeys(("forget", "retain"), Shape(1, 4, 3, compared=100))
    given = facts(model=Model("random", dtype="bfloat16"), direction=direction, shapes=shapes)
    found = plan(replace(given, engine=Engine(batch_size=2, processes=2)))
    assert sizes(found)["gradients"] == pytest.approx(each * found.trained, rel=0.005)


def test_what_adds_a_gradient_up_is_there_when_activations_are_not():
    """More than them, it is the peak: the gradient and its sum in buckets."""
    half, shapes = Model("random", dtype="bfloat16"), {"forget": Shape(1, 2, 1, compared=1)}
    given = facts(model=half, loss=ga(), solver=WeightedSum(), reference="none", shapes=shapes)
    alone, found = (sizes(plan(replace(given, engine=Engine(batch_size=n, processes=n)))) for n in (1, 2))
    assert alone["gradients"] <= 2 * plan(given).trained
    assert found["gradients"] == pytest.approx((4 + 2) * plan(given).trained, rel=0.005)


def test_an_adapter_of_shards_is_merged_in_main_memory():
    sharded = Engine(batch_size=4, processes=2, parallel="fsdp")
    found = plan(facts(model=Model("random", adapter="lora"), reference="adapter_off", engine=sharded))
    assert "merging the adapter" not in [phase.name for phase in found.phases]


def test_an_adapter_trains_little_and_is_merged_into_a_copy():
    found = plan(facts(model=Model("random", adapter="lora"), reference="adapter_off"))
    assert found.trained < found.parameters / 2
    assert [phase.name for phase in found.phases] == [
        "step",
        "progress evaluation",
        "evaluation",
        "merging the adapter",
    ]
    assert sizes(found)["reference"] == 0


def test_paged_state_is_beside_the_card():
    found = plan(facts(optimizer=AdamW8bit(paged=True)))
    assert sizes(found)["optimizer state"] == 0
    assert [term.name for term in found.host] == ["optimizer state"]


def test_activations_are_computed_again():
    wide = dict.fromkeys(("forget", "retain"), Shape(4, 64, 24))
    kept = plan(facts(shapes=wide, solver=WeightedSum()))
    again = plan(facts(model=Model("random", activation_checkpointing=True), shapes=wide, solver=WeightedSum()))
    assert sizes(again)["activations"] < sizes(kept)["activations"] / 1.5


def test_the_least_is_below_the_plan():
    given = facts()
    assert 4 * plan(given).parameters < least_bytes(given) < plan(given).peak.size


def test_a_loss_that_does_not_fit_the_model_is_refused():
    with pytest.raises(RequestError, match=r"loss.layer must be a layer of the model"):
        plan(facts(loss=rmu(layer=7), solver=WeightedSum()))


def test_code_that_reads_values_has_no_plan(monkeypatch):
    def broken(*_: object) -> None:
        raise NotImplementedError("reads\nvalues")

    monkeypatch.setattr("mollm_cli.engine.planner.rehearsed_step", broken)
    with pytest.raises(RequestError, match=r"model.path=random: to plan a run .* found NotImplementedError: reads\."):
        plan(facts())


def llama_3_8b(**changes) -> Facts:
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    )
    return (
        facts(
            config=config,
            model=Model("random", dtype="bfloat16", activation_checkpointing=True),
            optimizer=AdamW8bit(update="stochastic_rounding", paged=True),
            shapes=dict.fromkeys(("forget", "retain"), Shape(4, 512, 512)),
            asking=Asking(4, 512, 512, 64),
        )
        if not changes
        else replace(llama_3_8b(), **changes)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("gram", "fits"), [("sketch", True), ("exact", False)])
def test_eight_billion_parameters_fit_a_card_of_80_gb_without_gradient_rows(gram, fits):
    found = plan(llama_3_8b(direction=Direction(gram=gram)))
    assert found.trained == 8_030_261_248
    assert (found.peak.size < CARD) is fits


@pytest.mark.slow
def test_eight_billion_parameters_under_lora():
    model = Model("random", dtype="bfloat16", adapter="lora", activation_checkpointing=True)
    found = plan(llama_3_8b(model=model, reference="adapter_off", optimizer=AdamW()))
    assert found.peak.size < CARD / 2
