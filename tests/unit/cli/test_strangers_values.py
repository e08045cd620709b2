"""What files of strangers may not decide or read, and what is shown of a configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mollm_cli.configuration.programs import UNLEARN

TOKEN = f"hf_{'a1B2' * 6}"
WAYS: tuple[tuple[str, ...], ...] = (("--check",), ("--plan",), ("--cfg", "job"), ("--cfg", "job", "--resolve"), ())


def _file(folder: Path, name: str, text: str) -> list[str]:
    """``text`` as a YAML of a stranger's, and the flag that reads it."""
    place = folder / "theirs" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return ["--config-dir", str(folder / "theirs")]


RISKY = {
    "model: {trust_remote_code: true}": "model.trust_remote_code runs a model's own code, so that no file decides it",
    "junit: /x/": "junit writes outside the run directory, so that no file decides it, found junit=/x/",
    "github_summary: auto": "github_summary writes outside the run directory",
}


@pytest.mark.parametrize("body", RISKY)
def test_what_only_the_command_line_may_say(body: str, tmp_path: Path, unfinished: Path, answer: Any) -> None:
    flag = _file(tmp_path, "experiment/theirs.yaml", f"# @package _global_\n{body}\n")
    for way in (("--check",), ("-m", "seed=0,1"), ())[: 3 if body == next(iter(RISKY)) else 1]:
        code, printed, errors = answer(UNLEARN, *flag, "experiment=theirs", *way)
        assert (code, printed) == (2, "") and RISKY[body] in errors
    file = unfinished / "config.yaml"
    config = yaml.safe_load(file.read_text())
    said = yaml.safe_load(body)
    config |= {key: config[key] | value if isinstance(value, dict) else value for key, value in said.items()}
    file.write_text(yaml.safe_dump(config))
    code, _, errors = answer(UNLEARN, f"resume={unfinished}")
    assert code == 2 and RISKY[body] in errors
    if "trust" in body:
        assert f"type: mollm-unlearn resume={unfinished} model.trust_remote_code=true" in errors
        assert answer(UNLEARN, f"resume={unfinished}", "model.trust_remote_code=true", "--check")[0] == 0


def test_remote_code_of_a_sweep_is_said_again(tmp_path: Path, answer: Any) -> None:
    code, printed, errors = answer(UNLEARN, "-m", "seed=1,10", "model.trust_remote_code=true")
    assert code == 1, errors
    sweep = printed.strip()
    code, _, errors = answer(UNLEARN, "--resume-sweep", sweep)
    assert code != 0 and "model.trust_remote_code runs a model's own code" in errors
    assert answer(UNLEARN, "--resume-sweep", sweep, "model.trust_remote_code=true")[0] == 0


READS = {
    "${oc.env:MY_VALUE}": "must not read the environment unasked, found ${oc.env:MY_VALUE}",
    "${ oc.env : MY_VALUE }": "must not read the environment unasked, found ${oc.env:MY_VALUE}",
    "${oc.env:${seed}}": "--allow-env NAME",
    "x-${oc.env:'MY_VALUE',y}": "--allow-env MY_VALUE",
    "${oc.${x}:MY_VALUE}": "must spell out what stands in ${}",
    "${${x}:MY_VALUE}": "must spell out what stands in ${}",
    "${oc.decode:'${seed}'}": "must use no ${...} but names of keys",
    "${oc.create:{a: 1}}": "must use no ${...} but names of keys",
    "${oc.select:hydra.overrides.task}": "must use no ${...} but names of keys",
    "${hydra:overrides.task}": "must use no ${...} but names of keys",
    "${hydra:runtime.cwd}": "must use no ${...} but names of keys",
    "${hydra.job.env_set.MY_VALUE}": "must spell out what stands in ${}, which is no key of Hydra's",
    "${..hydra.overrides.task}": "must spell out what stands in ${}, which is no key of Hydra's",
    "\\\\${oc.env:MY_VALUE}": "must not read the environment unasked",
}


