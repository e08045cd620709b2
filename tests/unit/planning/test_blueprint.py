"""Architectures that the package knows, so that a plan needs no Hub."""

from __future__ import annotations

import pytest
import yaml

from mollm_cli.core.errors import RequestError
from mollm_cli.models.model_settings import Model
from mollm_cli.planning import blueprint as room
from mollm_cli.planning.blueprint import architecture, blueprint, shipped
from tests.support.cli import ROOT

MODELS = {
    file.stem: yaml.safe_load(file.read_text())["path"] for file in sorted((ROOT / "conf" / "model").glob("[!_]*.yaml"))
}
PARAMETERS = {
    "gemma-2-2b-it": 2_614_341_888, "llama-2-7b-chat": 6_738_415_616, "llama-3-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496, "llama-3.2-1b-instruct": 1_235_814_400, "llama-3.2-3b-instruct": 3_212_749_824,
    "muse-books": 6_738_415_616, "muse-news": 6_738_415_616, "opt-1.3b": 1_315_758_080, "opt-125m": 125_239_296,
    "opt-2.7b": 2_651_596_800, "opt-350m": 331_196_416, "opt-6.7b": 6_658_473_984, "phi-1.5": 1_418_270_720,
    "qwen2.5-1.5b-instruct": 1_543_714_304, "tinystories-656k": 656_000, "tofu-llama-3.2-1b": 1_235_814_400,
    "tofu-llama-3.2-3b": 3_212_749_824, "zephyr-7b-beta": 7_241_732_096,
}  # fmt: skip
"""As published."""


def test_every_model_of_conf_is_known():
    assert MODELS.keys() - {"tiny"} == PARAMETERS.keys()
    assert set(MODELS.values()) - {"embedded:tiny"} == shipped().keys()


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_has_the_parameters_that_were_published(name, monkeypatch, capsys):
    monkeypatch.setattr(room, "here", lambda description: False)
    description = Model(MODELS[name], dtype="bfloat16")
    model = blueprint(description, architecture(description))
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    assert all(p.is_meta for p in model.parameters())
    assert "is not in the local cache; planned from the architecture that is known" in capsys.readouterr().err


def test_a_folder_speaks_for_itself_and_what_nobody_knows_is_refused(monkeypatch, capsys):
    assert architecture(Model("embedded:tiny")).model_type == "llama"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RequestError, match="model.path=nobody/nothing: the configuration cannot be loaded"):
        architecture(Model("nobody/nothing"))
    assert capsys.readouterr().err == ""
