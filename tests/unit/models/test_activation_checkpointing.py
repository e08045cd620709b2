"""Layers that keep their input only: the same losses and gradients, less kept, through a graph that is used twice."""

from __future__ import annotations

import shutil

import pytest
import torch

from mollm_cli.assets.locate import resolve
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.rmu import rmu
from mollm_cli.models.load_model import load_model
from mollm_cli.models.model_settings import Model
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.steps import stepper
from tests.support.tiny import batch


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(resolve("embedded:tiny"), tmp_path / "tiny")
    return tmp_path / "tiny"


def loaded(folder, checkpointing, adapter="none"):
    return load_model(Model(str(folder), adapter=adapter, activation_checkpointing=checkpointing), 0).model


def kept_bytes(model):
    """What autograd holds between forward and backward."""
    kept = {}

    def keep(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    data = batch(rows=8, tokens=60)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        model.model(input_ids=data.input_ids, attention_mask=data.attention_mask, use_cache=False)
    return sum(size for address, size in kept.items() if address not in weights)


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_steps_of_mollm_are_the_same(folder, adapter):
    found = []
    for checkpointing in (False, True):
        model = loaded(folder, checkpointing, adapter)
        kind = "copy" if adapter == "none" else "adapter_off"
        step = stepper(model, mollm(), DualSpaceMGDA(), kind=kind)
        results = [step({"forget": [batch(k)], "retain": [batch(k + 9)]}, 0.1) for k in range(2)]
        found.append((results, torch.cat([p.detach().reshape(-1) for p in step.parameters])))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-6, abs=1e-9)
        assert one.gram == pytest.approx(other.gram, rel=1e-4, abs=1e-9)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-7)


def test_a_loss_that_stops_at_a_layer(folder):
    found = []
    for checkpointing in (False, True):
        step = stepper(loaded(folder, checkpointing), rmu(layer=1, retain_weight=1.0), WeightedSum())
        found.append(step({"forget": [batch(0)], "retain": [batch(9)]}, 0.1))
    assert found[0].losses == pytest.approx(found[1].losses, rel=1e-6)
    assert found[0].gradient_norm == pytest.approx(found[1].gradient_norm, rel=1e-5) and found[0].gradient_norm > 0


def test_less_is_kept(folder):
    assert kept_bytes(loaded(folder, True)) < 0.5 * kept_bytes(loaded(folder, False))
