from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.cli.listing import listing
from mollm_cli.configuration import choices
from mollm_cli.core.errors import RequestError


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_config_dir_is_absolute_and_has_the_primary_files() -> None:
    folder = choices.config_dir()
    assert folder.is_absolute()
    assert {"config.yaml", "finetune.yaml", "evaluate.yaml"} <= {file.name for file in folder.iterdir()}


def test_config_dir_inside_the_package_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "__file__", str(tmp_path / "package" / "cli" / "listing.py"))
    with pytest.raises(RequestError, match=r"conf/config.yaml must stand in .*package or beside it, found neither"):
        choices.config_dir()
    _write(tmp_path / "conf", "config.yaml", "")
    assert choices.config_dir() == tmp_path / "conf"
    _write(tmp_path / "package" / "conf", "config.yaml", "")
    assert choices.config_dir() == tmp_path / "package" / "conf"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# The head.\n# more\nkey: 1\n", "The head."),
        ("# @package _global_\n# The head.\n", "The head."),
        ("#\n# The head.\n", "The head."),
        ("key: 1\n# no head\n", ""),
        ("# A head (et al., v1.5). The `rest` goes\n# on here.\n", "A head (et al., v1.5)."),
        ("# A head that goes\n# on here. And on.\nkey: 1\n", "A head that goes on here."),
        ("# A head without\n# an end\n", "A head without an end"),
        ("", ""),
    ],
)
def test_head_is_the_first_line_in_whole_sentences(tmp_path: Path, text: str, expected: str) -> None:
    assert choices.head(_write(tmp_path, "x.yaml", text)) == expected


def test_choices_of_all_folders_without_hidden_bases(tmp_path: Path) -> None:
    ours, users = tmp_path / "ours", tmp_path / "users"
    _write(ours / "loss", "ga.yaml", "# Ours.\n")
    _write(ours / "loss", "_base.yaml", "# Hidden.\n")
    _write(users / "loss", "ga.yaml", "# Shadowed.\n")
    _write(users / "loss", "aa.yaml", "# The user's.\n")
    assert choices.choices("loss", [ours, users]) == {"aa": "The user's.", "ga": "Ours."}
    assert listing("loss", [ours, users]) == "aa  The user's.\nga  Ours."


def test_unknown_group() -> None:
    with pytest.raises(RequestError, match=r"--list must be followed by a group, found 'modle'; did you mean 'model'"):
        listing("modle", [choices.config_dir()])
