from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest
import yaml

from mollm_cli.cli.help import EXIT_CODES, help_text
from mollm_cli.configuration.choices import choices, config_dir
from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN, Command
from mollm_cli.configuration.request import Request

COMMANDS = pytest.mark.parametrize("command", [UNLEARN, FINETUNE, EVALUATE], ids=lambda command: command.name)
EXAMPLES = [
    pytest.param(command, line, id=f"{command.name} {line}", marks=pytest.mark.slow if number else ())
    for command in (UNLEARN, FINETUNE, EVALUATE)
    for number, (line, _) in enumerate(command.examples)
]


@COMMANDS
def test_every_group_and_every_choice_is_listed(command: Command) -> None:
    text = help_text(command, [config_dir()])
    defaults = yaml.safe_load((config_dir() / f"{command.config}.yaml").read_text())["defaults"]
    composed = {group for entry in defaults if isinstance(entry, dict) for group in entry if "hydra" not in group}
    expanded = {"sweep"} if command is UNLEARN else set()  # not composed: it stands for overrides
    assert set(command.groups) == composed | {"dataset", "metric", "attack", "judge", "harness"} | expanded
    for group in command.groups:
        assert f"\n{group}\n" in text
        for name, head in choices(group, [config_dir()]).items():
            assert f"  {name} " in text and head in text


@COMMANDS
def test_five_examples_and_all_exit_codes(command: Command) -> None:
    text = help_text(command, [config_dir()])
    assert len(command.examples) == 5
    for line, why in command.examples:
        assert f"  {command.program} {line}".rstrip() in text and why in text
    for code, meaning in EXIT_CODES.items():
        assert any(row.split(maxsplit=1) == [code, meaning] for row in text.splitlines())


@pytest.mark.parametrize(("command", "line"), EXAMPLES)
def test_every_example_is_a_right_request(
    command: Command,
    line: str,
    answer: Callable[..., tuple[int, str, str]],
    checked: list[Request],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for absent in ("configuration.first_look._check_file", "models.at_hand.require_at_hand"):  # files of the reader's
        monkeypatch.setattr(f"mollm_cli.{absent}", lambda _: None)
    code, _, errors = answer(command, "--check", *shlex.split(line))
    assert (code, errors) == (0, "")
    assert checked


def test_help_version_and_list_answer_on_stdout(answer: Callable[..., tuple[int, str, str]]) -> None:
    code, text, errors = answer(UNLEARN, "--help")
    assert (code, errors) == (0, "") and text.startswith("Move a language model")
    assert answer(UNLEARN, "--version")[1].startswith("mollm-unlearn 0.")
    assert "mollm  " in answer(UNLEARN, "--list", "loss")[1]
