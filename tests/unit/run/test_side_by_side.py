"""The models of a hand-made run directory, asked."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from mollm_cli.assets.locate import resolve
from mollm_cli.core.errors import RequestError
from mollm_cli.data.encoder import Encoder
from mollm_cli.evaluation.generation import generate
from mollm_cli.models.load_model import fingerprint, load_model
from mollm_cli.models.model_settings import Model
from mollm_cli.run.side_by_side import open_trial, require_run

TINY, ORACLE = Model("embedded:tiny"), Model("embedded:oracle")
QUESTION = json.loads(resolve("embedded:authors/forget.jsonl").read_text().splitlines()[0])["question"]
CHAT = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def make(run: Path, *, chat: str | None = None, forget: dict[str, Any] | None = None, **model: Any) -> Path:
    """A run whose starting model is embedded:tiny, and whose checkpoint is the oracle."""
    shutil.copytree(resolve("embedded:oracle"), run / "checkpoint")
    if chat is not None:
        file = run / "checkpoint" / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": chat}))
    rows = {"_target_": "mollm_cli.data.dataset.Dataset", "name": "rows", "path": "rows.jsonl"}
    fields = {"prompt_field": "question", "answer_field": "answer"}
    config = {
        "model": {"_target_": "mollm_cli.models.model_settings.Model", "path": "embedded:tiny"} | model,
        "data": {"forget": rows | fields | (forget or {})},
        "evaluation": {"generate_tokens": 12, "oracle": None},
        "seed": 0,
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "manifest.json").write_text(json.dumps({"status": "completed"}))
    return run


def said(description: Model, *prompts: str, template: str = "auto", tokens: int = 12) -> list[str]:
    """What the model of a folder says, without a trial."""
    loaded = load_model(description, 0)
    encoder = Encoder(loaded.tokenizer)
    ids = [encoder.prompt_ids(prompt, template) for prompt in prompts]
    return generate(loaded.model, ids, loaded.tokenizer, tokens, 1, encoder.end_ids)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make(tmp_path / "run")


def test_before_is_the_starting_model_and_after_the_checkpoint(run: Path) -> None:
    before, after = (said(model, QUESTION, "Who?") for model in (TINY, ORACLE))
    assert before[0] != after[0]
    trial = open_trial(run)
    assert trial.answers([QUESTION, "Who?"], 2) == [
        {"before": b, "after": a} for b, a in zip(before, after, strict=True)
    ]


def test_options_go_before_what_the_run_says(run: Path) -> None:
    trial = open_trial(run, template="Q: {prompt} A:", max_tokens=3, after_only=True)
    (expected,) = said(ORACLE, QUESTION, template="Q: {prompt} A:", tokens=3)
    assert trial.answers([QUESTION]) == [{"before": None, "after": expected}]
    assert expected != said(ORACLE, QUESTION, tokens=3)[0]


def test_a_seed_draws(run: Path) -> None:
    first, same, other = (open_trial(run, seed=seed, after_only=True).answers([QUESTION]) for seed in (1, 1, 2))
    assert first == same != other


def test_the_oracle_is_asked_where_the_run_names_one(run: Path) -> None:
    with pytest.raises(RequestError, match=r"--oracle asks evaluation\.oracle of .*config\.yaml, found none; leave"):
        open_trial(run, oracle=True)
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["evaluation"]["oracle"] = "embedded:oracle"
    file.write_text(yaml.safe_dump(config))
    (answers,) = open_trial(run, oracle=True).answers([QUESTION])
    assert list(answers) == ["before", "after", "oracle"] and answers["oracle"] == answers["after"]


def test_the_chat_template_of_each_model_is_its_own(tmp_path: Path) -> None:
    """The checkpoint has one, the starting model has none; the system prompt is the dataset's."""
    trial = open_trial(make(tmp_path / "run", chat=CHAT, forget={"system": "Be brief."}))
    texts = {}
    for moment, speaker in trial.speakers.items():
        assert speaker is not None
        texts[moment] = speaker.encoder.tokenizer.decode(speaker.prompts(["Who?"])[0][0])
    assert "system: Be brief." not in texts["after"]
    assert [part in texts["after"] for part in ("Be brief.", "Who?", "[assistant]")] == [True] * 3
    assert "[assistant]" not in texts["before"] and "Question: Who?\nAnswer:" in texts["before"]


def test_plain_text_is_continued_as_it_is(tmp_path: Path) -> None:
    forget = {"kind": "text", "prompt_field": None, "answer_field": None, "text_field": "text"}
    trial = open_trial(make(tmp_path / "run", forget=forget))
    assert trial.answers(["The novel"])[0]["before"] == said(TINY, "The novel", template="none")[0]
    trial = open_trial(tmp_path / "run", template="auto", after_only=True)
    assert trial.answers(["The novel"])[0]["after"] == said(ORACLE, "The novel")[0]


