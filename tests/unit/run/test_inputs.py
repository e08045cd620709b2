"""What a resume point notes of what its numbers depend on."""

from __future__ import annotations

import hashlib
import json
import shutil
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.assets.locate import resolve
from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE, Encoded
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.load_model import fingerprint
from mollm_cli.models.model_settings import Model
from mollm_cli.resume.checkpoint import FILES, STATE, TENSORS
from mollm_cli.resume.intact import write_manifest
from mollm_cli.resume.resume_points import recorded
from mollm_cli.run.inputs import inputs, require_recorded

TOKENS = hashlib.sha256(array("q", (1, 2, 3, IGNORE, 2, 3)).tobytes()).hexdigest()[:16]
REQUEST: Any = SimpleNamespace(train=("forget", "retain"))
PLAN: Any = SimpleNamespace(loss=mollm())


def _loaded(digest: str = "ab" * 32) -> Any:
    return [{"path": "model.safetensors", "sha256": digest}]


def _prepared(**rows: dict[str, Any]) -> Any:
    known = {"forget": {"sha256": "f" * 64, "rows": 3}, "retain": {"sha256": "e" * 64, "rows": 5}} | rows
    known |= {"holdout": {"sha256": "d" * 64, "rows": 2}}
    loaded = {name: SimpleNamespace(fingerprint=seen) for name, seen in known.items()}
    encoded = {name: [Encoded(name, (1, 2, 3), (IGNORE, 2, 3))] for name in known}
    return SimpleNamespace(loaded=loaded, encoded=encoded, sets_of=lambda role: [role])


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
        "tokens of data.forget": TOKENS,
        "tokens of data.retain": TOKENS,
    }


def test_forget_rows_in_other_manners_are_noted(tmp_path: Path) -> None:
    found = _noted(tmp_path, prepared=_prepared(reworded={"sha256": "c" * 64, "rows": 2}))
    assert (found["rows of data.reworded"], found["tokens of data.reworded"]) == ("c" * 16, TOKENS)


def test_without_a_config_file_the_digests_are_what_there_is(tmp_path: Path) -> None:
    assert set(_noted(tmp_path)) == {"weights of model.path"} | {
        f"{what} of data.{role}" for what in ("rows", "tokens") for role in ("forget", "retain")
    }


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
    assert set(found) == {"weights of model.path", "rows of data.holdout", "tokens of data.holdout"}


def test_a_config_file_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: " + "[" * 100 + "]" * 100)
    with pytest.raises(RequestError, match="32 deep in each other"):
        _noted(tmp_path)


def _point(folder: Path, noted: Any) -> None:
    """A whole resume point that notes ``noted``."""
    point = folder / "resume" / "step-00000002"
    point.mkdir(parents=True)
    (point / STATE).write_text(json.dumps({"step": 2, "extra": {"inputs": noted}}))
    (point / TENSORS).write_bytes(b"")
    write_manifest(point, point.name, FILES)


@pytest.mark.parametrize("key", ["weights of model.path", "rows of data.forget", "tokens of data.retain", "seed"])
def test_other_inputs_are_refused_before_anything_is_loaded(key: str, tmp_path: Path) -> None:
    path = str(tmp_path / "model")
    shutil.copytree(resolve("embedded:tiny"), path)
    request: Any = SimpleNamespace(train=("forget", "retain"), resume=str(tmp_path), model=Model(path))
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    noted = inputs(tmp_path, request, PLAN, _prepared(), fingerprint(path))
    _point(tmp_path, noted)
    require_recorded(tmp_path, request)
    require_recorded(tmp_path, request, PLAN, _prepared())
    others = {"weights of model.path": lambda: (tmp_path / "model" / "model.safetensors").write_bytes(b"x")}
    others["seed"] = lambda: (tmp_path / "config.yaml").write_text("seed: 4\n")
    others.get(key, lambda: 0)()
    changed = _prepared(forget={"sha256": "0" * 64, "rows": 3}) if key.startswith("rows") else _prepared()
    if key.startswith("tokens"):  # the same row, of which another template makes its first answer token given
        changed.encoded["retain"] = [Encoded("retain", (1, 2, 3), (IGNORE, IGNORE, 3))]
    later = (PLAN, changed) if " of data." in key else ()
    with pytest.raises(RequestError, match=rf"must keep what its numbers depend on, found {key}=\S+ \(it was"):
        require_recorded(tmp_path, request, *later)
    require_recorded(tmp_path, SimpleNamespace(resume=None), *later)  # type: ignore[arg-type]


@pytest.mark.parametrize("noted", [[], 5, None, {}])
def test_a_point_that_notes_nothing_is_told_when_it_is_read(noted: Any, tmp_path: Path) -> None:
    _point(tmp_path, noted)
    assert recorded(tmp_path / "resume") == {} == recorded(tmp_path / "nowhere")


def test_a_model_of_the_hub_that_is_not_here_is_compared_later(tmp_path: Path) -> None:
    _point(tmp_path, {"weights of model.path": "x"})
    require_recorded(tmp_path, SimpleNamespace(train=("forget", "retain"), resume="x", model=Model("nobody/nothing")))  # type: ignore[arg-type]
