from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf, open_dict

from mollm_cli.configuration.compose import compose_job, composing
from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.configuration.yaml_source import _PARSED

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30))
REFUSED = {
    LAUGHS: "mine.yaml: must come to at most 100000 values, found more: its aliases (*name) repeat each other. Write",
    "a: " + "[" * 40 + "]" * 40: "mine.yaml: lists and mappings must stand at most 32 deep in each other, found more",
    "a: !!python/object/apply:os.system [id]": "could not determine a constructor for the tag",
    "a: [": "mine.yaml: must be YAML, found: ",
    "5": "mine.yaml: must hold keys with values, found a single value. Write lines of KEY: VALUE",
    "- a": "mine.yaml: must hold keys with values, found a list. Write lines of KEY: VALUE",
    "defaults: [mine]": "a defaults list must not lead back to its own file, found YAML files that name each other",
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """An experiment of the user's, in a folder of theirs."""
    file = tmp_path / "mine" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    return file


@pytest.mark.parametrize("text", REFUSED, ids=["aliases", "deep", "python", "broken", "value", "list", "circle"])
@pytest.mark.parametrize("by_flag", [True, False])
def test_yaml_that_is_not_composed(text: str, by_flag: bool, mine: Path, answer: Any) -> None:
    mine.write_text(f"# @package _global_\n{text}")
    folder = mine.parents[1]
    where = ["--config-dir", str(folder)] if by_flag else [f"hydra.searchpath=[file://{folder}]"]
    code, printed, errors = answer(UNLEARN, *where, "experiment=mine", "--check")
    assert (code, printed) == (2, "") and REFUSED[text] in errors and len(errors.splitlines()) < 20


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}"])
def test_a_file_may_say_nothing(text: str, mine: Path, answer: Any) -> None:
    mine.write_text(text)
    assert answer(UNLEARN, "--config-dir", str(mine.parents[1]), "experiment=mine", "--cfg", "job")[0] == 0


def test_a_file_that_is_no_text(mine: Path, answer: Any) -> None:
    mine.write_bytes(b"seed: \xff")
    code, _, errors = answer(UNLEARN, "--config-dir", str(mine.parents[1]), "experiment=mine", "--check")
    assert code == 2 and "mine.yaml: must be a readable text, found: " in errors


def test_a_file_that_nobody_asks_for_is_not_read(mine: Path, answer: Any) -> None:
    mine.write_text(LAUGHS)
    assert answer(UNLEARN, "--config-dir", str(mine.parents[1]), "--cfg", "job")[0] == 0


def test_brackets_in_brackets_of_an_override(answer: Any) -> None:
    code, _, errors = answer(UNLEARN, f"+a={'[' * 3000}", "--check")
    assert code == 2 and "+a: brackets must stand at most 32 deep in each other, found 3000; write it plainer" in errors
    assert answer(UNLEARN, f"+a={'[' * 32}{']' * 32}", "--cfg", "job")[0] == 0


@pytest.mark.parametrize("name", ["../../x", "a/b", "a\\\\b", "''", "'a\tb'", "'a\nb'", "'\x1b[31m'", "'a\u202eb'"])
def test_a_run_is_called_by_a_name(name: str, answer: Any) -> None:
    code, _, errors = answer(UNLEARN, f"run_name={name}", "--check")
    assert code == 2 and "run_name must be a name without / and control characters, and no secret, found " in errors


def test_what_is_made_of_a_packaged_file_does_not_show_in_the_next() -> None:
    with composing():
        first = compose_job("config", [])
        before = OmegaConf.to_container(first, resolve=False)
        with open_dict(first):
            first.engine.max_steps, first.direction.mine = 77, 1
        first.data.retain.name = "changed"
        assert OmegaConf.to_container(compose_job("config", []), resolve=False) == before
    for place, result in _PARSED.items():
        assert "77" not in OmegaConf.to_yaml(result[0]), place
