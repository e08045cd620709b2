"""The estimate: terms by hand, phases, and the figures of an 8B model that the documentation promises."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from transformers import LlamaConfig

from mollm_cli.core.errors import RequestError
from mollm_cli.core.shared import sharing
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.rmu import rmu
from mollm_cli.models.model_settings import Model
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.planning import estimate as room
from mollm_cli.planning.estimate import estimate, least_bytes
from mollm_cli.planning.memory_plan import MemoryPlan
from mollm_cli.planning.sizes import Scoring, Shape
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.cli import ROOT
from tests.support.planned import LAYER, OUTER, planned, small, terms

N = 2 * LAYER + OUTER
SKETCH = Direction(gram="sketch", sketch_buckets=64)
FEW = dict.fromkeys(("forget", "retain"), Shape(1, 4, 3, compared=100))
"""Batches beside which gradients are the most of it."""
CARD = 80 * 10**9
"""What a card of 80 GB has at the very least."""


@pytest.fixture(scope="module")
def usual() -> MemoryPlan:
    return estimate(planned())


@pytest.fixture
def unrehearsed(monkeypatch):
    """What takes the time is not what is asked for."""
    for work in ("passes", "scoring"):
        monkeypatch.setattr(room.rehearsal, work, lambda sizes, model: (Counter(), Counter()))


def test_terms_by_hand(usual):
    found = usual
    assert found.parameters == found.trained == N
    step = terms(found)
    assert (step["weights"], step["optimizer state"]) == (4 * N + 2 * 4 * 4, 8 * N)  # and the rotary frequencies
    assert step["reference"] == 4 * 97 * 32  # a frozen copy of the head
    disk = {term.name: term.size for term in found.disk}
    assert disk == {"checkpoint/": 4 * N, "resume/": 2 * 12 * N, "reference cache": 2 * 100 * 32 * 4}
    cache = 2 * 2 * 32 * 2 * 20 * 4
    assert terms(found, "evaluation")["keys and values"] == cache + 3 * 4 * 2 * 97
    assert found.peak.size == max(phase.size for phase in found.phases)
    assert [each.name for each in found.phases] == ["loading", "evaluation", "reference", "step", "progress evaluation"]


@pytest.mark.parametrize(("compiled", "kernels"), [(True, room.KERNELS), (False, 0)])
def test_kernels_of_half_precision_count_where_the_processor_compiles_them(compiled, kernels, unrehearsed, monkeypatch):
    monkeypatch.setattr(room, "compiles_half", lambda: compiled)
    whole, half = (
        terms(estimate(planned(model=Model("random", dtype=dtype), base=1, device="cpu")))["process"]
        for dtype in ("float32", "bfloat16")
    )
    assert half - whole == kernels


@pytest.mark.slow
def test_three_rows_a_direction_and_the_guards_copy_against_one_gradient():
    exact, sketched = (terms(estimate(planned(direction=d, shapes=FEW))) for d in (Direction(), SKETCH))
    assert exact["gradients"] + exact["direction"] >= 5 * 4 * N
    assert 4 * N <= sketched["gradients"] <= 5 * 4 * N


def test_on_a_cpu_the_process_counts_and_copies_stay():
    found = estimate(planned(device="cpu", base=1000))
    step = terms(found)
    assert step["process"] == 1000 + room.LATER
    assert terms(found, "evaluation")["process"] == step["process"] + 97 * room.TOKENIZER
    assert step["direction and copy"] == 2 * 4 * N
    assert step["scattered"] > room.SCATTERED * step["activations"]
    assert "CUDA" not in step and "process" not in terms(estimate(planned(device="cpu")))


def test_an_evaluation_is_rehearsed_once_for_all_changes_to_a_step(unrehearsed, monkeypatch):
    seen = []
    monkeypatch.setattr(room.rehearsal, "scoring", lambda sizes, whole: seen.append(sizes) or (Counter(), Counter()))
    one = planned()
    with sharing():
        for changed in (one, replace(one, shapes=FEW), replace(one, model=Model("random", adapter="lora"))):
            estimate(changed)
    assert len(seen) == 2, "with and without the adapter"


@pytest.mark.usefixtures("unrehearsed")
def test_a_file_of_another_type_is_there_while_it_is_loaded():
    config = small()
    config.dtype = "bfloat16"
    full = planned(config=config, model=Model("somewhere"))
    assert terms(estimate(full), "loading")["weight file"] == 2 * N
    half = planned(config=config, model=Model("somewhere", dtype="bfloat16"))
    assert "weight file" not in terms(estimate(half), "loading")


@pytest.mark.slow
def test_smaller_batches_take_less():
    whole, half = (planned(shapes=dict.fromkeys(("forget", "retain"), Shape(k, 64, 6 * k))) for k in (4, 1))
    assert terms(estimate(half))["activations"] < terms(estimate(whole))["activations"]


@pytest.mark.usefixtures("unrehearsed")
def test_a_second_model_is_there_twice():
    assert terms(estimate(planned(reference="copy")))["reference"] >= 4 * N


def test_shards_by_hand():
    found = estimate(planned(engine=Engine(batch_size=2, processes=2, parallel="fsdp"), shapes=FEW))
    step, one = terms(found), terms(estimate(planned(engine=Engine(batch_size=1), shapes=FEW)))
    assert step["weights"] == (4 * N + 2 * 4 * 4) // 2
    assert step["optimizer state"] == 8 * N // 2
    assert step["gathered weights"] == 4 * (2 * LAYER + OUTER)
    assert step["reduction"] == (4 + 2 * 4) * max(LAYER, OUTER)
    assert step["reference"] == 4 * 97 * 32  # each has the whole head
    assert step["gradients"] == pytest.approx(one["gradients"] / 2, rel=0.02)
    assert [(term.name, term.size) for term in found.host] == [("weights", 4 * N), ("first step", 2 * N)]
    assert {term.name: term.size for term in found.disk}["resume/"] == 2 * 12 * N  # whole tensors
    assert terms(found, "evaluation")["gathered weights"] == step["gathered weights"]


@pytest.mark.usefixtures("unrehearsed")
def test_replicas_sum_in_float32(usual):
    full = terms(estimate(planned(engine=Engine(batch_size=4, processes=2))))
    half = terms(estimate(planned(engine=Engine(batch_size=4, processes=2), model=Model("random", dtype="bfloat16"))))
    assert full["sums"] == half["sums"] == 4 * N  # less than a bucket has
    assert "sums" not in terms(usual)


@pytest.mark.usefixtures("unrehearsed")
def test_an_adapter_trains_little_and_is_merged_into_a_copy():
    found = estimate(planned(model=Model("random", adapter="lora"), reference="adapter_off"))
    assert found.trained < found.parameters / 2
    assert terms(found, "saving")["merged copy"] == 4 * N
    assert terms(found)["reference"] == 0
    sharded = Engine(batch_size=4, processes=2, parallel="fsdp")
    cut = estimate(planned(model=Model("random", adapter="lora"), reference="adapter_off", engine=sharded))
    assert "saving" not in [phase.name for phase in cut.phases]  # in main memory


@pytest.mark.usefixtures("unrehearsed")
def test_attacks_hold_what_trains_them():
    found = estimate(planned(scoring=Scoring(2, 16, 12, 4, gradients=True, attacked=4)))
    assert terms(found, "attacks")["weights"] == 4 * 4 * N
    assert terms(found, "evaluation")["gradients"] == 4 * N


@pytest.mark.usefixtures("unrehearsed")
def test_paged_state_is_beside_the_card():
    found = estimate(planned(optimizer=AdamW8bit(paged=True)))
    assert terms(found)["optimizer state"] == 0
    assert [term.name for term in found.host] == ["optimizer state", "first step"]


@pytest.mark.slow
def test_activations_are_computed_again():
    wide = dict.fromkeys(("forget", "retain"), Shape(4, 64, 24))
    kept, again = (
        terms(estimate(planned(config=small(6), model=model, shapes=wide, solver=WeightedSum(), device="cpu")))
        for model in (Model("random"), Model("random", activation_checkpointing=True))
    )
    assert again["activations"] < kept["activations"] / 1.5


def test_the_least_is_below_the_estimate(usual):
    assert 4 * usual.parameters < least_bytes(planned()) < usual.peak.size


def test_a_loss_that_does_not_fit_the_model_is_refused():
    with pytest.raises(RequestError, match=r"loss.layer must be a layer of the model"):
        estimate(planned(loss=rmu(layer=7), solver=WeightedSum()))


def test_code_that_reads_values_has_no_plan(monkeypatch):
    def broken(*_: object) -> None:
        raise NotImplementedError("reads\nvalues")

    monkeypatch.setattr(room.rehearsal, "passes", broken)
    with pytest.raises(RequestError, match=r"model.path=random: to plan a run .* found NotImplementedError: reads\."):
        estimate(planned())


def llama_3_8b(**changes):
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    )
    given = planned(
        config=config,
        model=Model("random", dtype="bfloat16", activation_checkpointing=True),
        optimizer=AdamW8bit(update="stochastic_rounding", paged=True),
        shapes=dict.fromkeys(("forget", "retain"), Shape(4, 512, 512)),
        scoring=Scoring(4, 512, 512, 64),
    )
    return replace(given, **changes)


@pytest.mark.parametrize(("gram", "fits"), [("sketch", True), ("exact", False)])
@pytest.mark.slow
def test_eight_billion_parameters_fit_a_card_of_80_gb_without_gradient_rows(gram, fits):
    found = estimate(llama_3_8b(direction=Direction(gram=gram)))
    assert found.trained == 8_030_261_248
    assert (found.peak.size < CARD) is fits


@pytest.mark.slow
def test_eight_billion_parameters_under_lora():
    model = Model("random", dtype="bfloat16", adapter="lora", activation_checkpointing=True)
    found = estimate(llama_3_8b(model=model, reference="adapter_off", optimizer=AdamW()))
    assert found.peak.size < CARD / 2


def llama_3_70b(gram: str = "sketch", update: str = "plain") -> dict[str, float]:
    """GB of each term, on each of 16 cards."""
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=8192,
        intermediate_size=28_672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
    )
    given = planned(
        config=config,
        model=Model("random", dtype="bfloat16", activation_checkpointing=True),
        engine=Engine(batch_size=16, processes=16, parallel="fsdp"),
        direction=Direction(gram=gram),
        optimizer=AdamW(update=update),
        shapes=dict.fromkeys(("forget", "retain"), Shape(1, 512, 512)),
        scoring=Scoring(1, 512, 512, 64),
    )
    found = estimate(given)
    step = {name: size / 1e9 for name, size in terms(found).items()}
    return step | {"together": found.peak.size / 1e9}


@pytest.mark.slow
def test_seventy_billion_parameters_on_sixteen_gpus_as_documented():
    page = (ROOT / "docs" / "SCALING.md").read_text(encoding="utf-8")
    sketch = llama_3_70b()
    sketch["activations and logits"] = sketch["activations"] + sketch["logits"]
    told = {
        "weights": "8.8", "optimizer state": "17.6", "gradients": "9.2", "gathered weights": "7.6",
        "reduction": "21.0", "reference": "2.1", "activations and logits": "0.7", "sketches": "0.3", "CUDA": "4.0",
    }  # fmt: skip
    for name, number in told.items():
        assert f"{sketch[name]:.1f}" == number and f"| {number}" in page, name
    both = f"{sketch['together']:.1f} ({llama_3_70b(update='stochastic_rounding')['together']:.1f})"
    assert f"| {both} |" in page and f"| {llama_3_70b('exact')['together']:.1f} |" in page