ELSEWHERE = [(place, text) for place in ("key", "default", "run") for text in list(READS)[:3]]


@pytest.mark.parametrize(("place", "text"), [*(("value", text) for text in READS), *ELSEWHERE])
def test_the_environment(
    place: str, text: str, monkeypatch: Any, tmp_path: Path, answer: Any, unfinished: Path
) -> None:
    monkeypatch.setenv("MY_VALUE", "plumtree-94")
    quoted = json.dumps(text)
    if place == "run":
        config = yaml.safe_load((unfinished / "config.yaml").read_text()) | {"run_name": text}
        (unfinished / "config.yaml").write_text(yaml.safe_dump(config))
        typed = [f"resume={unfinished}"]
    else:
        body = {
            "value": f"run_name: {quoted}\n",
            "key": f"data: {{{quoted}: 1}}\n",
            "default": f"defaults: [{{override /loss: {quoted}}}]\n",
        }[place]
        typed = [*_file(tmp_path, "experiment/theirs.yaml", f"# @package _global_\n{body}"), "experiment=theirs"]
    for way in WAYS if text == next(iter(READS)) else WAYS[:1]:
        code, printed, errors = answer(UNLEARN, *typed, *way)
        assert (code, printed) == (2, "") and READS[text] in errors and "plumtree" not in errors


def test_a_variable_that_the_command_line_names(monkeypatch: Any, tmp_path: Path, answer: Any) -> None:
    monkeypatch.setenv("MY_VALUE", "plumtree-94")
    flag = _file(tmp_path, "experiment/theirs.yaml", "# @package _global_\nrun_name: ${oc.env:MY_VALUE}\n")
    line = [*flag, "experiment=theirs", "--cfg", "job", "--resolve"]
    assert f"type: mollm-unlearn {' '.join(line)} --allow-env MY_VALUE\n" in answer(UNLEARN, *line)[2]
    for named in (("--allow-env", "MY_VALUE"), ("output_root=${oc.env:MY_VALUE}",)):
        code, printed, errors = answer(UNLEARN, *line, *named)
        assert code == 0 and "run_name: plumtree-94" in printed, errors


def test_keys_dates_and_choices_are_read_by_any_file(tmp_path: Path, answer: Any) -> None:
    text = "run_name: ${seed}-${now:%Y}-${hydra:runtime.choices.loss}\n"
    flag = _file(tmp_path, "experiment/theirs.yaml", f"# @package _global_\n{text}")
    printed = answer(UNLEARN, *flag, "experiment=theirs", "--cfg", "job", "--resolve")[1]
    assert re.search(r"^run_name: 0-\d{4}-mollm$", printed, re.MULTILINE)


@pytest.mark.parametrize("way", [(), ("--resolve",)], ids=["", "resolved"])
def test_a_configuration_is_shown_without_secrets(
    way: tuple[str, ...], answer: Any, monkeypatch: pytest.MonkeyPatch, unfinished: Path
) -> None:
    monkeypatch.setenv("MY_VALUE", "plumtree-94")
    secrets = ("plumtree-94", "applecart-7", "haywagon-8")
    typed = [
        "+tracker.api_key=haywagon-8",
        "+tracker.db_pwd=${oc.env:MY_VALUE}",
        "+tracker.url='https://applecart-7@h/x'",
    ]
    code, printed, errors = answer(UNLEARN, *typed, "--cfg", "job", *way)
    assert code == 0 and "api_key: '***'" in printed and "url: https://***@h/x" in printed
    assert not [secret for secret in secrets if secret in printed + errors]
    code, printed, _ = answer(
        UNLEARN, f"resume={unfinished}", "tracker=wandb", f"tracker.project={TOKEN}", "--cfg", "job"
    )
    assert code == 0 and "project: '***'" in printed and TOKEN not in printed
