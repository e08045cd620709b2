"""LoRA, DoRA and QLoRA: where they sit, what is merged, what is continued, what is refused."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat

import pytest
import torch
from transformers import AutoModelForCausalLM

from mollm_cli.core.errors import RequestError
from mollm_cli.models import adapter
from mollm_cli.models.load_model import load_model, load_tokenizer
from mollm_cli.models.model_settings import Model
from mollm_cli.models.save import save_checkpoint
from tests.support.tiny import llama

IDS = torch.arange(10, 20)[None]


@pytest.fixture
def folder(tmp_path):
    """A small Llama with the embedded tokenizer's files beside it."""
    tokenizer = load_tokenizer(Model("embedded:tiny"))
    llama(vocab=len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def _moved(loaded):
    """The logits after every trainable weight has been moved."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))
    return loaded.model(input_ids=IDS).logits


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_the_merged_checkpoint_is_the_model_with_its_adapter(kind, folder, tmp_path):
    loaded = load_model(Model(str(folder), adapter=kind, lora_rank=2), 0)
    start = loaded.model(input_ids=IDS).logits
    expected = _moved(loaded)
    assert not torch.allclose(start, expected, atol=1e-2)
    save_checkpoint(loaded, tmp_path / "checkpoint")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint", dtype=torch.float32).eval()
    assert torch.allclose(merged(input_ids=IDS).logits, expected, atol=1e-5, rtol=0)
    assert any("magnitude" in name for name, _ in loaded.model.named_parameters()) == (kind == "dora")


def test_the_adapter_sits_on_every_linear_layer_but_the_head(folder):
    model = load_model(Model(str(folder), adapter="lora"), 0).model
    linear = {n for n, m in model.base_model.model.named_modules() if type(m).__name__ == "Linear" and "lora" in n}
    held = {n.split(".lora_")[0].rpartition(".")[2] for n in linear}
    assert held == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_an_adapter_is_continued(folder, tmp_path):
    first = load_model(Model(str(folder), adapter="lora", lora_rank=2), 0)
    expected = _moved(first)
    save_checkpoint(first, tmp_path / "checkpoint")
    again = load_model(Model(str(folder), adapter="lora", adapter_path=str(tmp_path / "adapter")), 0).model
    assert torch.allclose(again(input_ids=IDS).logits, expected, atol=1e-6)
    trainable = {name: weight for name, weight in again.named_parameters() if weight.requires_grad}
    assert trainable and all("lora" in name for name in trainable)
    assert {weight.shape[0] for name, weight in trainable.items() if "lora_A" in name} == {2}


def test_a_folder_without_an_adapter(folder):
    with pytest.raises(RequestError, match=r"model.adapter_path=.*must be a folder that holds adapter_config.json"):
        load_model(Model(str(folder), adapter="lora", adapter_path=str(folder)), 0)


def test_an_adapter_of_another_model(folder, tmp_path):
    save_checkpoint(load_model(Model(str(folder), adapter="lora"), 0), tmp_path / "checkpoint")
    llama(vocab=len(load_tokenizer(Model(str(folder)))), hidden=16).save_pretrained(folder)
    description = Model(str(folder), adapter="lora", adapter_path=str(tmp_path / "adapter"))
    with pytest.raises(RequestError, match=r"must be an adapter of model.path=.*Set model.path to the model that"):
        load_model(description, 0)


def test_qlora_without_bitsandbytes(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"model.adapter=qlora .* needs the package bitsandbytes, found none"):
        load_model(Model(str(folder), adapter="qlora"), 0)


def test_qlora_without_a_cuda_device(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RequestError, match=r"needs a CUDA device, found none. Set model.adapter=lora"):
        adapter.check_adapter(Model(str(folder), adapter="qlora"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapter_path": "x"}, r"model.adapter_path=x continues an adapter; set model.adapter=lora"),
        ({"adapter_path": "x", "adapter": "lora", "reference": "adapter_off"}, r"set model.reference=copy"),
        ({"adapter": "qlora", "weights": "random"}, r"set model.weights=pretrained"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Model("a/b", **options)


def test_a_checkpoint_and_an_adapter_are_replaced_and_not_written_to(folder, tmp_path):
    loaded = load_model(Model(str(folder), adapter="lora", lora_rank=2), 0)
    run, victim = tmp_path / "run", tmp_path / "victim"
    victim.mkdir()
    (victim / "mine").write_text("mine")
    for name, file in (("checkpoint", "model.safetensors"), ("adapter", "adapter_model.safetensors")):
        (run / name).mkdir(parents=True)
        (run / name / file).hardlink_to(victim / "mine")
        (run / name / "config.json").symlink_to(victim / "mine")
        (run / name / "left").symlink_to(victim)
    save_checkpoint(loaded, run / "checkpoint")
    assert (victim / "mine").read_text() == "mine" and not (run / "checkpoint" / "left").is_symlink()
    AutoModelForCausalLM.from_pretrained(run / "checkpoint")
    for name in ("checkpoint", "adapter"):
        shutil.rmtree(run / name)
        (run / name).symlink_to(victim)
    save_checkpoint(loaded, run / "checkpoint")
    assert [path.name for path in victim.iterdir()] == ["mine"]
    assert (run / "adapter" / "adapter_model.safetensors").is_file() and not (run / "adapter").is_symlink()


@pytest.mark.parametrize(
    ("umask", "modes"), [(0o077, {0o700, 0o600}), (0o027, {0o750, 0o640}), (0o022, {0o755, 0o644})]
)
def test_every_file_of_a_checkpoint_is_as_open_as_the_umask_says(folder, tmp_path, umask, modes):
    loaded = load_model(Model(str(folder), adapter="lora", lora_rank=2), 0)
    before = os.umask(umask)
    try:
        (tmp_path / "run").mkdir()
        save_checkpoint(loaded, tmp_path / "run" / "checkpoint")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "run").rglob("*")} == modes
