"""The benchmark measures what it says: every row runs, the twins are the engine's equals, nothing rests."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks.memory import peak_bytes_alone, peak_on_cpu
from benchmarks.profile import operations
from benchmarks.report import ratios, summary
from benchmarks.rows import ROWS, RestingObjectiveError, Row, require_live
from benchmarks.speed import arguments, main
from benchmarks.workload import LR, Workload
from mollm_cli.core.types import IGNORE

TINY = Workload("tiny", batch=2, tokens=12, answer=4)
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")  # TorchJD's vmap, where it is installed
BY_NAME = {row.name: row for row in ROWS}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The JSON file of two rounds of every row on the smallest model."""
    threads, path = torch.get_num_threads(), tmp_path_factory.mktemp("bench") / "new" / "speed.json"
    sizes = ["--size", "tiny", "--batch", "2", "--tokens", "12", "--answer", "4"]
    try:
        main([*sizes, "--rounds", "2", "--no-memory", "--out", str(path)])
    finally:
        torch.set_num_threads(threads)
    return json.loads(path.read_text())


def test_every_row_is_timed_in_every_round_or_says_why_not(result):
    assert [row["name"] for row in result["rows"]] == [row.name for row in ROWS]
    for line in result["rows"]:
        missing = BY_NAME[line["name"]].missing
        if missing is not None:
            assert line["skipped"] == missing
            continue
        assert len(line["seconds"]) == result["rounds"] == 2
        assert 0 < line["minimum_seconds"] <= line["median_seconds"]
        assert line["flops"] > 0 and line["tokens_per_second"] > 0


def test_the_file_says_where_and_of_what_it_is(result):
    assert {"machine", "commit", "rows", "ratios"} <= set(result)
    assert {"cpu", "cores", "threads", "torch", "device"} <= set(result["machine"])
    assert result["workload"]["size"] == "tiny" and result["workload"]["parameters"] > 0


def test_ratios_are_those_of_the_rows(result):
    rows = {row["name"]: row for row in result["rows"]}
    assert result["ratios"]["mollm/ga_kl"] == rows["mollm"]["median_seconds"] / rows["ga_kl"]["median_seconds"]
    assert "minimum:mollm/plain_ga_kl" in result["ratios"]


def test_flops_of_mollm_are_two_forwards_a_reference_and_three_backwards(result):
    """In units of one role's forward: GA 1 + 2; GA+KL twice that and the reference 1; MOLLM one more backward, 2."""
    flops = {row["name"]: row.get("flops") for row in result["rows"]}
    forward = flops["ga"] / 3
    assert flops["ga_kl"] / forward == pytest.approx(7, rel=0.05)
    assert flops["mollm"] / forward == pytest.approx(9, rel=0.05)


def parameters(contender):
    return torch.cat([p.detach().reshape(-1) for p in contender.model.parameters()])


@pytest.mark.parametrize(("ours", "twin"), [("ga_kl", "plain_ga_kl"), ("mollm", "plain_mollm")])
def test_a_twin_has_the_losses_of_the_engine_and_makes_the_same_step(ours, twin):
    fast, slow = (BY_NAME[name].build(TINY) for name in (ours, twin))
    start = parameters(fast)
    batches = TINY.batches(0)
    losses, expected = fast.step(batches), slow.step(batches)
    assert losses.keys() == expected.keys()
    assert losses == pytest.approx(expected, rel=1e-5)
    moved = parameters(fast)
    assert (moved - start).abs().max() > 0.5 * LR  # Adam's first step is about LR in every coordinate
    assert (moved - parameters(slow)).abs().max() < 0.05 * LR


def test_openunlearning_averages_the_kl_over_every_position():
    contender, batches = BY_NAME["openunlearning_ga_kl"].build(TINY), TINY.batches(0)
    ids = batches["retain"].input_ids
    with torch.no_grad():
        log_p, log_q = (m(input_ids=ids).logits.log_softmax(-1) for m in (contender.model, TINY.model()))
    kl = (log_q.exp() * (log_q - log_p)).sum() / ids.numel()
    ascent = BY_NAME["ga"].build(TINY).step(batches)["gradient_ascent"]
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


def test_without_its_package_a_row_says_so():
    row = Row("absent", "", BY_NAME["ga"].build, requires="no_such_package")
    assert row.missing == "no_such_package is not installed"
    assert BY_NAME["ga"].missing is None


def test_summary_by_hand():
    line = summary([1.0, 4.0, 2.0], tokens=6, flops=10, peak_flops=20.0)
    assert (line["median_seconds"], line["minimum_seconds"], line["noise"]) == (2.0, 1.0, 1.0)
    assert (line["tokens_per_second"], line["matmul_share"]) == (3.0, 0.5)


def test_ratios_by_hand_leave_out_what_was_not_measured():
    rows = [
        {"name": "a", "median_seconds": 3.0, "minimum_seconds": 2.0, "peak_memory_bytes": 10},
        {"name": "b", "median_seconds": 2.0, "minimum_seconds": 1.0, "peak_memory_bytes": 40},
        {"name": "c", "skipped": "not installed"},
    ]
    found = ratios(rows, (("a", "b"), ("a", "c"), ("a", "unknown")))
    assert found == {"a/b": 1.5, "minimum:a/b": 2.0, "memory:a/b": 0.25}


def test_the_peak_is_the_highest_running_sum_not_the_total():
    before = torch.zeros(1000)

    def step():
        nonlocal before
        first = torch.zeros(256, 1024)
        before = None
        del first
        second = torch.zeros(512, 1024)
        return second.sum()

    assert peak_on_cpu(step) == pytest.approx(512 * 1024 * 4, rel=0.01)


def test_memory_in_a_process_of_its_own_counts_the_reference():
    contender = BY_NAME["ga_kl"].build(TINY)
    contender.step(TINY.batches(0))
    contender.optimizer.zero_grad(set_to_none=True)
    transient = peak_on_cpu(lambda: contender.step(TINY.batches(1)))
    assert contender.reference_bytes == sum(p.numel() * 4 for p in contender.model.parameters())
    assert peak_bytes_alone(BY_NAME["ga_kl"], TINY) == pytest.approx(transient + contender.reference_bytes, rel=0.02)


def test_memory_that_cannot_be_measured_says_why():
    row = Row("no_such_row", "", BY_NAME["ga"].build)
    with pytest.raises(RuntimeError, match="the memory of row 'no_such_row' could not be measured"):
        peak_bytes_alone(row, TINY)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--rows", "ga,gaa"], "no row 'gaa'; rows: ga, ga_kl"),
        (["--rounds", "0"], "--rounds must be at least 1, found 0"),
        (["--answer", "192"], "--answer must be at least 1 and less than --tokens 192, found 192"),
        (["--batch", "0"], "--batch must be at least 1, found 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(given, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        arguments(given)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("key", "value"), [("size", "7b"), ("precision", "int4")])
def test_a_workload_names_its_choices(key, value):
    with pytest.raises(ValueError, match=f"--{key} must be one of .*, found {value}"):
        Workload(**{key: value})


def test_rows_are_run_in_the_order_of_the_table():
    assert [row.name for row in arguments(["--rows", "mollm,ga"]).rows] == ["ga", "mollm"]
    assert arguments([]).workload == Workload()


def test_cuda_runs_in_bf16_where_there_is_a_device(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert arguments(["--device", "cuda"]).workload.precision == "bf16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        arguments(["--device", "cuda"])
    assert "sees no CUDA device here; use --device cpu" in capsys.readouterr().err


def test_the_profile_names_operations():
    assert "aten::" in operations("mollm", TINY, steps=1)
