"""Model folders of strangers: whatever is in their files ends in one message that names the folder, soon."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.assets.locate import resolve
from mollm_cli.core.budget import Budget, spending
from mollm_cli.core.errors import RequestError
from mollm_cli.models import rehearsed
from mollm_cli.models.load_model import load_model, load_tokenizer
from mollm_cli.models.model_settings import Model
from mollm_cli.planning.blueprint import architecture

CONFIG, TOKENIZER, SETTINGS = "config.json", "tokenizer.json", "tokenizer_config.json"


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with spending(Budget(seconds=2, memory_gib=0.3)):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(resolve("embedded:tiny"), tmp_path / "model"))


def _whole(file: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_text(content) and None


def _edited(file: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(content | changes))

    return edit


GROWING = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+$("}, "behavior": "Isolated", "invert": False}
UNREAD = "cannot be loaded"
FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "config: a list": (_whole(CONFIG, "[1, 2]"), UNREAD),
    "config: a number": (_whole(CONFIG, "5"), UNREAD),
    "config: deep": (_whole(CONFIG, '{"a":' * 50_000), UNREAD),
    "config: dtype": (_edited(CONFIG, dtype="os.system", torch_dtype="os.system"), "no attribute 'os.system'"),
    "config: no vocabulary": (_edited(CONFIG, vocab_size=None), "'vocab_size'.*expected int, got NoneType"),
    "config: layers of text": (_edited(CONFIG, num_hidden_layers="x"), "'num_hidden_layers'"),
    "config: no heads": (_edited(CONFIG, num_attention_heads=0), UNREAD),
    "config: a type that is a list": (_edited(CONFIG, model_type=["a"]), UNREAD),
    "config: rope": (_edited(CONFIG, rope_parameters=5), UNREAD),
    "generation: a list": (_whole("generation_config.json", "[1]"), "must hold settings that go together"),
    "tokenizer: a list": (_whole(TOKENIZER, "[]"), UNREAD),
    "tokenizer: deep": (_whole(TOKENIZER, "[" * 100_000), UNREAD),
    "tokenizer: no model": (_edited(TOKENIZER, model={"type": "BPE", "vocab": {"a": -1}, "merges": []}), UNREAD),
    "tokenizer: an open bracket": (_edited(TOKENIZER, pre_tokenizer=SPLIT), UNREAD),
    "tokenizer: a text that grows": (
        _edited(TOKENIZER, normalizer={"type": "Sequence", "normalizers": [GROWING] * 5}),
        r"reading the tokenizer must take at most .*limits\.(memory_gib|seconds)=",
    ),
    "settings: a list": (_whole(SETTINGS, "[]"), UNREAD),
    "settings: tokens": (_edited(SETTINGS, added_tokens_decoder={"x": 5}), UNREAD),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_anything_is_one_message(name: str, folder: Path) -> None:
    break_it, message = FOLDERS[name]
    break_it(folder)
    with pytest.raises(RequestError, match=message) as refused:
        load_model(Model(str(folder)), 0)
    said = str(refused.value)
    assert said.startswith(f"model.path={folder}: ") and "Set model.path to " in said and len(said) < 700


@pytest.mark.parametrize("where", [{"num_hidden_layers": 10_000}, {"text_config": {"num_local_experts": 10_000}}])
def test_ten_thousand_layers_are_refused_before_anything_is_built(where: dict[str, Any], folder: Path) -> None:
    _edited(CONFIG, **where)(folder)
    message = (
        r"config\.json must ask for at most 40 layers, found num_\w+=10000\. Set .*, or raise limits\.seconds=500 on"
    )
    with pytest.raises(RequestError, match=message):
        load_tokenizer(Model(str(folder)))


@pytest.mark.slow
def test_what_takes_long_to_build_is_not_built_for_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsed, "LAYERS_A_SECOND", 100_000)
    _edited(CONFIG, num_hidden_layers=10_000)(folder)
    message = (
        r"reading the architecture must take at most .* raise limits\.(seconds|memory_gib)=\S+ on the command line"
    )
    for read in (lambda model: load_model(model, 0), architecture):
        with spending(Budget(seconds=0.3, memory_gib=0.3)), pytest.raises(RequestError, match=message):
            read(Model(str(folder)))


def test_a_folder_is_rehearsed_once_and_again_when_it_has_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(rehearsed, "bounded", lambda what, *rest: asked.append(what))
    for _ in range(2):
        load_tokenizer(Model(str(folder)))
    assert asked == [f"model.path={folder}: reading the tokenizer"]
    _edited(CONFIG, more=1)(folder)
    load_tokenizer(Model(str(folder)))
    assert len(asked) == 2
    load_tokenizer(Model("embedded:tiny"))
    load_tokenizer(Model(str(folder), trust_remote_code=True))
    assert len(asked) == 2


def test_a_panic_of_a_library_is_a_message_and_ctrl_c_is_none() -> None:
    from mollm_cli.models.hub_models import reading

    panic = type("PanicException", (BaseException,), {})
    message = r"model\.path=X: the tokenizer cannot be loaded \(PanicException: oh\)"
    with pytest.raises(RequestError, match=message), reading("X", "tokenizer"):
        raise panic("oh")
    for passed in (KeyboardInterrupt, MemoryError):
        with pytest.raises(passed), reading("X", "tokenizer"):
            raise passed
