"""Every family of models, random and tiny: loaded, two steps of mollm, saved, loaded again."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PhiConfig,
    Qwen2Config,
)

from mollm_cli.core.errors import RequestError
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.load_model import load_model, load_tokenizer
from mollm_cli.models.model_settings import Model
from mollm_cli.models.save import save_checkpoint
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.steps import stepper
from tests.support.tiny import batch

SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
FAMILIES = {
    "opt": (OPTConfig, SIZE | {"word_embed_proj_dim": 16, "ffn_dim": 32}),
    "llama": (LlamaConfig, SIZE),
    "llama-tied": (LlamaConfig, SIZE | {"tie_word_embeddings": True}),
    "qwen2": (Qwen2Config, SIZE | {"num_key_value_heads": 2}),
    "phi": (PhiConfig, SIZE),
    "gemma2": (Gemma2Config, SIZE | {"num_key_value_heads": 1, "head_dim": 8}),
    "gpt2": (GPT2Config, {"n_embd": 16, "n_layer": 1, "n_head": 2}),
    "gpt-neox": (GPTNeoXConfig, SIZE),
    "mistral": (MistralConfig, SIZE | {"num_key_value_heads": 2}),
}
FEW = ("llama-tied", "gpt2", "gemma2")
"""Tied weights, Conv1D in place of Linear, capped logits; the others are the slow tests'."""


@pytest.fixture
def written(tmp_path):
    """A function that writes a random model of a family, with a tokenizer, and returns its folder."""

    def _written(family, **options):
        tokenizer = load_tokenizer(Model("embedded:tiny"))
        config_class, size = FAMILIES[family]
        ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = config_class(vocab_size=len(tokenizer) + 8, **ends, **size)
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.save_pretrained(tmp_path / "model", **options)
        tokenizer.save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return _written


def _logits(model):
    return model(input_ids=torch.arange(10, 20)[None]).logits


@pytest.mark.parametrize("adapter", ["none", "lora"])
@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in FAMILIES]
)
def test_a_family_is_trained_saved_and_loaded_again(family, adapter, written, tmp_path):
    loaded = load_model(Model(str(written(family)), adapter=adapter), 0)
    start = _logits(loaded.model).detach()
    step = stepper(loaded.model, mollm(), DualSpaceMGDA(), lr=0.5, kind="copy" if adapter == "none" else "adapter_off")
    for seed in range(2):
        step({"forget": [batch(seed)], "retain": [batch(seed + 9, prefix="k")]}, 0.5)
    expected = _logits(loaded.model)
    assert not torch.allclose(start, expected, atol=1e-4)
    save_checkpoint(loaded, tmp_path / "checkpoint")
    again = load_model(Model(str(tmp_path / "checkpoint")), 0)
    assert torch.allclose(_logits(again.model), expected, atol=1e-5, rtol=1e-4)
    head, embedding = again.model.get_output_embeddings().weight, again.model.get_input_embeddings().weight
    assert (head is embedding) == bool(loaded.model.config.tie_word_embeddings)


def test_sharded_weights(written):
    folder = written("llama", max_shard_size="20KB")
    files = load_model(Model(str(folder)), 0).files
    assert len(files) > 1 and all(file["path"].startswith("model-0000") for file in files)


def test_special_tokens_and_generation_settings_are_saved_again(written, tmp_path):
    folder = written("llama")
    settings = {"temperature": 0.6, "do_sample": False, "max_new_tokens": 7}  # as some published models have them
    (folder / "generation_config.json").write_text(json.dumps(settings))
    loaded = load_model(Model(str(folder)), 0)
    save_checkpoint(loaded, tmp_path / "checkpoint")
    saved = json.loads((tmp_path / "checkpoint" / "generation_config.json").read_text())
    assert settings.items() <= saved.items()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    assert tokenizer.special_tokens_map == loaded.tokenizer.special_tokens_map


def _as_bin(folder, content):
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")


def test_a_bin_of_tensors_is_read(written):
    folder = written("llama")
    before = load_model(Model(str(folder)), 0).model
    _as_bin(folder, {name: weight.half() for name, weight in before.state_dict().items()})
    after = load_model(Model(str(folder)), 0)
    assert [file["path"] for file in after.files] == ["pytorch_model.bin"]
    assert {weight.dtype for weight in after.model.parameters()} == {torch.float32}
    assert torch.allclose(_logits(after.model), _logits(before), atol=1e-3)


class Trap:
    """An object that runs a function when it is unpickled carelessly."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return type(self.folder).mkdir, (self.folder,)


def test_a_bin_that_holds_code_is_refused_and_not_run(written, tmp_path):
    folder = written("llama")
    _as_bin(folder, {"weight": Trap(tmp_path / "run")})
    with pytest.raises(RequestError, match=r"must hold tensors only, this one holds code: do not load it"):
        load_model(Model(str(folder)), 0)
    assert not (tmp_path / "run").exists()
