"""Training whose weights are bfloat16: with the descent record and through a resume point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.core.types import Encoded
from mollm_cli.data.batches import Stream
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.loop import Hooks, train
from mollm_cli.engine.selection import History
from mollm_cli.engine.stopping import Stop, StopRules
from mollm_cli.losses.mollm import mollm
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.steps import stepper
from tests.support.tiny import llama

CPU = torch.device("cpu")


def encoded(prefix, rows=7):
    rng = np.random.default_rng(len(prefix))
    ids = [tuple(int(x) for x in rng.integers(3, 48, size=6 + k % 3)) for k in range(rows)]
    return [Encoded(f"{prefix}{k}", row, (-100, -100, *row[2:])) for k, row in enumerate(ids)]


def job(update):
    model = llama(dtype=torch.bfloat16)
    optimizer = AdamW(update=update).build(model.parameters())
    return stepper(model, mollm(), DualSpaceMGDA(), optimizer=optimizer)


def go(step, steps, start=0, lr=1e-4):
    written = []
    streams = {role: Stream(encoded(role), 4, 0, 0) for role in ("forget", "retain")}
    engine = Engine(max_steps=steps, batch_size=4, evaluate_every=None)
    around = Hooks(dict, written.append, lambda number: None)
    train(step, streams, engine, AdamW(lr), StopRules(steps, Stop.MAX_STEPS), History(), around, CPU, start)
    return written


def weights(step):
    return torch.cat([p.detach().reshape(-1) for p in step.model.parameters()])


@pytest.mark.parametrize("update", ["plain", "stochastic_rounding", "master"])
def test_resume_equals_uninterrupted_to_the_bit(update, tmp_path):
    torch.manual_seed(3)
    whole = job(update)
    go(whole, 3)
    checkpoint.save(tmp_path, 3, whole, {})
    go(whole, 6, 3)
    torch.manual_seed(4)
    second = job(update)
    checkpoint.load(tmp_path, second)
    go(second, 6, 3)
    assert weights(whole).dtype == torch.bfloat16
    assert torch.equal(weights(whole), weights(second))


def test_a_small_rate_moves_more_weights_than_plain_bfloat16_lets_it():
    moved = {}
    for update in ("plain", "stochastic_rounding", "master"):
        torch.manual_seed(0)
        step = job(update)
        before = weights(step).clone()
        go(step, 6, lr=1e-5)
        moved[update] = (weights(step) != before).float().mean().item()
    assert moved["plain"] < 0.5 * moved["master"]
    assert moved["stochastic_rounding"] > 2 * moved["plain"]


@pytest.mark.parametrize("update", ["stochastic_rounding", "master"])
def test_the_rule_is_known_to_the_descent_record(update):
    """What AdamW meant to do is recorded; a copy's rounded weights do about that."""
    torch.manual_seed(0)
    records = go(job(update), 3, lr=1e-3)
    assert all(0.01 < record["moved"] <= 1 for record in records)
    for record in records:  # raw: what the optimizer did, before the guard corrected it
        raw = record.get("raw.cross_entropy", record["realised.cross_entropy"])
        assert record["predicted.cross_entropy"] == pytest.approx(raw, rel=0.1, abs=5e-4)


@pytest.mark.parametrize(("precision", "within"), [("float32", "highest"), ("bf16", "high")])
def test_products_of_float32_while_training_in_bf16(precision, within):
    seen = []
    around = Hooks(lambda: seen.append(torch.get_float32_matmul_precision()) or {}, lambda record: None, print)
    streams = {role: Stream(encoded(role), 4, 0, 0) for role in ("forget", "retain")}
    engine = Engine(max_steps=1, batch_size=4, evaluate_every=1, precision=precision)
    train(job("plain"), streams, engine, AdamW(), StopRules(1, Stop.MAX_STEPS), History(), around, CPU)
    assert seen == [within, within]
    assert torch.get_float32_matmul_precision() == "highest"
