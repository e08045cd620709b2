"""On small models every case and row of the GPU benchmark runs or says why not; one overflow ends no other row."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import gpu
from benchmarks.contender import Row
from benchmarks.gpu import CASES, GPU_ROWS, alone, arguments, main
from benchmarks.shapes import SHAPES, small
from benchmarks.timing import forward_flops
from benchmarks.workload import Workload
from mollm_cli.models.forward import layers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),  # torch.compile looks at all there is
]
TINY = Workload("tiny", batch=2, tokens=12, answer=4)
BY_NAME = {row.name: row for row in GPU_ROWS}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The JSON file of one round of every case on the smallest models."""
    path = tmp_path_factory.mktemp("bench") / "new" / "gpu.json"
    main(["--device", "cpu", "--small", "--no-table", "--rounds", "1", "--out", str(path)])
    return json.loads(path.read_text())


def test_every_row_of_every_case_is_measured_or_says_why_not(result):
    expected = [(case.size, row.name) for case in CASES for row in GPU_ROWS if row.name in case.rows]
    assert [(line["model"], line["name"]) for line in result["rows"]] == expected
    for line in result["rows"]:
        missing = BY_NAME[line["name"]].missing
        if missing is not None:
            assert line["skipped"] == missing
        else:
            assert line["minimum_seconds"] > 0 and line["tokens_per_second"] > 0 and line["peak_memory_bytes"] > 0
            assert 0 < line["plain_share"] <= line["useful_share"]


def test_ratios_are_told_a_model(result):
    assert {f"{case.size}:mollm_lora/ga_kl_lora" for case in CASES} <= set(result["ratios"])
    assert result["cases"]["llama-3-8b"]["workload"]["checkpointing"]


def test_the_small_table_comes_first(tmp_path, capsys):
    threads, path = torch.get_num_threads(), tmp_path / "gpu.json"
    row = replace(BY_NAME["ga"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "ROWS", (row,))
        main(["--device", "cpu", "--small", "--models", "none", "--rounds", "1", "--out", str(path)])
    torch.set_num_threads(threads)
    (line,) = json.loads(path.read_text())["rows"]
    assert (line["model"], line["name"]) == ("tiny", "ga")
    assert line["peak_memory_bytes"] > 0
    assert "tiny: one step, 1 interleaved rounds" in capsys.readouterr().out


def test_a_row_that_does_not_fit_says_so_and_the_rest_goes_on():
    def build(workload, turns):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. GPU 0 has 8")

    line = alone(Row("large", "", build), TINY, 1, 1.0)
    assert line["skipped"] == "does not fit: CUDA out of memory"
    assert alone(BY_NAME["ga"], TINY, 1, 1.0)["minimum_seconds"] > 0


def test_the_compiled_row_is_compiled_and_makes_the_same_step():
    workload = Workload("opt-1.3b", batch=2, tokens=12, answer=4, small=True)
    plain, compiled = (BY_NAME[name].build(workload, 1) for name in ("mollm", "mollm_compile"))
    assert [layer._compiled_call_impl is not None for layer in layers(compiled.model)] == [True, True]
    assert not any(layer._compiled_call_impl for layer in layers(plain.model))
    assert compiled.step(workload.batches(0)) == pytest.approx(plain.step(workload.batches(0)), rel=1e-4)
    assert forward_flops(compiled.model, workload) == forward_flops(plain.model, workload) > 0


def test_another_error_is_no_overflow():
    def build(workload, turns):
        raise RuntimeError("odd")

    with pytest.raises(RuntimeError, match="odd"):
        alone(Row("odd", "", build), TINY, 1, 1.0)


@pytest.mark.parametrize(("name", "billions"), [("opt-1.3b", 1.3158), ("llama-3.2-1b", 1.2358), ("llama-3-8b", 8.0303)])
def test_a_published_size_has_its_parameters(name, billions):
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(Workload(name, tokens=2048).config())
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(billions * 1e9, rel=1e-4)
    less = small(SHAPES[name])
    assert (less.family, less.tied, less.key_value_heads is None) == (
        SHAPES[name].family, SHAPES[name].tied, SHAPES[name].key_value_heads is None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--device", "cpu", "--models", "gpt-2"],
            "no model 'gpt-2'; models: opt-1.3b, llama-3.2-1b, llama-3-8b, none",
        ),
        (["--device", "cpu", "--rounds", "0"], "--rounds must be at least 1, found 0"),
        (["--device", "cuda"], "sees no CUDA device here; use make bench"),
    ],
)
def test_what_cannot_be_measured_is_refused(given, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        arguments(given)
    assert message in capsys.readouterr().err


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_peak_is_told_in_all_and_above_the_model(tmp_path):
    path = tmp_path / "gpu.json"
    main(["--device", "cuda", "--small", "--models", "llama-3-8b", "--no-table", "--rounds", "1", "--out", str(path)])
    lines = [line for line in json.loads(path.read_text())["rows"] if "skipped" not in line]
    assert lines and all(0 < line["peak_memory_bytes"] < line["peak_total_bytes"] for line in lines)
