"""Loading: explicit types, dropout off and back on disk, LoRA merged, and what is refused."""

from __future__ import annotations

import json
import shutil
import stat

import pytest
import torch
from transformers import AutoModelForCausalLM

from mollm_cli.assets.locate import resolve
from mollm_cli.core.errors import RequestError
from mollm_cli.models.hub_models import explain
from mollm_cli.models.load_model import fingerprint, load_model, load_tokenizer, sha256, source
from mollm_cli.models.model_settings import Model
from mollm_cli.models.save import save_checkpoint
from tests.support.tiny import llama, opt


@pytest.fixture
def folder(tmp_path):
    """A small OPT with the embedded tokenizer's files beside it."""
    path = tmp_path / "model"
    tokenizer = load_tokenizer(Model("embedded:tiny"))
    model = opt(vocab=len(tokenizer), dtype=torch.float16)
    model.config.dropout, model.config.attention_dropout = 0.1, 0.2
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_the_type_is_what_was_asked_for_not_the_checkpoints(folder):
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        loaded = load_model(Model(str(folder), dtype=name), 0)
        assert {p.dtype for p in loaded.model.parameters()} == {dtype}


def test_dropout_is_off_in_memory_and_as_it_was_on_disk(folder, tmp_path):
    loaded = load_model(Model(str(folder)), 0)
    assert loaded.model.config.dropout == 0.0
    assert loaded.model.config.attention_dropout == 0.0
    save_checkpoint(loaded, tmp_path / "checkpoint")
    saved = json.loads((tmp_path / "checkpoint" / "config.json").read_text())
    assert (saved["dropout"], saved["attention_dropout"]) == (0.1, 0.2)
    assert loaded.model.config.dropout == 0.0


def test_a_checkpoint_loads_anywhere_and_is_readable(folder, tmp_path):
    loaded = load_model(Model(str(folder)), 0)
    save_checkpoint(loaded, tmp_path / "checkpoint")
    save_checkpoint(loaded, tmp_path / "checkpoint")  # a second time, over itself
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint", dtype=torch.float32)
    for a, b in zip(again.parameters(), loaded.model.parameters(), strict=True):
        assert torch.equal(a, b)
    for path in (tmp_path / "checkpoint").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044
    assert not list(tmp_path.glob(".checkpoint*"))


def test_lora_is_merged_on_the_way_out_and_kept_beside(folder, tmp_path):
    loaded = load_model(Model(str(folder), adapter="lora", lora_rank=2), 0)
    trainable = [n for n, p in loaded.model.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora" in n for n in trainable)
    with torch.no_grad():
        for name, p in loaded.model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.1)
    ids = torch.arange(10, 20)[None]
    expected = loaded.model(input_ids=ids).logits
    save_checkpoint(loaded, tmp_path / "checkpoint")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint", dtype=torch.float32).eval()
    assert torch.allclose(merged(input_ids=ids).logits, expected, atol=1e-5)
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    assert any("lora" in n for n, _ in loaded.model.named_parameters())


def test_random_weights_are_seeded(folder):
    a, b, c = (load_model(Model(str(folder), weights="random"), seed).model for seed in (0, 0, 1))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert any(not torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_activation_checkpointing_lets_gradients_through_lora(folder):
    grads = []
    for checkpointing in (False, True):
        description = Model(str(folder), adapter="lora", lora_rank=2, activation_checkpointing=checkpointing)
        model = load_model(description, 0).model
        model(input_ids=torch.arange(10, 20)[None]).logits.square().mean().backward()
        grads.append({n: p.grad for n, p in model.named_parameters() if "lora_B" in n})
    assert all(g is not None and g.abs().max() > 0 for g in grads[1].values())
    assert all(torch.allclose(grads[0][n], grads[1][n], atol=1e-6) for n in grads[0])


def test_fingerprint_names_the_weight_files(folder):
    (entry,) = fingerprint(str(folder))
    assert entry["path"] == "model.safetensors"
    assert entry["sha256"] == sha256(folder / "model.safetensors")
    assert entry["bytes"] == (folder / "model.safetensors").stat().st_size
    assert fingerprint("nobody/has-this") == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("./nowhere", "no such folder"),
        ("nowhere", "no such folder"),
        ("a/b/c", "no such folder"),
    ],
)
def test_a_folder_that_is_missing(path, message):
    with pytest.raises(RequestError, match=message):
        source(Model(path))


def test_a_folder_that_is_no_model(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(RequestError, match=r"must hold config\.json and weights, found: notes\.txt"):
        source(Model(str(tmp_path)))


def test_a_model_without_weights_or_tokenizer(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(RequestError, match="the model cannot be loaded"):
        load_model(Model(str(folder)), 0)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(RequestError, match="the tokenizer cannot be loaded"):
        load_tokenizer(Model(str(folder)))


def test_a_vocabulary_smaller_than_the_tokenizers(tmp_path):
    llama(vocab=48).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(resolve("embedded:tiny") / name, tmp_path)
    with pytest.raises(RequestError, match=r"the tokenizer has \d+ tokens, the model embeds 48"):
        load_model(Model(str(tmp_path)), 0)


def test_hub_ids_are_left_to_the_hub():
    assert source(Model("facebook/opt-1.3b")) == "facebook/opt-1.3b"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("requires trust_remote_code=True", "model.trust_remote_code=true"),
        ("401 Client Error: gated repo", "HF_TOKEN"),
        ("We couldn't connect to the Hub", "HF_HUB_OFFLINE=1"),
        ("something else", "save_pretrained"),
    ],
)
def test_explain_names_a_remedy(text, remedy):
    assert remedy in explain("org/name", "model", OSError(text))
    assert "OSError" in explain("org/name", "model", OSError(""))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("path", "", "model.path must name"),
        ("lora_rank", 0, "model.lora_rank"),
        ("lora_alpha", 0, "model.lora_alpha"),
        ("lora_dropout", 1.0, "model.lora_dropout"),
        ("reference", "adapter_off", "needs an adapter"),
    ],
)
def test_settings_refuse_what_cannot_be(key, value, message):
    with pytest.raises(ValueError, match=message):
        Model(**({"path": "x/y"} | {key: value}))


def test_warnings_of_libraries_do_not_reach_the_user() -> None:
    import warnings

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        load_tokenizer(Model("embedded:tiny"))
        for module in ("transformers.modeling_utils", "peft", "transformersome"):
            warnings.warn_explicit("deprecated", FutureWarning, f"{module}.py", 1, module)
    assert [str(each.filename) for each in seen] == ["transformersome.py"]
