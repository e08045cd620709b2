from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.run.prepare import SPARE_BYTES, Prepared, check_context, check_disk

Usage = namedtuple("Usage", "total used free")


def _row(length: int, id: str = "a:1") -> Encoded:
    return Encoded(id, tuple(range(length)), tuple(range(length)))


def _prepared(**encoded: list[Encoded]) -> Prepared:
    return Prepared(None, {}, encoded)


def _model(context: int | None) -> Any:
    config = SimpleNamespace() if context is None else SimpleNamespace(max_position_embeddings=context)
    return SimpleNamespace(config=config)


def test_rows_that_fit_into_the_context() -> None:
    rows = _prepared(forget=[_row(4)], stories=[_row(8)])
    check_context(rows, _model(8), "here")
    check_context(rows, _model(None), "here")  # a model that says nothing about it


@pytest.mark.parametrize(("name", "key"), [("forget", "data.forget"), ("stories", "data.sets.stories")])
def test_a_row_that_does_not_fit(name: str, key: str) -> None:
    rows = _prepared(**{name: [_row(4), _row(9, "a:2"), _row(5)]})
    wanted = (
        rf"^{key}.max_tokens must fit into the context of model.path=here, which is 8 tokens; found 9 in row 'a:2'. "
        rf"Set {key}.max_tokens=8$"
    )
    with pytest.raises(RequestError, match=wanted):
        check_context(rows, _model(8), "here")


def test_a_row_of_a_set_mixed_into_retain_that_does_not_fit() -> None:
    rows = Prepared(None, {}, {"alpaca": [_row(9, "a:2")]}, {"retain": 1.0, "alpaca": 1.0})
    with pytest.raises(RequestError, match=r"^data.mix.retain.alpaca.max_tokens must fit"):
        check_context(rows, _model(8), "here")


def test_room_for_the_checkpoint_and_two_resume_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 100 + (2 * 3 + 3) * 10 + SPARE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, needed))
    check_disk(tmp_path, 100, 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, needed - 1))
    with pytest.raises(RequestError, match=r"output_root: .* has 0.06 GiB free, the run writes up to 0.06 GiB"):
        check_disk(tmp_path, 100, 10)


def test_a_sample_is_spread_over_the_rows() -> None:
    rows = [_row(2, f"a:{n}") for n in range(10)]
    prepared = _prepared(forget=rows)
    assert [row.id for row in prepared.sample("forget", 3)] == ["a:0", "a:3", "a:6"]
    assert prepared.sample("forget", 10) == prepared.sample("forget", 99) == rows


def test_rows_that_only_serve_training_are_not_evaluated() -> None:
    prepared = Prepared(None, {"forget": 1, "alternate": 2, "text": 3}, {})  # type: ignore[dict-item]
    assert prepared.sets == {"forget": 1, "text": 3}


def test_what_only_serves_training_is_not_evaluated() -> None:
    loaded: Any = dict.fromkeys(("forget", "retain", "alternate", "ordinary", "reworded"), None)
    assert list(Prepared(None, loaded, {}).sets) == ["forget", "retain"]
