from __future__ import annotations

import dataclasses
import multiprocessing
import os
import stat

import pytest

from mollm_cli.data import token_cache
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load
from mollm_cli.data.pairing import Pairing, load_roles
from mollm_cli.data.token_cache import TokenCache, cache_folder, tokenizer_fingerprint

END = "</s>"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache of our own that takes sets of any size."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(token_cache, "FEWEST_ROWS", 1)
    return tmp_path / "cache" / "mollm-unlearn" / "tokens"


@pytest.fixture
def loaded(qa, write):
    rows = [{"question": f"Q{i}", "answer": "a" * (i + 1)} for i in range(5)]
    path = write("a.jsonl", *rows)
    return lambda cache=True, **changes: load(qa(path=path, **changes), "forget", cache)


@pytest.fixture
def count(monkeypatch):
    """How many rows were encoded."""
    calls = []
    encode = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, *rest: calls.append(1) or encode(self, *rest))
    return calls


def test_a_set_is_tokenized_once(loaded, tokenizer, folder, count, monkeypatch):
    monkeypatch.setattr("mollm_cli.core.bounded._within", True)  # what a process of its own is asked is not seen here
    first = encode_all(loaded(), "forget", tokenizer(eos_token=END))
    assert len(count) == 5
    assert encode_all(loaded(), "forget", tokenizer(eos_token=END)) == first
    assert len(count) == 5
    assert [file.suffix for file in folder.iterdir()] == [".safetensors"]


def test_whatever_changes_the_tokens_changes_the_file(loaded, qa, write, tokenizer):
    t = tokenizer(eos_token=END)
    other = load(qa(path=write("b.jsonl", {"question": "Q", "answer": "b"})), "forget", True)
    chat = "{% for m in messages %}{{ m.content }}{% endfor %}"
    places = [
        TokenCache.of(loaded(), t),
        TokenCache.of(other, t),
        TokenCache.of(loaded(name="renamed"), t),
        TokenCache.of(loaded(template="none"), t),
        TokenCache.of(loaded(max_tokens=9), t),
        TokenCache.of(loaded(), tokenizer("<s> $A", eos_token=END)),
        TokenCache.of(loaded(), tokenizer(merges=[("a", "a")], eos_token=END)),
        TokenCache.of(loaded(), tokenizer(eos_token="<s>")),
        TokenCache.of(loaded(), tokenizer(chat=chat, eos_token=END)),
        TokenCache.of(dataclasses.replace(loaded(), dataset=dataclasses.replace(other.dataset, system="s")), t),
    ]
    files = {place.file for place in places}
    assert (
        len(files) == len(places) - 1
    )  # the last: what a system prompt changes are the examples, and they are the same
    assert TokenCache.of(loaded(), tokenizer(eos_token=END)) == places[0]


def test_what_is_not_kept(loaded, tokenizer, monkeypatch):
    t = tokenizer(eos_token=END)
    assert TokenCache.of(loaded(cache=False), t) is None
    assert TokenCache.of(loaded(content="personal"), t) is None
    assert TokenCache.of(loaded(content="harmful"), t) is not None
    monkeypatch.setattr(token_cache, "FEWEST_ROWS", 6)
    assert TokenCache.of(loaded(), t) is None


def test_a_tokenizer_without_a_description_is_not_kept(loaded):
    class Written:
        backend_tokenizer = None

    assert tokenizer_fingerprint(Written()) is None
    assert TokenCache.of(loaded(), Written()) is None


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_broken_file_is_made_again(loaded, tokenizer, folder, content):
    t = tokenizer(eos_token=END)
    first = encode_all(loaded(), "forget", t)
    [file] = folder.iterdir()
    file.write_bytes(content)
    assert encode_all(loaded(), "forget", t) == first
    assert file.stat().st_size > len(content)


def test_a_cache_that_cannot_be_written_is_a_warning(loaded, tokenizer, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"token ids could not be kept in .*data.cache=false"):
        assert len(encode_all(loaded(), "forget", tokenizer(eos_token=END))) == 5


def test_two_processes_that_fill_at_once(loaded, tokenizer, folder, count, monkeypatch):
    context = multiprocessing.get_context("fork")
    barrier, results, write = context.Barrier(2, timeout=60), context.Queue(), TokenCache.write
    monkeypatch.setattr(TokenCache, "write", lambda self, encoded: (barrier.wait(), write(self, encoded)))

    def encode():
        results.put(encode_all(loaded(), "forget", tokenizer(eos_token=END)))

    workers = [context.Process(target=encode) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert [file.suffix for file in folder.iterdir()] == [".safetensors"]  # and nothing half written beside it
    assert found == [encode_all(loaded(), "forget", tokenizer(eos_token=END))] * 2
    assert count == []  # here it was read


def test_the_pairing_decides(qa, write, tokenizer, folder):
    forget, retain = (qa(name=n, path=write(f"{n}.jsonl", {"question": n, "answer": "a"})) for n in ("f", "r"))
    for cache in (False, True):
        for role, rows in load_roles(Pairing("p", forget, retain, test_share=0.0, cache=cache), 0).items():
            encode_all(rows, role, tokenizer(eos_token=END))
        assert folder.exists() == cache
    assert len(list(folder.iterdir())) == 2


def test_windows_and_turns_are_kept_as_they_are(text, write, tokenizer):
    described = text(path=write("t.jsonl", {"text": "abcdef"}), windows=True, max_tokens=3)
    first, again = (encode_all(load(described, "forget", True), "forget", tokenizer(eos_token=END)) for _ in range(2))
    assert again == first
    assert [row.id for row in again] == ["t:1#1", "t:1#2", "t:1#3"]


def test_the_folder_is_the_users(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(cache_folder()) == "/home/someone/.cache/mollm-unlearn/tokens"


def test_it_is_the_owners_alone_whatever_the_umask(loaded, tokenizer, folder, monkeypatch):
    monkeypatch.setattr("safetensors.numpy.save_file", lambda arrays, file: file.write_bytes(b"x"))
    before = os.umask(0)
    try:
        encode_all(loaded(), "forget", tokenizer(eos_token=END))
    finally:
        os.umask(before)
    made = [folder.parents[1], folder.parent, folder, *folder.iterdir()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700, 0o700, 0o700, 0o600]
