from __future__ import annotations

import json
from typing import Any

import pytest

from mollm_cli.run.lineage import lineage, warning

FILES = [{"path": "model.safetensors", "bytes": 3, "sha256": "ab"}]
PARENT: dict[str, Any] = {
    "command": "mollm-unlearn a=b",
    "loss": "ga",
    "checkpoint": {"files": FILES},
    "datasets": {"forget": {"sha256": "cd"}},
}
ENTRY = {"run": "run", "command": "mollm-unlearn a=b", "loss": "ga", "weights": {"model.safetensors": "ab"}}


@pytest.fixture
def checkpoint(tmp_path):
    """RUN/checkpoint with this beside it."""

    def _checkpoint(manifest: str, name: str = "checkpoint") -> str:
        folder = tmp_path / "run" / name
        folder.mkdir(parents=True)
        (folder.parent / "manifest.json").write_text(manifest)
        return str(folder)

    return _checkpoint


def test_the_parent_comes_after_its_own_ancestors(checkpoint):
    runs = lineage(checkpoint(json.dumps(PARENT | {"lineage": [{"run": "first"}]})), FILES)
    assert runs == [{"run": "first"}, ENTRY | {"forget": "cd", "unchanged": True}]
    assert warning(runs) is None


def test_weights_that_changed_since_are_told(checkpoint):
    runs = lineage(checkpoint(json.dumps(PARENT | {"datasets": {}})), [{**FILES[0], "sha256": "other"}])
    assert runs == [ENTRY | {"forget": None, "unchanged": False}]
    assert "not those that the run run wrote" in str(warning(runs))


@pytest.mark.parametrize(
    "manifest",
    ["", "no json", "[]", "{}", "[" * 100_000, '{"command": 1, "checkpoint": 5}', '{"command": 1, "lineage": 7}'],
)
def test_what_is_no_run_has_no_lineage(manifest, checkpoint):
    assert lineage(checkpoint(manifest), FILES) == []
    assert warning([]) is None


def test_another_folder_and_a_model_of_the_hub_have_none(checkpoint, tmp_path):
    assert lineage(checkpoint(json.dumps(PARENT), "copy"), FILES) == []
    assert lineage("facebook/opt-125m", FILES) == lineage("embedded:tiny", FILES) == []
    assert lineage(str(tmp_path / "nowhere" / "checkpoint"), FILES) == []
