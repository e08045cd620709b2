from __future__ import annotations

import os
from pathlib import Path

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.launch.links import refuse_links


@pytest.mark.parametrize("name", ["manifest.json", "checkpoint", "resume/step", "wandb"])
@pytest.mark.parametrize("to", ["../../outside", "../../nowhere", "/etc/passwd", "inside"])
def test_a_link_in_the_run_directory_is_refused(name: str, to: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / name).parent.mkdir(parents=True)
    (run / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (run / name).symlink_to(to)
    with pytest.raises(RequestError, match=f"must hold no link, found .*{name} -> {to}. Remove"):
        refuse_links(run)


def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "resume").mkdir()
    os.mkfifo(tmp_path / "resume" / "state.json")
    with pytest.raises(RequestError, match=r"must hold files and folders only, found .*state.json, a pipe, a so"):
        refuse_links(tmp_path)


def test_a_run_directory_that_is_a_link_is_refused_and_one_in_a_link_is_not(tmp_path: Path) -> None:
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "run").symlink_to(tmp_path / "disk" / "run")
    with pytest.raises(RequestError, match=r"must be a folder, found the link .*/run -> .*disk/run. Name the folder"):
        refuse_links(tmp_path / "run")
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    refuse_links(tmp_path / "outputs" / "run")
    refuse_links(tmp_path / "nowhere")


def test_a_tracker_may_leave_links_that_stay_in_the_run(tmp_path: Path) -> None:
    (tmp_path / "run" / "wandb" / "run-1").mkdir(parents=True)
    (tmp_path / "run" / "wandb" / "latest-run").symlink_to("run-1")
    refuse_links(tmp_path / "run")
    (tmp_path / "run" / "wandb" / "out").symlink_to(tmp_path)
    with pytest.raises(RequestError, match="must hold no link, found .*wandb/out"):
        refuse_links(tmp_path / "run")
