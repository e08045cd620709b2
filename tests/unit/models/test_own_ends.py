"""The end tokens of a model's files: read from two of them, and written where programs that serve it look."""

from __future__ import annotations

import json

import pytest
from transformers import GenerationConfig

from mollm_cli.core.manner import manner_of
from mollm_cli.models.load_model import load_model, load_tokenizer
from mollm_cli.models.model_settings import Model
from mollm_cli.models.own_ends import own_ends
from mollm_cli.models.save import save_checkpoint
from tests.support.architectures import architecture
from tests.support.chat_shapes import SHAPES, folder, shaped

SHAPE = SHAPES["headed"]


@pytest.fixture
def start(tmp_path):
    return folder(SHAPE, architecture("llama", len(shaped(SHAPE))), tmp_path / "start")


@pytest.mark.parametrize(
    ("generation", "config", "found"),
    [
        ({"eos_token_id": 2}, {"eos_token_id": [2, 5]}, (2, 5)),
        ({"eos_token_id": [7, 5]}, {"text_config": {"eos_token_id": 3}}, (7, 5, 3)),
        ({}, {"eos_token_id": None}, ()),
        ({"eos_token_id": "x"}, {"eos_token_id": [True, -1, "2", 2.0, 4]}, (4,)),
        ([], {"text_config": [1]}, ()),
        (None, {"eos_token_id": 1}, (1,)),
    ],
)
def test_both_files_are_read(generation, config, found, tmp_path):
    for name, content in (("generation_config.json", generation), ("config.json", config)):
        if content is not None:
            (tmp_path / name).write_text(json.dumps(content))
    assert own_ends(str(tmp_path)) == found


def test_a_tokenizer_knows_the_ends_and_the_options_of_its_model(start):
    file = start / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": 10**6}))
    tokenizer = load_tokenizer(Model(str(start), template_options={"a": 1}))
    assert set(manner_of(tokenizer).ends) == set(tokenizer.convert_tokens_to_ids(list(SHAPE.named)))
    assert manner_of(tokenizer).options == {"a": 1}


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_checkpoint_names_its_own_ends_first(adapter, start, tmp_path):
    """Nothing else changes in the files, and nothing of ours is in those of the tokenizer."""
    loaded = load_model(Model(str(start), adapter=adapter, template_options={"a": 1}), 0)
    named = GenerationConfig.from_pretrained(start).eos_token_id
    save_checkpoint(loaded, tmp_path / "same", named)
    save_checkpoint(loaded, tmp_path / "more", [0, *named])
    save_checkpoint(loaded, tmp_path / "none")
    ends = {each: GenerationConfig.from_pretrained(tmp_path / each).eos_token_id for each in ("same", "more", "none")}
    assert ends == {"same": named, "more": [*named, 0], "none": [*named, 0] if adapter == "none" else named}
    for file in (tmp_path / "more").glob("*.json"):
        assert "manner" not in file.read_text()
