"""The starting model's files beside its weights: a checkpoint has them as they are, but for what has changed."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mollm_cli.core.read_back import LARGEST, read_mapping
from mollm_cli.models.older_spelling import name_type, plain_floats, rotary, with_older_names

CONFIG, GENERATION = "config.json", "generation_config.json"
TOKENIZER = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tekken.json",
    "chat_template.jinja", "chat_template.json",
)  # fmt: skip
"""Files from which one reader or another makes a tokenizer and its template."""
TEMPLATES = "additional_chat_templates"
PATTERNS = (*TOKENIZER, "*.tiktoken", f"{TEMPLATES}/*.jinja", "tokenization_*.py")
OF_THE_WRITER = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")
"""Keys that follow from who wrote a configuration, and how it was loaded. The version stays the starting model's, for
transformers reads tokenizer files by it."""


@dataclass(frozen=True, slots=True)
class StartFiles:
    """Everything that was read of the starting model, to compare with when a checkpoint is written.

    config, generation: what its config.json and generation_config.json say; {} where there is none.
    read, sampling: what transformers made of them, the first quietened (models/quiet.py).
    files: those of its tokenizer.
    tokenizer: the tokenizer's ``tokenizer_state``.
    """

    config: Mapping[str, Any]
    generation: Mapping[str, Any]
    read: Mapping[str, Any]
    sampling: Mapping[str, Any]
    files: tuple[Path, ...]
    tokenizer: tuple[Any, ...]

    @classmethod
    def of(cls, folder: Path | None, read: Mapping[str, Any], model: Any, tokenizer: Any) -> StartFiles:
        """The files of ``folder`` beside weights; None where nothing of it is on this machine.

        Raises OSError, and ValueError for a file that holds no mapping.
        """
        config, generation = _read(folder, CONFIG), _read(folder, GENERATION)
        files = () if folder is None else tuple(tokenizer_files(folder))
        return cls(config, generation, read, settings_of(model), files, tokenizer_state(tokenizer))

    def write_config(self, model: Any, folder: Path) -> None:
        """Write config.json: the starting model's, with what has changed, under the names of transformers 5 and 4."""
        now = whole_text(model.config)
        if self.config and now.get("model_type") == self.read.get("model_type"):
            text = changed(self.config, self.read, now)
        else:
            text = json.loads(model.config.to_json_string())
        for part in (text, text.get("text_config")):
            if isinstance(part, dict):
                part["tie_word_embeddings"] = tied(model)
        name_type(text, str(model.dtype).removeprefix("torch."))
        _write(folder / CONFIG, _spelled_out(plain_floats(text), type(model.config)))

    def write_generation(self, model: Any, folder: Path) -> None:
        """Write generation_config.json: the starting model's, with what has changed."""
        settings = getattr(model, "generation_config", None)
        if settings is None:
            return
        own = changed(self.generation, self.sampling, settings_of(model))
        _write(folder / GENERATION, own if self.generation else json.loads(settings.to_json_string()))

    def write_tokenizer(self, tokenizer: Any, folder: Path) -> None:
        """Copy the tokenizer's files byte for byte; where it was changed, or they are gone, it writes itself.

        Raises ValueError for a file that is too large to be a tokenizer's.
        """
        there = bool(self.files) and all(file.is_file() for file in self.files)
        if not there or tokenizer_state(tokenizer) != self.tokenizer:
            tokenizer.save_pretrained(folder)
            return
        for file in self.files:
            if file.stat().st_size > LARGEST:
                raise ValueError(f"{file.name} must have at most {LARGEST >> 20} MiB")
            target = folder / (f"{TEMPLATES}/{file.name}" if file.parent.name == TEMPLATES else file.name)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)


def _read(folder: Path | None, name: str) -> dict[str, Any]:
    return {} if folder is None or not (folder / name).is_file() else read_mapping(folder / name)


def whole_text(config: Any) -> dict[str, Any]:
    """A configuration as JSON has it, defaults included."""
    text: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return text


def settings_of(model: Any) -> dict[str, Any]:
    """The generation_config of ``model`` as JSON has it; {} without one."""
    settings = getattr(model, "generation_config", None)
    return {} if settings is None else whole_text(settings)


def changed(own: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` with the keys that differ between ``before`` and ``now``, down into mappings."""
    text = {key: value for key, value in own.items() if key in now or key not in before or key in OF_THE_WRITER}
    for key, value in now.items():
        if key in OF_THE_WRITER or (before.get(key) == value and key in before):
            continue
        both = isinstance(value, dict) and isinstance(before.get(key), dict) and isinstance(own.get(key), dict)
        text[key] = changed(own[key], before[key], value) if both else value
    return text


def tied(model: Any) -> bool:
    """True where the head is the embedding; what the configuration says, where there are no two matrices to compare."""
    import torch

    said = bool(getattr(model.config.get_text_config(), "tie_word_embeddings", False))
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    first, last = (getattr(module, "weight", None) for module in (embedding, head))
    if first is None or last is None:
        return said
    return first is last or (said and torch.equal(first, last))


def tokenizer_state(tokenizer: Any) -> tuple[Any, ...]:
    """All that can be changed of a tokenizer that has been loaded."""
    return len(tokenizer), dict(tokenizer.special_tokens_map), tokenizer.chat_template


def tokenizer_files(folder: Path) -> Iterator[Path]:
    """The files of a tokenizer in ``folder``; none that is a link to elsewhere.

    A link might have a file of the user's published with a checkpoint. The Hub's cache links to its own blobs.
    """
    inside = [folder.resolve()]
    if folder.parent.name == "snapshots":
        inside.append(folder.resolve().parents[1] / "blobs")
    for pattern in PATTERNS:
        for file in sorted(folder.glob(pattern)):
            if file.is_file() and any(file.resolve().is_relative_to(each) for each in inside):
                yield file


def _spelled_out(text: dict[str, Any], kind: Any) -> dict[str, Any]:
    """``text`` with older names, but where today's class would understand something else by them."""
    spelled = with_older_names(text, getattr(kind, "attribute_map", {}))
    understood = [rotary(whole_text(kind.from_dict(copy.deepcopy(each)))) for each in (text, spelled)]
    return spelled if understood[0] == understood[1] else text


def _write(file: Path, text: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(text, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
