from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.run.links import refuse_links


@pytest.mark.parametrize("name", ["manifest.json", "checkpoint", "resume/step"])
@pytest.mark.parametrize("to", ["../../outside", "../../nowhere", "/etc/passwd"])
def test_a_link_out_of_the_run_directory_is_refused(name: str, to: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / name).parent.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (run / name).symlink_to(to)
    with pytest.raises(RequestError, match=f"must hold no link that leads out of it, found .*{name} -> {to}. Remove"):
        refuse_links(run)


def test_links_inside_and_of_the_directory_itself_are_let_be(tmp_path: Path) -> None:
    run = tmp_path / "disk"
    (run / "resume").mkdir(parents=True)
    (run / "resume" / "last").symlink_to("step")
    (tmp_path / "run").symlink_to(run)
    refuse_links(tmp_path / "run")
