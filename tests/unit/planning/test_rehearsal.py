"""A rehearsal against real tensors: the same storages, at the same time; and few layers against all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config

from benchmarks.memory import peak_on_cpu
from mollm_cli.engine.batch_losses import BatchLosses, Forwards
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.losses.ga import ga
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Reference
from mollm_cli.planning import rehearsal
from mollm_cli.planning.blueprint import blueprint
from mollm_cli.planning.rehearsal import Ledger, _batch, passes, scoring
from mollm_cli.planning.sizes import Scoring, Shape
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.planned import planned, small

GEMMA = Gemma2Config(**(small().to_dict() | {"model_type": "gemma2", "head_dim": 8}))
"""It does something to the logits behind its head."""
LONG = Shape(4, 48, 150, padded=True)


def booked(work) -> int:
    ledger = Ledger(frozenset(), 1000)
    with ledger:
        work()
    return ledger.most.total()


def test_the_peak_is_what_lives_at_one_time():
    x = torch.zeros(10)

    def work():
        a = x + 1
        b = a * 2
        del a
        c = b + b.sum()
        del b, c

    assert booked(work) == 40 + 40 + 4


def test_views_and_changes_in_place_take_nothing():
    x = torch.zeros(4, 4)

    def work():
        x.view(16).add_(1).mul_(2)
        x.t()[1:].zero_()
        x[0].copy_(x[1])

    assert booked(work) == 0


def test_uses_are_told_by_their_shapes():
    ledger = Ledger(frozenset({(4, 4)}), 1000)
    with ledger:
        kept = [torch.zeros(4, 4), torch.zeros(3, 1000), torch.zeros(7)]
    assert kept and ledger.most == {"gradients": 64, "logits": 12_000, "activations": 28}


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        (GEMMA, "bf16"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in ((small(), "float32"), (small(), "bf16"), (GEMMA, "float32"))
        ),
    ],
)
def test_the_passes_of_a_real_model_take_as_much(config, precision):
    """The same forward and backward pass on weights that are there."""
    given = planned(config=config, loss=ga(), solver=WeightedSum(), reference="none", shapes={"forget": LONG})
    given = replace(given, engine=Engine(batch_size=4, precision=precision))
    model = AutoModelForCausalLM.from_config(config).train()

    def work() -> None:
        forwards = Forwards(model, Reference(model, "none"), ga(), precision == "bf16")
        for ((_, value),) in BatchLosses(forwards, {"forget": [_batch(LONG)]}).of(((0,), ("forget",))):
            value.backward()

    found = passes(given, blueprint(given.model, config))[0].total()
    assert found == pytest.approx(peak_on_cpu(work), rel=0.001)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"solver": WeightedSum(), "device": "cpu"}, Shape(1, 4, 3)),
        *(
            pytest.param(*few, marks=pytest.mark.slow)
            for few in (
                ({}, LONG),
                ({"model": Model("random", adapter="lora"), "reference": "adapter_off"}, LONG),
                ({"model": Model("random", activation_checkpointing=True), "reference": "copy"}, LONG),
                ({"engine": Engine(batch_size=8)}, LONG),
                ({}, Shape(1, 4, 3)),
            )
        ),
    ],
)
def test_few_layers_tell_what_all_of_them_take(changes, shape, monkeypatch):
    given = planned(config=small(5), shapes=dict.fromkeys(("forget", "retain"), shape), **changes)
    whole = blueprint(given.model, given.config)
    few = passes(given, whole)
    monkeypatch.setattr(rehearsal, "_alike", lambda model: False)
    assert few == passes(given, whole)


def test_layers_that_differ_are_all_rehearsed():
    model = blueprint(Model("random"), small(7))
    assert rehearsal._alike(model)
    model.model.layers[3].mlp = torch.nn.Linear(2, 2)
    assert not rehearsal._alike(model)


@pytest.mark.slow
def test_more_micro_batches_keep_a_row_while_the_next_is_made():
    shapes, whole = dict.fromkeys(("forget", "retain"), Shape(1, 4, 3)), blueprint(Model("random"), small())
    one, two = (passes(planned(engine=Engine(batch_size=n), shapes=shapes), whole)[0] for n in (1, 2))
    assert two["gradients"] > one["gradients"]


def test_an_evaluation_keeps_no_graph():
    given = planned(config=small(6), scoring=Scoring(4, 48, 150))
    whole = blueprint(given.model, given.config)
    shapes = dict.fromkeys(("forget", "retain"), LONG)
    assert scoring(given, whole)[0].total() < passes(replace(given, shapes=shapes), whole)[1]["activations"] / 2
