"""How a device is prepared: the allocator's segments, the precision of float32 products."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from mollm_cli.engine.device import ALLOCATOR, matmul_precision, pick
from mollm_cli.engine.engine_settings import Engine
from tests.support.cli import ROOT


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ALLOCATOR:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def test_on_cuda_segments_grow(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick("cuda:1") == torch.device("cuda:1")
    assert [os.environ[name] for name in ALLOCATOR] == ["expandable_segments:True"] * 2


@pytest.mark.parametrize("name", ALLOCATOR)
def test_what_the_environment_says_stays(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv(name, "max_split_size_mb:64")
    pick("auto")
    assert {key: os.environ[key] for key in ALLOCATOR if key in os.environ} == {name: "max_split_size_mb:64"}


def test_elsewhere_the_environment_is_left_alone():
    pick("cpu")
    assert not any(name in os.environ for name in ALLOCATOR)


@pytest.mark.parametrize(
    ("engine", "within"),
    [
        (Engine(), "highest"),
        (Engine(precision="bf16"), "high"),
        (Engine(precision="bf16", matmul="highest"), "highest"),
        (Engine(matmul="high"), "high"),
        (Engine(matmul="medium"), "medium"),
    ],
)
def test_precision_of_products_within_a_training_and_after_it(engine, within):
    torch.set_float32_matmul_precision("highest")
    with pytest.raises(KeyError), matmul_precision(engine):
        assert torch.get_float32_matmul_precision() == within
        raise KeyError
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, found none")
def test_memory_is_steady_over_batches_of_many_lengths():
    from mollm_cli.losses.mollm import mollm
    from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
    from tests.support.steps import stepper
    from tests.support.tiny import batch, llama

    step, seen, device = stepper(llama().cuda(), mollm(), DualSpaceMGDA()), [], torch.device("cuda")
    for k in range(12):
        parts = [batch(k + i, rows=8, tokens=40 + 7 * (k % 4)).to(device) for i in (0, 9)]
        step({"forget": parts[:1], "retain": parts[1:]}, 1e-3)
        del parts
        seen.append(torch.cuda.memory_allocated())
    assert seen[-1] == seen[3]


PARENT = """
import subprocess, sys
much = bytearray(b"a") * 2**30
subprocess.run([sys.executable, "-c", sys.argv[1]])
"""
CHILD = "import torch; from mollm_cli.engine.device import *; print(peak_memory_bytes(torch.device('cpu')))"


def test_the_peak_is_that_of_this_process_and_not_of_what_started_it():
    done = subprocess.run([sys.executable, "-c", PARENT, CHILD], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 2**26 < int(done.stdout) < 2**30
