"""The benchmark measures what it says: every row runs in every round, and its work is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import loss_memory, per_example
from benchmarks.growth import MOST, with_objectives
from benchmarks.rows import RATIOS, REFRESH, ROWS
from benchmarks.speed import arguments, main
from benchmarks.timing import forward_flops, one_turn, turns
from benchmarks.workload import Workload

TINY = Workload("tiny", batch=2, tokens=12, answer=4)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:There is a performance drop")]  # TorchJD's vmap
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
        assert line["flops"]["executed"] > 0 and line["tokens_per_second"] > 0


def test_the_file_says_where_and_of_what_it_is(result):
    assert {"machine", "commit", "rows", "ratios"} <= set(result)
    assert {"cpu", "cores", "threads", "torch", "device"} <= set(result["machine"])
    assert result["workload"]["size"] == "tiny" and result["workload"]["parameters"] > 0


def test_ratios_are_those_of_the_rows(result):
    rows = {row["name"]: row for row in result["rows"]}
    assert result["ratios"]["mollm/ga_kl"] == rows["mollm"]["minimum_seconds"] / rows["ga_kl"]["minimum_seconds"]
    assert "median:mollm/plain_ga_kl" in result["ratios"]
    assert {"mollm/plain_ga_kl", "mollm_refresh4/ga_kl", "mollm/torchjd_mgda"} <= set(result["ratios"])


def test_executed_flops_are_those_of_the_passes(result):
    """In units of one role's forward F: a role costs F, a backward 2 F, a reference that is no cache F."""
    flops = {row["name"]: row["flops"]["executed"] for row in result["rows"] if "flops" in row}
    forward = flops["ga"] / 3
    expected = {"ga_kl": 6, "ga_kl_copy": 7, "grad_diff": 6, "npo": 6, "mollm": 8, "mollm_copy": 9, "fill_cache": 1}
    expected |= {"mollm_refresh4": (3 * 6 + 8) / REFRESH}
    assert {name: flops[name] / forward for name in expected} == pytest.approx(expected, rel=0.05)
    # beside three backward passes the weighted sum goes backward; what is computed anew for it is the engine's affair
    assert 8 + 2 < flops["mollm_sketch"] / forward < 15


def test_useful_work_has_a_backward_an_objective_and_plain_work_one_a_role(result):
    rows = {row["name"]: row for row in result["rows"]}
    forward = rows["ga"]["flops"]["useful"] / 3
    counts = {"ga_kl": (6, 6), "mollm": (8, 6), "plain_mollm": (8, 6), "mollm_lora": (5, 4), "fill_cache": (1, 1)}
    for name, (useful, plain) in counts.items():
        flops = rows[name]["flops"]
        assert (flops["useful"], flops["plain"]) == (useful * forward, plain * forward)
        seconds, peak = rows[name]["minimum_seconds"], result["machine"]["matmul_flops_per_second"]
        assert rows[name]["useful_share"] == pytest.approx(useful * forward / seconds / peak)


def test_a_forward_pass_by_hand():
    """Two per weight of a matrix and position, the head only at the targets; attention on top."""
    shape, positions = TINY.shape, TINY.batch * TINY.tokens
    weights = shape.layers * (4 * shape.hidden**2 + 3 * shape.hidden * shape.intermediate)
    matrices = 2 * (positions * weights + TINY.batch * TINY.answer * shape.vocabulary * shape.hidden)
    attention = 4 * TINY.batch * TINY.tokens**2 * shape.hidden * shape.layers
    assert forward_flops(TINY.model(), TINY) == matrices + attention


def test_a_row_of_a_period_takes_as_many_steps_on_fresh_batches_and_tells_the_mean(monkeypatch):
    contender, seen = BY_NAME["ga"].build(TINY, 1), []
    step = contender.step
    object.__setattr__(contender, "step", lambda batches: seen.append(batches["forget"].ids[0]) or step(batches))
    clock = iter((1.0, 9.0))
    monkeypatch.setattr("benchmarks.timing.now", lambda device: next(clock))
    assert one_turn(contender, TINY, 2, period=4) == 2.0
    assert seen == ["forget8-0", "forget9-0", "forget10-0", "forget11-0"]
    assert turns(BY_NAME["mollm_refresh4"], 10) == 4 * 13 and turns(BY_NAME["mollm"], 10) == 13


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


def test_growth_doubles_one_quantity_at_a_time(tmp_path, capsys):
    threads, path = torch.get_num_threads(), tmp_path / "speed.json"
    try:
        main(["--scaling", "--small", "--rounds", "1", "--out", str(path)])
    finally:
        torch.set_num_threads(threads)
    cells = json.loads(path.read_text())["growth"]["cells"]
    assert [(cell["grows"], cell["at"]) for cell in cells] == [
        ("n and T", "5m, 128"), ("n and T", "5m, 512"), ("n and T", "25m, 128"), ("n and T", "25m, 512"),
        ("T", "128"), ("T", "256"), ("V", "16000"), ("V", "32000"), ("m", "2"), ("m", "3"),
    ]  # fmt: skip
    assert [cell["workload"]["tokens"] for cell in cells[4:6]] == [128, 256]
    assert [cell["workload"]["vocabulary"] for cell in cells[6:8]] == [160, 320]
    assert set(cells[0]["minimum_seconds"]) == {"ga_kl", "mollm", "plain_ga_kl"} and set(
        cells[9]["minimum_seconds"]
    ) == {"mollm"}
    assert "How a step grows" in capsys.readouterr().out


def test_more_objectives_read_the_same_roles():
    for m in range(2, MOST + 1):
        loss = with_objectives(m)()
        assert len(loss.objectives) == m and set(loss.roles) == {"forget", "retain"}


def test_make_bench_writes_every_ratio_that_is_promised():
    times = {f"{a}/{b}" for a, b in RATIOS}
    told = times | {f"memory:{pair}" for pair in times} | {per_example.RATIO, loss_memory.RATIO}
    assert told >= {
        "mollm/plain_ga_kl",
        "mollm/ga_kl",
        "mollm_refresh4/ga_kl",
        "mollm/torchjd_mgda",
        "memory:mollm_sketch/ga_kl",
        "memory:mollm_lora/ga_kl_lora",
        "memory:loss_chunked/loss_plain",
        "evaluation/per_example",
    }
    lines = (Path(__file__).parents[3] / "Makefile").read_text().split("bench: install", 1)[1].split("\n\n", 1)[0]
    for module in ("speed", "speed --scaling", "loss_memory", "per_example"):
        assert f"python -m benchmarks.{module}\n" in f"{lines}\n"
