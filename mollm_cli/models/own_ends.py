"""The end tokens that a model's files name, and those that are written into the files of its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mollm_cli.core.read_back import read_mapping

FILES = ("generation_config.json", "config.json")
ENDS = "eos_token_id"


def own_ends(path: str, **options: Any) -> tuple[int, ...]:
    """The ids in eos_token_id of a model's generation_config.json and config.json, of its text model too.

    A file that is missing or no mapping names none. options: of every from_pretrained of this model.
    """
    found: dict[int, None] = {}
    for name in FILES:
        with suppress(OSError, ValueError):
            if (file := _file(path, name, options)) is not None:
                found |= dict.fromkeys(_named(read_mapping(file)))
    return tuple(found)


def name_ends(model: Any, ends: Sequence[int]) -> None:
    """Have ``model``'s generation_config stop at all of ``ends``, those that it names first; it says nothing else new.

    Serving programs read that file alone, and know no chat template's end of a turn.
    """
    settings = getattr(model, "generation_config", None)
    if settings is None or not ends:
        return
    named = list(_ids(getattr(settings, ENDS, None)))
    if more := [end for end in ends if end not in named]:
        setattr(settings, ENDS, [*named, *more])
        settings._from_model_config = False  # config.json names fewer, and some versions would read it again


def _named(config: Mapping[str, Any]) -> Iterator[int]:
    inner = config.get("text_config")
    yield from _ids(config.get(ENDS))
    yield from _ids(inner.get(ENDS)) if isinstance(inner, Mapping) else ()


def _ids(value: object) -> Iterator[int]:
    for each in value if isinstance(value, list | tuple) else [value]:
        if isinstance(each, int) and not isinstance(each, bool) and each >= 0:
            yield each


def _file(path: str, name: str, options: Mapping[str, Any]) -> Path | None:
    if Path(path).is_dir():
        return Path(path) / name
    from transformers.utils import cached_file

    known = {key: options[key] for key in ("revision", "local_files_only") if key in options}
    found = cached_file(path, name, **known, _raise_exceptions_for_missing_entries=False)
    return None if found is None else Path(found)
