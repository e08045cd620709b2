"""Twins are the engine's equals, all rows work on the same, and nothing rests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.contender import EVERY_ROW, RestingObjectiveError, Row, engine, require_live, taking_part
from benchmarks.rows import ROWS
from benchmarks.workload import LR, Workload, move
from mollm_cli.core.solution import Status
from mollm_cli.core.types import IGNORE
from mollm_cli.engine.result import StepResult
from mollm_cli.losses.mollm import mollm
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA

TINY = Workload("tiny", batch=2, tokens=12, answer=4)
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")  # TorchJD's vmap, where it is installed
BY_NAME = {row.name: row for row in ROWS}


def parameters(contender):
    return torch.cat([p.detach().reshape(-1) for p in contender.model.parameters()])


@pytest.mark.parametrize(
    ("ours", "twin"),
    [
        ("ga_kl", "plain_ga_kl"),
        ("ga_kl", "ga_kl_copy"),
        ("mollm", "plain_mollm"),
        ("mollm", "mollm_copy"),
        ("mollm", "mollm_unlogged"),
        ("mollm", "mollm_refresh4"),
    ],
)
def test_a_twin_has_the_losses_of_the_engine_and_makes_the_same_step(ours, twin):
    fast, slow = (BY_NAME[name].build(TINY, 1) for name in (ours, twin))
    start = parameters(fast)
    batches = TINY.batches(0)
    losses, expected = fast.step(batches), slow.step(batches)
    assert losses.keys() == expected.keys()
    assert losses == pytest.approx(expected, rel=1e-5)
    moved = parameters(fast)
    assert (moved - start).abs().max() > 0.5 * LR  # Adam's first step is about LR in every coordinate
    assert (moved - parameters(slow)).abs().max() < 0.05 * LR


def test_under_lora_the_adapter_alone_is_trained_and_the_kl_is_alive():
    contender = BY_NAME["mollm_lora"].build(TINY, 1)
    trained = {name for name, p in contender.model.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    start = {name: p.detach().clone() for name, p in contender.model.named_parameters()}
    assert contender.step(TINY.batches(0))["forward_kl"] > 0
    changed = {name for name, p in contender.model.named_parameters() if not torch.equal(p, start[name])}
    assert changed == trained


def test_every_row_has_the_same_dropout_and_the_same_start():
    for row in ROWS:
        if row.missing is None:
            model = row.build(TINY, row.period).model
            assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} <= {0.0}
            assert model.config.attention_dropout == 0.0
            if row.name == "fill_cache" or row.name.endswith("lora"):
                continue
            expected = TINY.model()
            move(expected)
            assert torch.equal(
                parameters(row.build(TINY, row.period)), torch.cat([p.reshape(-1) for p in expected.parameters()])
            )


def test_openunlearning_averages_the_kl_over_every_position():
    contender, batches = BY_NAME["openunlearning_ga_kl"].build(TINY, 1), TINY.batches(0)
    ids = batches["retain"].input_ids
    with torch.no_grad():
        log_p, log_q = (m(input_ids=ids).logits.log_softmax(-1) for m in (contender.model, TINY.model()))
    kl = (log_q.exp() * (log_q - log_p)).sum() / ids.numel()
    ascent = BY_NAME["ga"].build(TINY, 1).step(batches)["gradient_ascent"]
    assert contender.step(batches) == pytest.approx({"gradient_ascent": ascent, "forward_kl": float(kl)}, rel=1e-5)


@pytest.mark.parametrize("size", ["5m", "25m", "125m"])
def test_a_size_is_what_its_name_says(size):
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(Workload(size).config())
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(int(size[:-1]) * 1e6, rel=0.06)
    assert model.config.vocab_size == 16_000


def test_batches_are_fresh_and_their_targets_are_the_answer():
    first, again, other = TINY.batches(0), TINY.batches(0), TINY.batches(1)
    assert torch.equal(first["retain"].input_ids, again["retain"].input_ids)
    assert not torch.equal(first["retain"].input_ids, other["retain"].input_ids)
    assert not torch.equal(first["retain"].input_ids, first["forget"].input_ids)
    assert ((first["forget"].labels != IGNORE).sum(1) == TINY.answer).all()


def test_a_resting_objective_is_refused():
    require_live(np.array([True, True]))
    with pytest.raises(RestingObjectiveError, match=r"every objective must be live.*\[True, False\]"):
        require_live(np.array([True, False]))


def test_a_step_with_a_resting_objective_ends_the_benchmark():
    resting = engine(mollm, DualSpaceMGDA, direction=replace(EVERY_ROW, kl_budget=100.0))(TINY, 1)
    with pytest.raises(RestingObjectiveError, match="must be live"):
        resting.step(TINY.batches(0))


def test_who_takes_part_in_a_step():
    def result(weights, **known):
        return StepResult(np.zeros(2), np.array(weights), 1.0, None, 1, **known)

    assert taking_part(result([0.5, 0.0]), None).tolist() == [True, False]
    reused = result([0.5, 0.0], status=Status.REUSED)
    assert taking_part(reused, np.array([0.5, 0.0])).tolist() == [True, True]
    assert taking_part(reused, np.array([0.5, 0.7])).tolist() == [True, False]


def test_without_its_package_a_row_says_so():
    row = Row("absent", "", BY_NAME["ga"].build, requires="no_such_package")
    assert row.missing == "no_such_package is not installed"
    assert BY_NAME["ga"].missing is None


@pytest.mark.parametrize(("key", "value"), [("size", "7b"), ("precision", "int4")])
def test_a_workload_names_its_choices(key, value):
    with pytest.raises(ValueError, match=f"--{key} must be one of .*, found {value}"):
        Workload(**{key: value})