def test_a_starting_model_that_is_gone_is_told_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = open_trial(make(tmp_path / "run", path="./gone"))
    assert trial.answers([QUESTION]) == [{"before": None, "after": said(ORACLE, QUESTION)[0]}]
    told = capsys.readouterr()
    assert told.out == "" and "the model before is left out: model.path=./gone: no such folder" in told.err


@pytest.mark.parametrize(
    ("settings", "adapter"),
    [({"adapter": "lora"}, "none"), ({"adapter": "lora", "adapter_path": "./lora"}, "lora")],
    ids=["new", "continued"],
)
def test_before_is_what_training_began_with(
    settings: dict[str, Any], adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the Hub's commit of that day; with the adapter only where an earlier one was continued."""
    asked = []

    def fake(description: Model, seed: int) -> Any:
        asked.append(description)
        return load_model(dataclasses.replace(TINY), seed)

    run = make(tmp_path / "run", activation_checkpointing=True, reference="copy", **settings)
    (run / "manifest.json").write_text(json.dumps({"model": {"commit": "abc"}}))
    monkeypatch.setattr("mollm_cli.models.load_model.load_model", fake)
    open_trial(run)
    after, before = asked
    assert (after.path, after.revision, after.adapter) == (str(run / "checkpoint"), None, "none")
    assert (before.path, before.revision, before.adapter) == ("embedded:tiny", "abc", adapter)
    assert before.adapter_path == settings.get("adapter_path")
    assert not before.activation_checkpointing and not after.activation_checkpointing


def test_weights_that_are_not_the_runs_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of = {name: fingerprint(str(resolve(f"embedded:{name}"))) for name in ("tiny", "oracle")}
    for start, warned in (("tiny", False), ("oracle", True)):
        manifest = {"model": {"files": of[start]}, "checkpoint": {"files": of["oracle"]}}
        (run / "manifest.json").write_text(json.dumps(manifest))
        open_trial(run)
        message = "warning: the weights of embedded:tiny are not those in the run's manifest.json"
        assert capsys.readouterr().err.count(message) == warned


@pytest.mark.parametrize("status", ["failed", "running"])
def test_a_run_without_a_checkpoint(status: str, run: Path) -> None:
    shutil.rmtree(run / "checkpoint")
    (run / "manifest.json").write_text(json.dumps({"status": status}))
    message = rf"must hold checkpoint/.* found none; its status is '{status}'\. Name a run .* resume=RUN_DIR"
    for look in (open_trial, require_run):
        with pytest.raises(RequestError, match=message):
            look(run)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="a run directory holds"):
        open_trial(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("config", "key"),
    [({}, "model"), ({"model": {"_target_": "mollm_cli.losses.ga.ga"}}, "model"), (None, "data.forget")],
)
def test_a_config_that_describes_no_model_or_no_forget_set(config: Any, key: str, run: Path) -> None:
    whole = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({"model": whole["model"]} if config is None else config))
    with pytest.raises(RequestError, match=rf"config\.yaml must describe {key}, found .* Restore the file"):
        open_trial(run)


def test_a_run_directory_does_not_decide_whose_code_runs(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["trust_remote_code"] = True
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(RequestError, match=r"found model.trust_remote_code: true .* then add --trust-remote-code"):
        open_trial(run)
    assert open_trial(run, after_only=True, trust_remote_code=True).answers([QUESTION])


def test_a_run_directory_names_no_callable_of_its_own(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"] = {"_target_": "tests.support.picky.picky"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(RequestError, match=r"must describe model, found {'_target_': 'tests.support.picky.picky'}"):
        open_trial(run)


def test_a_device_that_is_not_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(RequestError, match="--device cuda must be on this machine, found none; leave --device out"):
        open_trial(run, device="cuda")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (" \n", "a prompt must be a text that is not empty, found nothing; type one"),
        ("half \ud800", "a prompt must hold text, found half a character"),
        ("word " * 600, r"leave room for an answer in the model's context of \d+ tokens, found \d+ tokens; shorten it"),
    ],
    ids=["empty", "surrogate", "long"],
)
def test_what_cannot_be_asked(prompt: str, message: str, run: Path) -> None:
    trial = open_trial(run, after_only=True)
    for ask in (lambda text: trial.check([text]), lambda text: trial.answers([text])):
        with pytest.raises(RequestError, match=message):
            ask(prompt)
    trial.check(["Who?"])
