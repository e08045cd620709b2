"""Configurations that come to more than they look, and limits that only the command line sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mollm_cli.cli.main import main
from mollm_cli.configuration import allowance
from mollm_cli.configuration.compose import compose_job, composed_plain, composing, parse
from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.configuration.resumed_config import require_lasting, resumed_config
from mollm_cli.core.budget import Budget
from mollm_cli.core.errors import RequestError

GOES_ON = "composing the configuration must take at most .* found that it (goes on|needs more)"
SMALL = ("limits.seconds=0.5", "limits.memory_gib=0.2")


def _doubling(levels: int) -> dict[str, str]:
    return {f"k{n}": f"${{k{n + 1}}}${{k{n + 1}}}" for n in range(levels)} | {f"k{levels}": "x"}


def _tree(levels: int) -> dict[str, object]:
    return {f"k{n}": {"a": f"${{k{n + 1}}}", "b": f"${{k{n + 1}}}"} for n in range(levels)} | {f"k{levels}": 1}


NODES = {"a text that doubles": _doubling(24), "a tree that doubles": _tree(24)}


@pytest.mark.parametrize("name", NODES)
def test_a_yaml_of_one_and_a_half_kilobytes(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\n" + yaml.safe_dump(NODES[name] | {"run_name": "${k0}"})
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    assert len(text) < 1600
    typed = ["--config-dir", str(tmp_path), "experiment=mine", "--check", *SMALL]
    assert main(UNLEARN, typed) == 2
    said = capsys.readouterr().err
    assert "composing the configuration must take at most" in said and "Traceback" not in said


def test_interpolations_in_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(UNLEARN, ["run_name=" + "${" * 300 + "x" + "}" * 300, "--check", *SMALL]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_what_is_typed_doubles_no_further(capsys: pytest.CaptureFixture[str]) -> None:
    text = [f"+model.k{n}=${{model.k{n + 1}}}${{model.k{n + 1}}}" for n in range(24)]
    assert main(UNLEARN, [*text, "+model.k24=x", "run_name=${model.k0}", "--check", *SMALL]) == 2
    assert "composing the configuration must take at most" in capsys.readouterr().err


@pytest.fixture
def within() -> Iterator[None]:
    with composing():
        yield


@pytest.mark.parametrize("said", ["limits.seconds=x", "limits.seconds=0", "limits.memory_gib=-1", "limits.seconds=1,2"])
def test_a_limit_is_a_number(said: str) -> None:
    with pytest.raises(RequestError, match=r"limits\.(seconds|memory_gib) must be "):
        allowance.typed([said])
    assert allowance.typed(["limits.seconds=60", "seed=1"]) == Budget(seconds=60)


def test_a_yaml_does_not_give_itself_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nlimits: {seconds: 5000}\n")
    typed = ["--config-dir", str(tmp_path), "experiment=mine", "--check"]
    assert main(UNLEARN, typed) == 2
    assert "limits must be set on the command line, found another value in a YAML" in capsys.readouterr().err


def test_a_run_that_is_gone_on_with_does_not_either(within: None, tmp_path: Path) -> None:
    config = composed_plain(compose_job(UNLEARN.config, ["loss=ga"]))
    config["limits"] = {"_target_": "mollm_cli.core.budget.Budget", "seconds": 5000.0, "memory_gib": 500.0}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert resumed_config(tmp_path, [], UNLEARN.config)["limits"] == allowance.node(Budget())
    typed = parse(["limits.seconds=60"])
    assert resumed_config(tmp_path, typed, UNLEARN.config)["limits"] == allowance.node(Budget(seconds=60))
    require_lasting(tmp_path, config)
