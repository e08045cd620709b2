from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.cli.arguments import Arguments, read
from mollm_cli.core.errors import RequestError


@pytest.mark.parametrize(
    "typed", ["-m loss=ga,mollm seed=1", "loss=ga,mollm -m seed=1", "loss=ga,mollm seed=1 --multirun"]
)
def test_flags_may_stand_anywhere(typed: str) -> None:
    assert read(typed.split()) == Arguments(overrides=("loss=ga,mollm", "seed=1"), multirun=True)


def test_overrides_with_signs_are_no_flags() -> None:
    typed = ["+loss.x=1", "~data.sets.text", "++seed=-1", "run_name=a --b"]
    assert read(typed).overrides == tuple(typed)


def test_flags_with_values() -> None:
    found = read(["--cfg", "job", "--resolve", "--list", "model", "--config-dir=/x"])
    assert (found.cfg, found.resolve, found.listed, found.config_dir) == ("job", True, "model", "/x")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--chekc"], r"'--chekc' is not a flag; did you mean '--check'"),
        (["--ver"], r"'--ver' is not a flag; did you mean '--version'"),
        (["--resolve"], r"--resolve goes with --cfg job"),
        (["--list"], r"--list: expected one argument; see --help"),
        (["--cfg", "hydra"], r"--cfg: invalid choice: 'hydra'"),
    ],
)
def test_wrong_flags(typed: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read(typed)


def test_config_dir_must_exist(tmp_path: Path) -> None:
    assert Arguments(config_dir=str(tmp_path)).folders(Path("/own")) == [Path("/own"), tmp_path]
    with pytest.raises(RequestError, match=r"--config-dir must be a folder that can be read, found '.*nowhere'"):
        Arguments(config_dir=str(tmp_path / "nowhere")).folders(Path("/own"))
