"""What a resume point notes of what its numbers depend on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.losses.mollm import mollm
from mollm_cli.run.inputs import inputs

REQUEST: Any = SimpleNamespace(train=None)
PLAN: Any = SimpleNamespace(loss=mollm())


def _loaded(digest: str = "ab" * 32) -> Any:
    return SimpleNamespace(files=[{"path": "model.safetensors", "sha256": digest}])


def _prepared(**rows: dict[str, Any]) -> Any:
    known = {"forget": {"sha256": "f" * 64, "rows": 3}, "retain": {"sha256": "e" * 64, "rows": 5}} | rows
    known |= {"holdout": {"sha256": "d" * 64, "rows": 2}}
    loaded = {name: SimpleNamespace(fingerprint=seen) for name, seen in known.items()}
    return SimpleNamespace(loaded=loaded, sets_of=lambda role: [role])


def _noted(folder: Path, loaded: Any = None, prepared: Any = None) -> dict[str, Any]:
    return inputs(folder, REQUEST, PLAN, prepared or _prepared(), loaded or _loaded())


def test_the_lasting_keys_and_digests_of_weights_and_trained_rows(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 3\nrun_name: x\nengine: {max_steps: 4, batch_size: 2}\n")
    found = _noted(tmp_path)
    assert found.pop("weights of model.path") == _noted(tmp_path)["weights of model.path"]
    assert found == {
        "seed": 3,
        "engine.batch_size": 2,
        "rows of data.forget": "f" * 16,
        "rows of data.retain": "e" * 16,
    }


def test_without_a_config_file_the_digests_are_what_there_is(tmp_path: Path) -> None:
    assert set(_noted(tmp_path)) == {"weights of model.path", "rows of data.forget", "rows of data.retain"}


def test_other_weights_and_other_rows_are_seen(tmp_path: Path) -> None:
    first = _noted(tmp_path)
    assert _noted(tmp_path, loaded=_loaded("cd" * 32))["weights of model.path"] != first["weights of model.path"]
    other = _noted(tmp_path, prepared=_prepared(forget={"sha256": "0" * 64, "rows": 3}))
    assert other["rows of data.forget"] != first["rows of data.forget"]
    assert other["rows of data.retain"] == first["rows of data.retain"]


def test_rows_without_a_hash_are_known_by_their_number(tmp_path: Path) -> None:
    assert _noted(tmp_path, prepared=_prepared(retain={"rows": 5}))["rows of data.retain"] == "5"


def test_what_fine_tuning_trains_on_is_noted(tmp_path: Path) -> None:
    request: Any = SimpleNamespace(train=("holdout",))
    found = inputs(tmp_path, request, PLAN, _prepared(), _loaded())
    assert set(found) == {"weights of model.path", "rows of data.holdout"}


def test_a_config_file_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: " + "[" * 100 + "]" * 100)
    with pytest.raises(RequestError, match="32 deep in each other"):
        _noted(tmp_path)
