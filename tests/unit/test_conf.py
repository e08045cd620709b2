"""Every YAML of conf/ against the code it names."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from mollm_cli.configuration.choices import choices, config_dir, head
from mollm_cli.configuration.compose import compose_job, composing
from mollm_cli.configuration.nodes import construct, parameters
from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN
from mollm_cli.configuration.request import request
from mollm_cli.configuration.targets import locate
from mollm_cli.core.errors import RequestError
from tests.support import needed
from tests.support.composed import composed, configuration, requested
from tests.support.solvers import ABSENT

CONF = config_dir()
FILES = sorted(CONF.rglob("*.yaml"))
GROUPS = ("model", "data", "loss", "solver", "optimizer", "engine", "direction", "evaluation", "tracker")
OPTIONS = [(group, name) for group in GROUPS for name in choices(group, [CONF])]
MODELS = {
    "tiny": "embedded:tiny",
    "tinystories-656k": "raincandy-u/TinyStories-656K",
    "zephyr-7b-beta": "HuggingFaceH4/zephyr-7b-beta",
    "tofu-llama-3.2-1b": "open-unlearning/tofu_Llama-3.2-1B-Instruct_full",
    "tofu-llama-3.2-3b": "open-unlearning/tofu_Llama-3.2-3B-Instruct_full",
    "muse-news": "muse-bench/MUSE-News_target",
    "muse-books": "muse-bench/MUSE-Books_target",
    "opt-125m": "facebook/opt-125m",
    "opt-350m": "facebook/opt-350m",
    "opt-1.3b": "facebook/opt-1.3b",
    "opt-2.7b": "facebook/opt-2.7b",
    "opt-6.7b": "facebook/opt-6.7b",
    "llama-2-7b-chat": "meta-llama/Llama-2-7b-chat-hf",
    "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
    "llama-3.1-70b": "meta-llama/Llama-3.1-70B",
    "llama-3.2-1b-instruct": "meta-llama/Llama-3.2-1B-Instruct",
    "llama-3.2-3b-instruct": "meta-llama/Llama-3.2-3B-Instruct",
    "qwen2.5-1.5b-instruct": "Qwen/Qwen2.5-1.5B-Instruct",
    "phi-1.5": "microsoft/phi-1_5",
    "gemma-2-2b-it": "google/gemma-2-2b-it",
}
SOURCES = ["data.forget.path=forget.jsonl", "data.retain.path=retain.jsonl"]
NEEDED = {
    ("data", "custom"): SOURCES,
    ("data", "deletion"): SOURCES,
    **{("loss", name): overrides for name, overrides in needed.NEEDED.items()},
    ("solver", "primal_dual"): ["loss=pdu", *needed.NEEDED["pdu"]],
}
"""Choices that ask the user for something, and what."""


@functools.cache
def _places() -> dict[tuple[str, str], tuple[str, ...]]:
    """(group, choice) -> the command line that it is composed with: the first choices of all groups, the second ones...

    A loss, which brings its solver, is composed alone; so is a solver that needs a loss.
    """
    lines: dict[int, dict[tuple[str, str], list[str]]] = defaultdict(dict)
    for group in GROUPS:
        for number, name in enumerate(choices(group, [CONF])):
            needs = NEEDED.get((group, name), [])
            line = -number - 1 if group == "loss" else 99 if name == "primal_dual" else number
            if name not in ABSENT:
                lines[line][(group, name)] = [f"{group}={name}", *needs]
    return {choice: tuple(itertools.chain(*line.values())) for line in lines.values() for choice in line}


def test_every_file_says_what_it_is() -> None:
    assert [file for file in FILES if len(head(file)) <= 10] == []
    assert [file for file in FILES if any(len(line) > 120 for line in file.read_text().splitlines())] == []


@pytest.mark.parametrize(("group", "name"), OPTIONS, ids=[f"{g}={n}" for g, n in OPTIONS])
def test_every_choice_composes_with_the_defaults(group: str, name: str) -> None:
    if group != "solver" or name not in ABSENT:
        assert requested(*_places()[group, name]).names[group] == name
        return
    with pytest.raises(RequestError, match=rf"solver {name} needs .* found no .* installed; run pip install"):
        requested(f"solver={name}")


def _added(group: str, place: str) -> dict[str, Any]:
    """Name -> node: every choice of ``group``, added in one composition at ``place``, which has {name} for its name."""
    names = choices(group, [CONF])
    node: Any = composed("config", *(f"+{group}@{place.format(name=name)}={name}" for name in names))
    for key in place.split(".")[:-1]:
        node = node[key]
    return {name: node[place.rpartition(".")[2].format(name=name)] for name in names}


@pytest.mark.parametrize("role", ["retain", "alternate"])
def test_every_dataset_takes_any_role(role: str) -> None:
    for name, node in _added("dataset", f"data.{role}_{{name}}").items():
        assert construct(node, f"data.{role}").name, name


def test_every_metric_can_be_added() -> None:
    for name, node in _added("metric", "evaluation.metrics.extra_{name}").items():
        assert construct(node, "extra").version >= 1, name


def test_every_attack_can_be_added() -> None:
    for name, node in _added("attack", "evaluation.attacks.{name}").items():
        attack = construct(node, name)
        assert attack.name == name  # what the head's command and the flat names say
        assert (bool(attack.what), bool(attack.cost)) == (True, True), name
        assert set(node) - {"_target_"} == set(inspect.signature(type(attack)).parameters), "no default is hidden"


JUDGE_NEEDS: dict[str, dict[str, str]] = {
    "classifier": {"path": "DIR", "label": "unsafe"},
    "harm": {"path": "DIR"},
    "toxicity": {},
}


@pytest.mark.parametrize("name", choices("judge", [CONF]))
def test_every_judge_can_be_added(name: str) -> None:
    config = configuration("evaluation=safety", f"+judge@evaluation.judges.mine={name}")
    node = config["evaluation"]["judges"]["mine"]
    for key in JUDGE_NEEDS[name]:
        node |= JUDGE_NEEDS[name] | {key: "???"}
        with pytest.raises(RequestError, match=rf"^evaluation.judges.mine.{key} is required and has no default"):
            request(config, "unlearn")
    node |= JUDGE_NEEDS[name]
    suite = request(config, "unlearn").evaluation
    assert set(node) - {"_target_"} == set(inspect.signature(type(suite.judges["mine"])).parameters)


def test_judges_read_what_they_were_made_for() -> None:
    suite = requested(
        "evaluation=safety",
        "+judge@evaluation.judges.harm=harm",
        "evaluation.judges.harm.path=DIR",
        "+judge@evaluation.judges.toxicity=toxicity",
    ).evaluation
    harm, toxicity = suite.judges["harm"], suite.judges["toxicity"]
    assert (harm.path, harm.label, harm.with_prompt) == ("DIR", "unsafe", True)
    assert (toxicity.path, toxicity.label, toxicity.with_prompt) == ("unitary/toxic-bert", "toxic", False)
    assert {m.judge for m in suite.metrics.values() if "judged" in m.needs} == set(suite.judges)
    assert requested("evaluation=safety").evaluation.judges == {}  # off by default


@pytest.mark.parametrize(
    ("name", "tasks", "num_fewshot"), [("lm-eval", ["arc_easy"], None), ("mmlu", ["mmlu"], 5), ("wmdp", ["wmdp"], None)]
)
def test_every_harness_can_be_added(name: str, tasks: list[str], num_fewshot: int | None) -> None:
    told = ["evaluation.harness.tasks=[arc_easy]"] if name == "lm-eval" else []
    harness = requested(f"+harness@evaluation.harness={name}", *told).evaluation.harness
    assert (list(harness.tasks), harness.num_fewshot, harness.limit) == (tasks, num_fewshot, None)
    node = configuration(f"+harness@evaluation.harness={name}")["evaluation"]["harness"]
    assert set(node) - {"_target_"} == set(inspect.signature(type(harness)).parameters)


def test_no_harness_is_missing_here() -> None:
    assert set(choices("harness", [CONF])) == {"lm-eval", "mmlu", "wmdp"}
    assert requested().evaluation.harness is None  # off by default
    with pytest.raises(RequestError, match=r"^evaluation.harness.tasks is required and has no default"):
        requested("+harness@evaluation.harness=lm-eval")


def test_an_audit_is_eight_attacks() -> None:
    suite = requested("evaluation=audit").evaluation
    names = "paraphrase template system_prompt multi_turn prefix quantisation_4 relearning sampling"
    assert list(suite.attacks) == names.split()
    assert (suite.attacks["relearning"].steps, suite.attacks["quantisation_4"].bits) == (20, 4)
    assert suite.attacks["sampling"].samples == suite.metrics["leak_at_k"].k == 16
    assert requested().evaluation.attacks == {}  # off by default


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("dpo", r"data.alternate must have rows.*\+dataset@data.alternate=NAME"),
        ("ga_mismatch_kl", r"data.alternate must have rows"),
        ("pdu", r"loss.eps must be > 0.* set loss.eps=NUMBER"),
    ],
)
def test_what_a_loss_needs_is_asked_for(loss: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        requested(f"loss={loss}")


def test_a_loss_brings_its_solver() -> None:
    own = {"mollm": "dual_space_mgda", "mollm_pair": "dual_space_mgda", "pdu": "primal_dual"}
    for loss in choices("loss", [CONF]):
        brought = composed("config", *_places()["loss", loss])["names"]["solver"]
        assert brought == own.get(loss, "weighted_sum"), loss


@pytest.mark.parametrize("experiment", choices("experiment", [CONF]))
def test_every_experiment_composes(experiment: str) -> None:
    assert requested(f"experiment={experiment}").names["experiment"] == experiment


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.parent.name in GROUPS], ids=lambda f: f"{f.parent.name}/{f.name}"
)
def test_one_yaml_is_one_callable(file: Path) -> None:
    """No key of a file is left to a default that the reader of the YAML cannot see."""
    if file.stem.startswith("_"):
        pytest.skip("a base of other files")
    if file.stem in ABSENT:
        pytest.skip("a package that is not installed")
    node = composed("config", *_places()[file.parent.name, file.stem])[file.parent.name]
    known = parameters(locate(node["_target_"], file.stem))
    assert {name for name, p in known.items() if p.default is inspect.Parameter.empty} <= node.keys()
    assert node.keys() - {"_target_"} <= known.keys()


def test_models() -> None:
    assert set(choices("model", [CONF])) == set(MODELS)
    for name, path in MODELS.items():
        model = requested(*_places()["model", name]).model
        assert model.path == path
        assert (model.dtype == "bfloat16") == (model.adapter == "lora")  # full weights in bfloat16 round updates away


@pytest.mark.parametrize("command", [UNLEARN, FINETUNE, EVALUATE], ids=lambda command: command.name)
def test_every_command_has_its_defaults(command: Any) -> None:
    assert requested(command=command.name, config=command.config).run_name
    with composing():
        text = OmegaConf.to_yaml(compose_job(command.config, []).hydra.run)
    assert "%f" in text  # two runs in one second


@pytest.mark.parametrize("command", [FINETUNE, EVALUATE], ids=lambda command: command.name)
def test_data_and_models_go_with_every_command(command: Any) -> None:
    usual = configuration("data=pku-harmful", "model=opt-125m", config=command.config)
    assert usual["data"] == composed("config", *_places()["data", "pku-harmful"])["data"]
    for name in choices("data", [CONF]):
        assert request(usual | {"data": configuration(*_places()["data", name])["data"]}, command.name)


def test_command_line_wins_over_loss_and_a_role_can_be_swapped() -> None:
    config = configuration(
        "solver=normalized_sum", "loss=mollm", "dataset@data.retain=truthfulqa", "data.forget.path=mine.jsonl"
    )
    assert config["names"]["solver"] == "normalized_sum"
    assert config["solver"]["_target_"].endswith("NormalizedSum")
    assert config["data"]["retain"]["name"] == "truthfulqa"
    assert config["data"]["forget"]["path"] == "mine.jsonl"


def test_sets_are_mixed_into_retain_by_their_weights() -> None:
    asked = requested(
        "data.retain.weight=2", "+dataset@data.mix.retain.alpaca=alpaca", "data.mix.retain.alpaca.weight=0.5"
    )
    assert asked.data.retain.weight == 2.0
    assert (asked.data.mix["retain"]["alpaca"].hub, asked.data.mix["retain"]["alpaca"].weight) == (
        "tatsu-lab/alpaca",
        0.5,
    )
    with pytest.raises(RequestError, match=r"data.mix.retain.mine.weight must be a finite number, found 'heavy'"):
        requested("+dataset@data.mix.retain.mine=qa-file", "data.mix.retain.mine.weight=heavy")


def test_the_models_own_texts_can_be_retained() -> None:
    asked = requested("dataset@data.retain=sampled", "data.retain.from_model=7", "data.retain.openings=[Once]")
    retain = asked.data.retain
    assert (retain.from_model, retain.openings, retain.kind) == (7, ["Once"], "text")
    assert (retain.name, asked.data.forget.sampled, retain.sampled) == ("sampled", False, True)


def test_the_base_of_the_models_asks_for_a_path() -> None:
    with pytest.raises(RequestError, match=r"^model.path is required and has no default; set model.path=VALUE$"):
        requested("model=_base")
