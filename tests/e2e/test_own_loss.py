"""A loss and a solver of a user's own, outside the repository: what the README shows, run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cli import ROOT, TRAINED, Answer, read_lines, unlearn

SECTION = re.compile(r"<!-- executed by tests/e2e/test_own_loss\.py -->\n(?P<blocks>.*?)\n\nRead `", re.DOTALL)
BLOCK = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mine:
    """The README's files in a folder of the user's, and its command."""

    folder: Path
    command: str

    @property
    def typed(self) -> list[str]:
        """What follows mollm-unlearn, with the folder named in full."""
        words = shlex.split(self.command)
        assert words[:2] == ["PYTHONPATH=.", "mollm-unlearn"]
        return [str(self.folder / "mine") if word == "mine" else word for word in words[2:]]


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Mine:
    found = SECTION.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(found) == 1, "README.md must have one marker of tests/e2e/test_own_loss.py"
    blocks = BLOCK.findall(found[0])
    assert [language for language, _ in blocks] == ["python", "yaml", "yaml", "bash"]
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my_package.py").write_text(blocks[0][1], encoding="utf-8")
    for _, text in blocks[1:3]:
        place = folder / text.splitlines()[0].removeprefix("# ")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return Mine(folder, blocks[3][1])


@pytest.fixture(scope="module")
def ran(mine: Mine, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """The command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(mine.folder))
        return unlearn(tmp_path_factory.mktemp("own"), *mine.typed)


def test_the_run_is_of_this_loss_and_this_solver(ran: Answer) -> None:
    assert ran.code == 0, ran.err
    assert (ran.manifest["loss"], ran.manifest["solver"]) == ("fade", "even_pull")
    assert ran.metrics["after"]["forget_probability"] < ran.metrics["before"]["forget_probability"]


def test_the_objective_is_the_probability_that_its_function_says(ran: Answer) -> None:
    """The start knows the forget rows by heart: nearly 1 a token; -log of it would be nearly 0."""
    first = ran.steps[0]
    assert 0.9 < first["loss.probability"] < 1
    assert first["loss.cross_entropy"] < 0.2


def test_the_weights_are_those_of_the_solver(ran: Answer) -> None:
    """Unit rows times their objectives' weights, 1 and 3: so is the length of what each adds to the direction."""
    for step in ran.steps:
        p, c = (step[f"norm.{name}"] * step[f"weight.{name}"] for name in ("probability", "cross_entropy"))
        assert p > 0
        assert c == pytest.approx(3 * p, rel=1e-5)


def test_the_yaml_holds_and_the_command_line_wins(ran: Answer) -> None:
    import yaml

    config = yaml.safe_load((ran.run_dir / "config.yaml").read_text())
    assert config["loss"] == {"_target_": "my_package.fade", "retain_weight": 3}


@pytest.mark.slow
def test_the_same_as_a_command_of_its_own(mine: Mine, ran: Answer, tmp_path: Path) -> None:
    """bash, PYTHONPATH=. and the installed command, in the user's folder: the very same losses."""
    extra = shlex.join([f"output_root={tmp_path}", *TRAINED])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"{mine.command.strip()} {extra}"], cwd=mine.folder, capture_output=True, text=True,
        env=os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"}, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = read_lines(Path(done.stdout.strip()) / "train.jsonl")
    assert [s["loss.probability"] for s in steps] == pytest.approx([s["loss.probability"] for s in ran.steps], rel=1e-4)


def test_without_the_package_on_the_path_the_message_says_which_name(mine: Mine, root: Path) -> None:
    sys.modules.pop("my_package", None)
    refused = unlearn(root, *mine.typed)
    assert refused.code == 2 and not root.exists()
    assert "my_package.fade" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize("how", [("engine.processes=2",), ("-m", "seed=0,1", "hydra/launcher=local")])
def test_what_is_allowed_is_allowed_to_processes_and_jobs(how: tuple[str, ...], mine: Mine, tmp_path: Path) -> None:
    """And to no later command line: what a launcher's job is gone on with is allowed again."""
    path = os.pathsep.join((str(mine.folder), os.environ.get("PYTHONPATH") or str(ROOT)))
    environment = os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    program = [sys.executable, "-m", "mollm_cli"]

    def run(*typed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *typed], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False, timeout=300
        )

    done = run(*mine.typed, *TRAINED, *how)
    assert done.returncode == 0, done.stderr
    if "-m" in how:
        sweep = done.stdout.strip()
        (Path(sweep) / "0" / "manifest.json").unlink()
        refused = run("--resume-sweep", sweep)
        assert refused.returncode != 0 and "--allow-code my_package" in refused.stderr
