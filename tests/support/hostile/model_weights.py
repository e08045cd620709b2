"""Hostile weights and adapters."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.hostile.hostile_input import Hostile, Make, Place, deep, inputs, put
from tests.support.hostile.model_folders import FAMILY, spoilt, text_file


def hostile_weights() -> list[Hostile]:
    """Of the family of model folders."""
    return [
        *inputs(FAMILY, "weights that lie about sizes", _weights(), refused=False, most=32),
        *inputs(FAMILY, "adapters of another shape", _adapters(), refused=False, most=14),
    ]


def _header(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _weights() -> Iterator[Make]:
    def entry(shape: list[int], offsets: list[int], dtype: str = "F32") -> dict[str, Any]:
        return {"model.embed_tokens.weight": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}

    contents = (
        b"", b"\x00" * 8, struct.pack("<Q", 2**63), struct.pack("<Q", 10**8) + b"{", _header({}, length=2**40),
        _header({}), _header(entry([2**62, 4], [0, 16]), b"a" * 16), _header(entry([4], [0, 2**63]), b"a"),
        _header(entry([4], [16, 0]), b"a" * 16), _header(entry([4], [0, 16], "OS"), b"a" * 16),
        _header(deep(100_000).encode()), _header([]), _header(b"nonsense"), _header(entry([-4], [0, 16]), b"a" * 16),
        _header(entry([4], [0, 16]), b"a" * 16), _header(entry([0], [0, 0])),
        _header({f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(50_000)}),
        _header({"__metadata__": 5}), _header({"__metadata__": {"format": "trap"}} | entry([4], [0, 16]), b"a" * 16),
        b"PK\x03\x04" * 50,
    )  # fmt: skip
    for content in contents:
        yield spoilt(text_file("model.safetensors", content), "run")
    for cut in (0.1, 0.5, 0.99):

        def spoil(model: Path, cut: float = cut) -> None:
            file = model / "model.safetensors"
            os.truncate(file, int(cut * file.stat().st_size))

        yield spoilt(spoil, "run")
    maps: tuple[Any, ...] = (
        {"weight_map": {"a": "../../victim/diary.txt"}}, {"weight_map": 5}, [], {},
        {"weight_map": {"a": "/etc/passwd"}}, {"weight_map": {"a": None}},
        {"metadata": [], "weight_map": {"a": "model.safetensors.index.json"}},
    )  # fmt: skip
    for content in maps:

        def spoil(model: Path, content: Any = content) -> None:
            (model / "model.safetensors").unlink()
            (model / "model.safetensors.index.json").write_text(json.dumps(content))

        yield spoilt(spoil, "run")
    for name in ("config.json", "tokenizer.json", "model.safetensors", "tokenizer_config.json"):
        for make in (os.mkfifo, Path.mkdir, lambda file: file.symlink_to("/dev/zero")):

            def spoil(model: Path, name: str = name, make: Any = make) -> None:
                (model / name).unlink()
                make(model / name)

            yield spoilt(spoil, "run")


def _adapters() -> Iterator[Make]:
    def make(name: str, at: tuple[Any, ...], value: Any) -> Make:
        def write(place: Place, rng: random.Random) -> list[str]:
            folder = place.theirs / "adapter"
            folder.mkdir()
            for file in place.bases.adapter.iterdir():
                (folder / file.name).write_bytes(file.read_bytes())
            content = json.loads((folder / "adapter_config.json").read_text())
            text = value if not at else json.dumps(put(content, at, value))
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
            model = f"model.path={place.bases.model}"
            return place.ran(model, "model.adapter=lora", f"model.adapter_path={folder}")

        return write

    for content in ("[]", "", "5", deep(100_000), "{}"):
        yield make("adapter_config.json", (), content)
    for key in (
        "peft_type",
        "r",
        "target_modules",
        "base_model_name_or_path",
        "lora_alpha",
        "auto_mapping",
        "task_type",
        "bias",
    ):
        for value in (
            None,
            [],
            {},
            -1,
            10**9,
            "x",
            "trap.Evil",
            {"base_model_class": "Evil", "parent_library": "trap"},
        ):
            yield make("adapter_config.json", (key,), value)
    for weights in (b"", _header({}), _header([]), struct.pack("<Q", 2**62)):
        yield make("adapter_model.safetensors", (), weights)
