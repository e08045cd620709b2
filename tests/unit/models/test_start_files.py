"""A checkpoint's files beside the weights: the starting model's, with what has changed; rehearsed before step 1."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from mollm_cli.assets.locate import resolve
from mollm_cli.core.errors import RequestError
from mollm_cli.models.load_model import load_model
from mollm_cli.models.model_settings import Model
from mollm_cli.models.save import rehearse_saving, save_checkpoint
from mollm_cli.models.start_files import changed
from tests.support.tiny import llama

IDS = torch.arange(10, 20)[None]
OLD = {  # as transformers 4 has written it
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 24,
    "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 1980,
    "max_position_embeddings": 64, "rope_theta": 5000.0, "rope_scaling": {"type": "linear", "factor": 2.0},
    "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0, "tie_word_embeddings": True,
    "attention_dropout": 0.1, "torch_dtype": "bfloat16", "transformers_version": "4.41.2", "a_key_of_ones_own": [1],
}  # fmt: skip
LEFT_ON = (
    {"output_hidden_states": True, "output_attentions": True, "use_cache": False},
    {"return_dict": False, "problem_type": "regression"},
    {"torchscript": True, "gradient_checkpointing": True, "output_router_logits": True},
    {"temperature": 0.7, "top_p": 0.9, "num_beams": 4, "max_length": 20},
)
"""Switches and settings that people leave in a config.json."""


@pytest.fixture
def folder(tmp_path):
    """A function that writes a Llama without its weights, and returns its folder."""

    def _folder(**keys):
        path = tmp_path / "model"
        shutil.copytree(resolve("embedded:tiny"), path, ignore=shutil.ignore_patterns("*.safetensors", "*config.json"))
        shutil.copy(resolve("embedded:tiny") / "tokenizer_config.json", path)
        (path / "config.json").write_text(json.dumps(OLD | keys))
        return path

    return _folder


def load(path, **options):
    return load_model(Model(str(path), weights="random", **options), 0)


def saved(loaded, tmp_path):
    rehearse_saving(loaded)
    save_checkpoint(loaded, tmp_path / "run" / "checkpoint")
    return tmp_path / "run" / "checkpoint"


@pytest.fixture(autouse=True)
def run(tmp_path):
    (tmp_path / "run").mkdir()


def read(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize("left_on", LEFT_ON, ids=lambda keys: "+".join(keys))
def test_what_is_left_on_is_off_while_loaded_and_on_in_the_checkpoint(left_on, folder, tmp_path):
    loaded = load(folder(**left_on))
    said = loaded.model(IDS)
    assert set(said.keys()) <= {"logits", "past_key_values"}
    assert loaded.model.config.attention_dropout == 0.0 and not loaded.model.is_gradient_checkpointing
    checkpoint = saved(loaded, tmp_path)
    assert read(checkpoint / "config.json") == OLD | left_on | {"dtype": "float32", "torch_dtype": "float32"}
    again = load_model(Model(str(checkpoint)), 0).model(IDS)
    assert torch.equal(again.logits, said.logits)


def test_what_has_changed_since_is_written_and_nothing_else():
    own = {"a": 1, "b": {"c": 1, "d": 2}, "e": 5, "transformers_version": "4"}
    before = {"a": 0, "b": {"c": 1, "d": 2, "f": 3}, "e": 5, "new": 7, "transformers_version": "5"}
    now = {"a": 0, "b": {"c": 1, "d": 3, "f": 3}, "new": 8, "more": 9, "transformers_version": "5"}
    assert changed(own, before, now) == {
        "a": 1, "b": {"c": 1, "d": 3}, "transformers_version": "4", "new": 8, "more": 9,
    }  # fmt: skip
    assert changed(own, before, before) == own


def test_a_folder_that_transformers_5_wrote_is_read_by_its_forerunner_too(tmp_path):
    model = llama(vocab=1980)
    model.config.rope_parameters = {"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.0}
    model.save_pretrained(tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(resolve("embedded:tiny") / name, tmp_path / "model")
    assert "rope_theta" not in read(tmp_path / "model" / "config.json")
    checkpoint = saved(load_model(Model(str(tmp_path / "model")), 0), tmp_path)
    text = read(checkpoint / "config.json")
    assert (text["rope_theta"], text["rope_scaling"]["type"]) == (5000.0, "linear")
    assert text["torch_dtype"] == text["dtype"] == "float32"
    assert AutoConfig.from_pretrained(checkpoint).rope_parameters["factor"] == 2.0


def _by_an_adapter(model):
    parted = get_peft_model(model, LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"]))
    with torch.no_grad():
        parted.base_model.model.lm_head.modules_to_save["default"].weight.add_(0.1)
    return parted


def _by_hand(model):
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() + 0.1)
    return model


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:Input and output embeddings")
@pytest.mark.parametrize("part", [_by_an_adapter, _by_hand])
def test_matrices_that_training_has_parted_are_two_in_the_checkpoint(part, folder, tmp_path):
    loaded = load(folder())
    assert loaded.model.lm_head.weight is loaded.model.model.embed_tokens.weight
    loaded = replace(loaded, model=part(loaded.model))
    expected = loaded.model(IDS).logits
    checkpoint = saved(loaded, tmp_path)
    assert read(checkpoint / "config.json")["tie_word_embeddings"] is False
    again = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    assert torch.allclose(again(IDS).logits, expected, atol=1e-6)
    assert not torch.equal(again.lm_head.weight, again.model.embed_tokens.weight)


TOKENIZER = {
    "special_tokens_map.json": b'{"eos_token": "<|end|>" ,"pad_token":"<|pad|>"}',
    "tokenizer.model": b"\x00\x01 not read by anybody here",
    "added_tokens.json": b"{}",
    "chat_template.jinja": b"{{ messages[0].content }}\r\n",
    "additional_chat_templates/tool_use.jinja": b"{{ messages }}",
}


def test_the_tokenizers_files_are_kept_byte_for_byte(folder, tmp_path):
    path = folder()
    (path / "additional_chat_templates").mkdir()
    for name, content in TOKENIZER.items():
        (path / name).write_bytes(content)
    (path / "tokenizer_config.json").write_text(json.dumps(read(path / "tokenizer_config.json"), indent=7))
    (tmp_path / "secret").write_text("of the user's")
    (path / "vocab.txt").symlink_to(tmp_path / "secret")  # a stranger's folder must not get this published
    checkpoint = saved(load(path), tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", *TOKENIZER):
        assert (checkpoint / name).read_bytes() == (path / name).read_bytes(), name
    assert not (checkpoint / "vocab.txt").exists()


def test_a_tokenizer_that_has_changed_or_lost_its_files_writes_itself(folder, tmp_path):
    loaded = load(path := folder())
    loaded.tokenizer.chat_template = "{{ 1 }}"
    assert AutoTokenizer.from_pretrained(saved(loaded, tmp_path)).chat_template == "{{ 1 }}"
    loaded = load(path)
    (path / "tokenizer.json").unlink()
    assert len(AutoTokenizer.from_pretrained(saved(loaded, tmp_path))) == len(loaded.tokenizer)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.6, "do_sample": False, "eos_token_id": [1, 2]},
        {"repetition_penalty": 1.1, "top_p": 0.8, "num_beams": 1, "do_sample": False},
        {"top_k": 3, "transformers_version": "4.30.0", "one_of_ones_own": 5},
    ],
    ids=["temperature", "penalty", "own"],
)
def test_generation_settings_are_written_as_they_were_and_with_what_has_changed(settings, folder, tmp_path):
    path = folder()
    (path / "generation_config.json").write_text(json.dumps(settings))
    loaded = load_model(Model(str(saved(load(path), tmp_path))), 0)
    (path / "model.safetensors").write_bytes((tmp_path / "run" / "checkpoint" / "model.safetensors").read_bytes())
    loaded = load_model(Model(str(path)), 0)
    assert read(saved(loaded, tmp_path) / "generation_config.json") == settings
    loaded.model.generation_config.eos_token_id = [1, 7]  # combined with the others transformers would refuse this
    assert read(saved(loaded, tmp_path) / "generation_config.json") == settings | {"eos_token_id": [1, 7]}


def test_generation_settings_that_do_not_go_together_are_named(folder, tmp_path):
    path = folder()
    shutil.copy(saved(load(path), tmp_path) / "model.safetensors", path)
    (path / "generation_config.json").write_text(json.dumps({"num_return_sequences": 4, "do_sample": False}))
    with pytest.raises(RequestError, match=r"generation_config\.json must hold settings that go together.*num_return"):
        load_model(Model(str(path)), 0)


def _broken_settings(loaded, path):
    (path / "generation_config.json").write_text("[1, 2]")
    return load(path)


def _huge_tokenizer(loaded, path):
    with (path / "tokenizer.model").open("wb") as file:
        file.truncate(1 << 40)
    return load(path)


def _unwritable_tokenizer(loaded, path):
    loaded.tokenizer.chat_template = "{{ 2 }}"
    loaded.tokenizer.init_kwargs["added"] = {1, 2}  # no JSON
    return loaded


def _strange_value(loaded, path):
    loaded.model.config.rope_parameters = {"rope_type": "linear", "rope_theta": 1.0, "factor": object()}
    return loaded


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (_broken_settings, "configuration cannot be loaded"),
        (
            _huge_tokenizer,
            r"tokenizer\.json must be one that a checkpoint can be written with, found ValueError: token",
        ),
        (_unwritable_tokenizer, r"tokenizer\.json must be one that a checkpoint.*Mend or remove tokenizer\.json"),
        (_strange_value, r"config\.json must be one that a checkpoint can be written with"),
    ],
    ids=["settings", "huge", "tokenizer", "config"],
)
def test_what_could_not_be_saved_is_refused_before_the_first_step(spoil, name, folder):
    loaded = load(path := folder())
    with pytest.raises(RequestError, match=f"model.path={path}.*{name}"):
        rehearse_saving(spoil(loaded, path))
