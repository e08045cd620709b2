"""The Hub from end to end, against one on the loopback interface that serves the published file layouts.

Commands are children: the endpoint is read when huggingface_hub is imported. Those of one environment share a process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import ROOT, read
from tests.support.hub import Hub, serve
from tests.support.published import publish

pytestmark = pytest.mark.slow
SHORT = (
    "engine.max_steps=2",
    "evaluation.limit=4",
    "evaluation.generate_tokens=4",
    "force=true",
)  # nothing was learned
README = ("model=opt-1.3b", "data=pku-harmful")
TOFU = ("model=opt-1.3b", "data=tofu", "data.retain.expected_rows=null", "data.forget.expected_rows=null")
TOFU += ("data.holdout.expected_rows=null", "data.sets.real_authors.expected_rows=null")
TOFU += ("data.sets.world_facts.expected_rows=null",)
SECONDS = 120
"""The longest that a line may take; it takes a few."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A Hub with a model and the datasets of the README's line, of TOFU, and a gated one."""
    root = tmp_path_factory.mktemp("hub")
    publish(root)
    with serve(root) as running:
        yield running


def _run(environment: dict[str, str], root: Path, *typed: str) -> subprocess.CompletedProcess[str]:
    """``mollm-unlearn`` as a process of its own."""
    code = "import sys; from mollm_cli.cli import unlearn; sys.exit(unlearn())"
    whole = os.environ | environment | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    line = [sys.executable, "-c", code, f"output_root={root}", "engine.device=cpu", *SHORT, *typed]
    return subprocess.run(line, env=whole, capture_output=True, text=True, timeout=300, check=False)


def _refused(run: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    for part in parts:
        assert part in run.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def warm(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the README's line has filled, in a run that is checked here."""
    cache = tmp_path_factory.mktemp("cache")
    run = _run(hub.environment(cache), tmp_path_factory.mktemp("out"), *README)
    assert run.returncode == 0, run.stderr
    manifest = read(Path(run.stdout.strip()) / "manifest.json")
    model, forget = manifest["model"], manifest["datasets"]["forget"]["hub"]
    assert len(model["commit"]) == 40 and len(forget["commit"]) == 40
    assert [file["path"] for file in model["files"]] == ["pytorch_model.bin"]
    assert any("pytorch_model.bin" in line for line in hub.downloads)
    checkpoint = Path(run.stdout.strip()) / "checkpoint"
    published = hub.root / "models" / "facebook" / "opt-1.3b"
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        assert (checkpoint / name).read_bytes() == (published / name).read_bytes()
    return cache


ONE_BY_ONE = """
import json, sys
from mollm_cli.configuration.programs import COMMANDS
from tests.support.cli import answer
for name, *line in json.loads(sys.argv[1]):
    print(json.dumps([(done := answer(COMMANDS[name], *line)).code, done.out, done.err]))
"""


def _in_turn(
    environment: dict[str, str], root: Path, *lines: tuple[str, ...]
) -> list[subprocess.CompletedProcess[str]]:
    """How these command lines end, in one process; the first word of a line is a command, or it is of mollm-unlearn."""
    usual = ("unlearn", "engine.device=cpu", *SHORT)
    whole = [(*(line if line[0] == "evaluate" else (*usual, *line)), f"output_root={root}") for line in lines]
    more = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, json.dumps(whole)], env=os.environ | environment | more,
        capture_output=True, text=True, timeout=len(lines) * SECONDS, check=False,
    )  # fmt: skip
    answers = [json.loads(each) for each in done.stdout.splitlines()]
    assert len(answers) == len(lines), done.stderr
    return [subprocess.CompletedProcess([], *answer) for answer in answers]


def test_a_second_run_downloads_nothing_and_another_revision_is_not_taken_from_the_cache(
    hub: Hub, warm: Path, tmp_path: Path
) -> None:
    before = len(hub.downloads)
    again, wrong = _in_turn(hub.environment(warm), tmp_path, README, (*README, "data.forget.revision=v9"))
    assert again.returncode == 0, again.stderr
    _refused(wrong, "Set data.forget.revision to a branch")
    assert hub.downloads[before:] == []


def test_a_model_of_the_hub_is_judged_by_its_id_and_tofu_is_forgotten(hub: Hub, warm: Path, tmp_path: Path) -> None:
    few = ("model.path=facebook/opt-1.3b", "evaluation.limit=2", "evaluation.generate_tokens=2")
    judging = ("evaluate", "model=opt-1.3b", "data=pku-harmful", *few)
    judged, tofu = _in_turn(hub.environment(warm), tmp_path, judging, TOFU)
    manifest, metrics = _told(judged)
    assert len(manifest["model"]["commit"]) == 40 and metrics["before"] is None
    assert 0 < metrics["after"]["forget_probability"] < 1 and metrics["verdict"]["forget"] == "unknown"

    manifest, metrics = _told(tofu)
    assert {"forget_truth_ratio", "real_authors_probability", "world_facts_probability"} <= metrics["after"].keys()
    forget = manifest["datasets"]["forget"]
    assert len(forget["hub"]["commit"]) == 40
    assert any("forget10" in file["path"] for file in forget["files"])


def _told(run: subprocess.CompletedProcess[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """manifest.json and metrics.json of a run that ended well."""
    assert run.returncode == 0, run.stderr
    manifest, metrics = (read(Path(run.stdout.strip()) / f"{name}.json") for name in ("manifest", "metrics"))
    return manifest, metrics


@pytest.mark.parametrize("flag", ["1", "0"])
def test_with_the_server_gone_a_warm_cache_is_enough(flag: str, hub: Hub, warm: Path, tmp_path: Path) -> None:
    gone = hub.environment(warm) | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": flag}
    run = _run(gone, tmp_path, *README)
    assert run.returncode == 0, run.stderr
    assert ("no answer from http://127.0.0.1:9" in run.stderr) == (flag == "0")
    assert "Retrying in" not in run.stderr


def test_with_the_server_gone_a_cold_cache_is_told(hub: Hub, tmp_path: Path) -> None:
    gone = hub.environment(tmp_path / "cold") | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    for run in _in_turn(gone, tmp_path, README, ("data=tofu", "model=tiny")):
        cold = "is not in the local cache, and it cannot be fetched" in run.stderr
        _refused(run, ".path=", "HF_HOME" if cold else "HF_HUB_OFFLINE=1 with a warm cache")
        assert cold == (run.stdout == "")
        assert "no answer from http://127.0.0.1:9" in run.stderr


REFUSED = (
    (("model.path=facebook/opt-1.3c",), ("model.path=facebook/opt-1.3c", "Check the spelling")),
    (("model=opt-1.3b", "model.revision=v9"), ("model.path=facebook/opt-1.3b", "Set model.revision to a branch")),
    (("model.path=meta-llama/gated",), ("Ask for access on its page", "HF_TOKEN")),
    (("data=tofu", "data.forget.hub=locuslab/TOFUU"), ("data.forget: dataset", "Check the spelling")),
    (("data=tofu", "data.forget.hub=org/gated"), ("data.forget: dataset", "Ask for access on its page")),
    (("data=tofu", "data.forget.revision=v9"), ("data.forget: dataset", "Set data.forget.revision to a branch")),
)


def test_what_the_hub_refuses(hub: Hub, tmp_path: Path) -> None:
    """On one cold cache: nothing that is refused is found there afterwards."""
    answers = _in_turn(hub.environment(tmp_path / "cache"), tmp_path, *(typed for typed, _ in REFUSED))
    for run, (_, parts) in zip(answers, REFUSED, strict=True):
        _refused(run, *parts)
