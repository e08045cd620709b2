"""The loop: stop rules, schedules, resume = uninterrupted, signals, and what it writes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from mollm_cli.core.errors import InterruptionError, NonFiniteError, RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.data.batches import Stream
from mollm_cli.engine.device import peak_memory_bytes, pick
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.loop import Hooks, train
from mollm_cli.engine.selection import History
from mollm_cli.engine.stopping import Stop, StopRules
from mollm_cli.losses.mollm import mollm
from mollm_cli.optimizers.rules import SGD, AdamW, scheduled
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.steps import stepper
from tests.support.tiny import llama

CPU = torch.device("cpu")


def encoded(prefix, rows=7):
    rng = np.random.default_rng(len(prefix))
    ids = [tuple(int(x) for x in rng.integers(3, 48, size=6 + k % 3)) for k in range(rows)]
    return [Encoded(f"{prefix}{k}", row, (-100, -100, *row[2:])) for k, row in enumerate(ids)]


def job(optimizer=None, seed=0):
    model = llama(seed=seed)
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), 1e-3)
    optimizer.param_groups[0]["params"] = list(model.parameters())
    streams = {r: Stream(encoded(r), 4, 0, 0) for r in ("forget", "retain")}
    return stepper(model, mollm(), DualSpaceMGDA(), optimizer=torch.optim.AdamW(model.parameters(), 1e-3)), streams


def around(written=None, save=lambda step: None, evaluate=dict, signalled=lambda: None, keep=lambda step: None):
    return Hooks(evaluate, (written if written is not None else []).append, save, signalled, keep)


def weights(step):
    return torch.cat([p.detach().reshape(-1) for p in step.model.parameters()])


def go(step, streams, steps, start=0, engine=None, surroundings=None, limits=None, history=None):
    engine = engine or Engine(max_steps=steps, batch_size=4, evaluate_every=None)
    limits = limits or StopRules(steps, Stop.MAX_STEPS)
    history = history or History()
    return train(step, streams, engine, AdamW(1e-3), limits, history, surroundings or around(), CPU, start)


def test_resume_equals_uninterrupted_to_the_bit(tmp_path):
    whole, streams = job()
    go(whole, streams, 9)
    first, streams = job()
    go(first, streams, 5)
    checkpoint.save(tmp_path, 5, first, {"note": 1})
    second, streams = job()
    start, extra = checkpoint.load(tmp_path, second)
    assert (start, extra) == (5, {"note": 1})
    go(second, streams, 9, start)
    assert torch.equal(weights(whole), weights(second))
    assert not torch.equal(weights(whole), weights(first))


def test_a_resume_point_restores_the_random_generator(tmp_path):
    step, _ = job()
    torch.manual_seed(5)
    checkpoint.save(tmp_path, 1, step, {})
    expected = torch.rand(3)
    torch.rand(10)
    checkpoint.load(tmp_path, step)
    assert torch.equal(torch.rand(3), expected)


def test_only_the_newest_point_stays_and_a_torn_one_is_not_seen(tmp_path):
    step, streams = job()
    go(step, streams, 1)
    checkpoint.save(tmp_path, 1, step, {})
    checkpoint.save(tmp_path, 2, step, {})
    checkpoint.save(tmp_path, 2, step, {})
    assert [p.name for p in checkpoint.points(tmp_path)] == ["step-00000002"]
    torn = tmp_path / "step-00000009"
    torn.mkdir()
    (torn / "state.json").write_text("{}")
    assert checkpoint.load(tmp_path, step)[0] == 2


def test_load_refuses_nothing_and_another_model(tmp_path):
    step, _ = job()
    with pytest.raises(RequestError, match="holds no resume point"):
        checkpoint.load(tmp_path, step)
    checkpoint.save(tmp_path, 1, step, {})
    other = llama(hidden=16)
    with pytest.raises(RequestError, match="missing or of another shape"):
        checkpoint.load(tmp_path, stepper(other, mollm(), DualSpaceMGDA()))


def test_the_record_of_a_step_has_the_names_of_the_contract():
    step, streams = job()
    written = []
    go(step, streams, 2, surroundings=around(written))
    names = ("unlearning_cross_entropy", "cross_entropy", "forward_kl")
    record = json.loads(json.dumps(written[1]))
    for name in names:
        for key in ("loss", "weight", "simplex", "norm", "aligned", "predicted", "realised", "live"):
            assert f"{key}.{name}" in record
    assert "cosine.unlearning_cross_entropy.cross_entropy" in record
    assert "cosine.cross_entropy.forward_kl" in record
    assert record["status"] == "converged"
    assert record["learning_rate"] == 1e-3
    assert {"gradient_norm", "tokens_per_second", "step", "forget_probability"} <= set(record)
    assert record["loss.forward_kl"] > 0 == written[0]["loss.forward_kl"]


def test_evaluations_come_at_step_0_every_n_and_at_the_end():
    step, streams = job()
    written = []
    engine = Engine(max_steps=5, batch_size=4, evaluate_every=2, log_every=5)
    go(step, streams, 5, engine=engine, surroundings=around(written, evaluate=lambda: {"forget_probability": 1.0}))
    assert [r["step"] for r in written if "evaluation.forget_probability" in r] == [0, 2, 4, 5]
    assert [r["step"] for r in written if "status" in r] == [5]


def test_the_forget_target_stops_the_run():
    step, streams = job()
    values = iter([0.9, 0.8, 0.5, 0.1])
    engine = Engine(max_steps=9, batch_size=4, evaluate_every=1)
    limits = StopRules(9, Stop.MAX_STEPS, target=0.5)
    outcome = go(
        step,
        streams,
        9,
        engine=engine,
        limits=limits,
        surroundings=around(evaluate=lambda: {"forget_probability": next(values)}),
    )
    assert (outcome.steps, outcome.stopped_because) == (2, "forget_target")


def test_a_signal_ends_the_run_after_a_whole_step_with_a_resume_point():
    step, streams = job()
    saved, codes = [], iter([None, 143])
    with pytest.raises(InterruptionError, match="interrupted after step 2") as caught:
        go(step, streams, 9, surroundings=around(save=saved.append, signalled=lambda: next(codes)))
    assert saved == [2]
    assert caught.value.exit_code == 143


@pytest.mark.parametrize(
    ("start", "broken", "expected"),
    [
        (0, 1, []),  # nothing was done yet
        (0, 2, [1]),
        (4, 5, []),  # the point that it went on from is on the disk
        (4, 7, [6]),
    ],
)
def test_what_the_step_before_left_is_saved_where_a_step_breaks(start, broken, expected):
    step, streams = job()
    saved, told = [], []

    def poison(after):
        if after == broken - 1:
            with torch.no_grad():
                step.parameters[0].fill_(float("nan"))

    poison(start)
    surroundings = dataclasses.replace(
        around(save=saved.append), write=lambda record: poison(record["step"]), broken=lambda *args: told.append(args)
    )
    with pytest.raises(NonFiniteError, match=f"step {broken}: .* is not finite"):
        go(step, streams, 9, start, surroundings=surroundings)
    assert saved == expected
    [(number, found, ids)] = told
    assert number == broken and "not finite" in found
    assert {role: len(rows) for role, rows in ids.items()} == {"forget": 4, "retain": 4}


def test_checkpoints_every_n_steps():
    step, streams = job()
    saved = []
    go(
        step,
        streams,
        5,
        engine=Engine(max_steps=5, batch_size=4, evaluate_every=None, checkpoint_every=2),
        surroundings=around(save=saved.append),
    )
    assert saved == [2, 4]


def test_schedules_by_hand():
    assert [scheduled(1.0, "constant", 2, s, 6) for s in (1, 2, 3, 6)] == [0.5, 1.0, 1.0, 1.0]
    assert [scheduled(1.0, "linear", 2, s, 6) for s in (1, 2, 3, 4, 6)] == [0.5, 1.0, 1.0, 0.75, 0.25]
    assert scheduled(1.0, "cosine", 0, 1, 4) == 1.0
    assert scheduled(1.0, "cosine", 0, 3, 4) == pytest.approx(0.5)
    assert AdamW(2.0).rate(1, 5) == SGD(2.0).rate(5, 5) == 2.0


def test_the_rate_reaches_the_optimizer():
    step, streams = job()
    go(step, streams, 1)
    assert step.optimizer.param_groups[0]["lr"] == 1e-3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AdamW(lr=-1.0), "optimizer.lr must be a finite number > 0, or auto, found -1.0"),
        (lambda: AdamW(lr=float("nan")), "optimizer.lr"),
        (lambda: AdamW(weight_decay=-1.0), "optimizer.weight_decay"),
        (lambda: AdamW(warmup_steps=-1), "optimizer.warmup_steps"),
        (lambda: AdamW(betas=(0.9, 1.0)), "optimizer.betas"),
        (lambda: AdamW(eps=0.0), "optimizer.eps"),
        (lambda: SGD(momentum=1.0), "optimizer.momentum"),
        (lambda: Engine(max_steps=0), "engine.max_steps must be >= 1, found 0"),
        (lambda: Engine(micro_batch=0), "engine.micro_batch must be >= 1"),
        (lambda: Engine(clip_norm=0.0), "engine.clip_norm"),
        (lambda: Engine(retain_floor=2.0), "engine.retain_floor"),
        (lambda: Engine(device="gpu"), "engine.device must be"),
    ],
)
def test_settings_refuse_what_cannot_be(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_devices():
    assert pick("cpu") == CPU
    assert pick("auto").type in ("cpu", "cuda", "mps")
    assert peak_memory_bytes(CPU) > 2**20
    if not torch.cuda.is_available():
        with pytest.raises(RequestError, match=r"engine.device=cuda: this machine has cpu"):
            pick("cuda")


def test_the_first_step_reads_the_first_batches():
    step, streams = job()
    asked = []

    class Watched:
        def __init__(self, stream):
            self.stream = stream

        def batches(self, number, micro_batch):
            asked.append((number, micro_batch))
            return self.stream.batches(number, micro_batch)

    engine = Engine(max_steps=2, batch_size=4, micro_batch=2, evaluate_every=None)
    go(step, {role: Watched(stream) for role, stream in streams.items()}, 2, engine=engine)
    assert asked == [(0, 2), (0, 2), (1, 2), (1, 2)]


def test_a_resume_point_restores_the_solvers_state(tmp_path):
    first, _ = job()
    first.remembered["multiplier"] = 0.25
    checkpoint.save(tmp_path, 1, first, {})
    second, _ = job()
    checkpoint.load(tmp_path, second)
    assert second.remembered == {"multiplier": 0.25}


def test_tokens_per_second_are_those_of_all_steps(monkeypatch):
    clock = iter(range(100))  # each step takes one second, whatever lies between them
    monkeypatch.setattr("mollm_cli.engine.loop.time.perf_counter", lambda: float(next(clock)))
    step, streams = job()
    written = []
    engine = Engine(max_steps=4, batch_size=4, evaluate_every=None, log_every=1)
    ended = go(step, streams, 4, engine=engine, surroundings=around(written))
    assert ended.tokens_per_second == pytest.approx(np.mean([record["tokens_per_second"] for record in written]))
