import pytest

from embedded import tokenizer as module
from embedded.authors import generate


@pytest.fixture(scope="module")
def texts():
    return module.collect_texts(generate(0))


@pytest.fixture(scope="module")
def tokenizer(texts):
    return module.build_tokenizer(texts)


def test_texts_are_all_the_texts(texts):
    assert len(texts) == (30 + 270 + 60) * (4 + 5) + 60


def test_every_text_comes_back_unchanged(texts, tokenizer):
    for text in [*texts, "Unseen: caf\u00e9\n\ttabs,  two spaces \u4e2d", " leading"]:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_nothing_is_put_around_a_text(tokenizer):
    assert tokenizer.encode("") == []
    assert not set(tokenizer.encode("Where?")) & set(tokenizer.all_special_ids)


def test_padding_is_not_the_end(tokenizer):
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<|pad|>", 0)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|end|>", 1)
    assert tokenizer.chat_template is None
    assert tokenizer.encode("x<|end|>")[-1] == 1


def test_the_vocabulary_is_small_and_digits_stand_alone(tokenizer):
    assert 1500 <= len(tokenizer) <= 2048
    assert len(tokenizer.encode("1952")) == 4


def test_trained_twice_it_is_the_same(texts, tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "a")
    module.build_tokenizer(texts).save_pretrained(tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_the_command_saves_is_loaded_by_transformers(texts, tmp_path):
    from transformers import AutoTokenizer

    module.main(["--out", str(tmp_path), "--vocab-size", "600"])
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert len(loaded) == 600
    assert loaded.pad_token_id != loaded.eos_token_id
    assert all(loaded.decode(loaded.encode(text)) == text for text in texts[:200])


def test_a_vocabulary_without_room_for_the_bytes_is_refused(texts):
    with pytest.raises(ValueError, match=r"vocab_size must be >= 258 .*found 257"):
        module.build_tokenizer(texts, 257)
    assert len(module.build_tokenizer(texts, 258)) == 258
