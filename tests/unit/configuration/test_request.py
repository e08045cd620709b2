from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from mollm_cli.configuration.compose import compose_job, composing, plain, without_hydra
from mollm_cli.configuration.request import NODES, TrainRequest, request
from mollm_cli.configuration.root_values import VALUES
from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Loss
from mollm_cli.losses.mollm import mollm
from mollm_cli.optimizers.rules import AdamW

CONFIGS = {"unlearn": "config", "finetune": "finetune", "evaluate": "evaluate"}


def _compose(command: str) -> dict[str, Any]:
    with composing():
        composed = compose_job(CONFIGS[command], [])
        return plain(without_hydra(composed), composed.hydra.runtime.choices)


@pytest.fixture(scope="module")
def configs() -> dict[str, dict[str, Any]]:
    """The defaults of every command."""
    return {command: _compose(command) for command in CONFIGS}


@pytest.fixture
def config(configs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The defaults of mollm-unlearn, to be changed at will."""
    return copy.deepcopy(configs["unlearn"])


@pytest.mark.parametrize("command", CONFIGS)
def test_the_known_keys_are_those_of_the_primary_file(command: str, configs: dict[str, dict[str, Any]]) -> None:
    assert configs[command].keys() == {*NODES[command], *VALUES[command], "names"}


@pytest.mark.parametrize("command", CONFIGS)
def test_a_request_has_what_its_command_needs(command: str, configs: dict[str, dict[str, Any]]) -> None:
    asked = request(configs[command], command)
    assert asked.resume is None and isinstance(asked, TrainRequest) == (command != "evaluate")
    if isinstance(asked, TrainRequest):
        parts = asked.loss, asked.solver, asked.direction, asked.optimizer, asked.engine, asked.tracker
        assert None not in parts and asked.train == ("forget", "retain")
        assert asked.loss.name == {"unlearn": "mollm", "finetune": "finetune"}[command]


def test_the_objects_are_what_the_configuration_says(config: dict[str, Any]) -> None:
    config["optimizer"]["betas"] = [0, 0.5]
    config["gates"] = ["forget_probability<=0.6"]
    asked = request(config, "unlearn")
    assert asked.optimizer == AdamW(betas=(0.0, 0.5))
    assert asked.loss.name == "mollm"
    assert [gate.text for gate in asked.gates] == ["forget_probability<=0.6"]
    assert asked.names["solver"] == "dual_space_mgda"
    assert (asked.seed, asked.run_name, asked.output_root) == (0, "mollm", "outputs")


def picky() -> Loss:
    """A loss that only makes sense with two solvers."""
    return Loss("picky", (), ("normalized_sum", "weighted_sum"))


def test_a_solver_that_the_loss_does_not_allow(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mollm_cli.losses.mollm.mollm", picky)
    config["loss"] = {"_target_": "mollm_cli.losses.mollm.mollm"}
    message = (
        r"loss=picky does not allow the solver 'dual_space_mgda'; set solver=NAME, choices: normalized_sum, weighted"
    )
    with pytest.raises(RequestError, match=message):
        request(config, "unlearn")
    config["names"]["solver"] = "weighted_sum"
    assert request(config, "unlearn").loss == picky()


def test_adams_metric_needs_adam(config: dict[str, Any]) -> None:
    config["direction"]["metric"] = "adam"
    assert request(config, "unlearn").direction is not None
    config["optimizer"] = {"_target_": "mollm_cli.optimizers.rules.SGD"}
    with pytest.raises(RequestError, match=r"direction.metric=adam is the metric of optimizer=adamw, found another"):
        request(config, "unlearn")
    config["solver"] = {"_target_": "mollm_cli.solvers.weighted_sum.WeightedSum"}  # reads no Gram matrix
    request(config, "unlearn")


@pytest.mark.parametrize("key", [{"compile": True}, {"parallel": "fsdp"}])
def test_factors_are_of_layers_that_run_as_they_are(config: dict[str, Any], key: dict[str, Any]) -> None:
    config["direction"]["gram"] = "factors"
    request(config, "unlearn")
    config["engine"] |= key
    with pytest.raises(RequestError, match=r"direction.gram=factors .*found engine.*; set direction.gram=sketch"):
        request(config, "unlearn")
    config["direction"]["gram"] = "sketch"
    request(config, "unlearn")


def test_a_solver_that_carries_gradients_gets_them_or_is_refused(config: dict[str, Any]) -> None:
    config["solver"] = {"_target_": "mollm_cli.solvers.projected_forget.ProjectedForget"}
    config["direction"]["gram"] = "sketch"
    with pytest.raises(RequestError, match=r"solver projected_forget .*gram=sketch.* set direction.gram=exact"):
        request(config, "unlearn")
    config["direction"] |= {"gram": "exact", "refresh_every": 4}
    with pytest.raises(RequestError, match=r"solver projected_forget .* set direction.refresh_every=1"):
        request(config, "unlearn")


def test_the_guard_goes_through_the_supports_of_eight_rows(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tuple(replace(o, name=f"{o.name}_{k}") for k in range(3) for o in mollm().objectives)
    nine = replace(mollm(), name="nine", objectives=rows)
    monkeypatch.setattr("mollm_cli.losses.mollm.mollm", lambda: nine)
    config["loss"] = {"_target_": "mollm_cli.losses.mollm.mollm"}
    with pytest.raises(RequestError, match=r"direction.guard takes at most 8 objectives, found 9 in loss=nine; set"):
        request(config, "unlearn")
    config["direction"]["guard"] = False
    request(config, "unlearn")


def test_a_solver_that_cannot_take_the_loss_is_refused_before_anything_is_read(config: dict[str, Any]) -> None:
    config["solver"] = {"_target_": "mollm_cli.solvers.primal_dual.PrimalDual"}
    with pytest.raises(RequestError, match=r"solver primal_dual needs an objective with a bound, found none among unl"):
        request(config, "unlearn")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimizr", 1, r"^optimizr is not a key; did you mean 'optimizer'\?"),
        ("seed", 2**63, r"^seed must be in \[0, 2\*\*63\), found"),
        ("seed", 1.5, r"^seed must be an integer, found 1.5"),
        ("gates", "x<1", r"^gates must be a list \(each text\), found 'x<1'"),
        ("gates", ["x is small"], r"^a gate must read .* found 'x is small'"),
        ("engine", 5, r"^engine must be a mapping with its _target_, found 5; choose one: engine=NAME"),
        ("engine", {}, r"^engine must be a mapping with its _target_, found {}; choose one: engine=NAME"),
        ("engine", {"_target_": "mollm_cli.optimizers.rules.SGD"}, r"^engine must be a Engine .* found a SGD"),
    ],
)
def test_what_is_refused_at_the_root(key: str, value: object, message: str, config: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=message):
        request({**config, key: value}, "unlearn")


@pytest.mark.parametrize(("key", "what"), [("engine", "NAME"), ("seed", "VALUE")])
def test_what_is_missing_at_the_root(key: str, what: str, config: dict[str, Any]) -> None:
    del config[key]
    with pytest.raises(RequestError, match=rf"^{key} is required, found nothing; set {key}={what}$"):
        request(config, "unlearn")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([], r"^train must name at least one role, found \[\]"),
        (["retian"], r"^train must name roles or sets, found 'retian'; did you mean 'retain'"),
        (["alternate"], r"^data.alternate must have rows, because the role 'alternate' is trained on; found "),
    ],
)
def test_roles_of_finetuning(train: list[str], message: str, configs: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(RequestError, match=message):
        request({**configs["finetune"], "train": train}, "finetune")
