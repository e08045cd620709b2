from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN

Answer = Callable[..., tuple[int, str, str]]

WRONG = [
    ("loss=mollmm", "loss must be one of its choices, found 'mollmm'; did you mean 'mollm'"),
    ("model=opt", "model must be one of its choices, found 'opt'; did you mean 'opt-"),
    ("experiment=nothing", "experiment"),
    ("enigne.max_steps=3", "enigne is not a key; did you mean 'engine'?"),
    ("modle=tiny", "modle is not a key; did you mean 'model'"),
    ("experimnt=x", "experimnt is not a key; did you mean 'experiment'?"),
    ("engine.max_stesp=3", "engine.max_stesp is not a key; did you mean 'max_steps'"),
    ("engine.max_steps.x=3", "engine.max_steps is a single value and has no key 'x'"),
    ("engine.max_steps=ten", "engine.max_steps must be an integer, found 'ten'"),
    ("engine.max_steps=0", "engine.max_steps must be >= 1, found 0"),
    ("optimizer.lr=-1", "optimizer.lr must be a finite number > 0, or auto, found -1.0"),
    ("optimizer.lr=nan", "optimizer.lr must be a finite number or auto, found nan"),
    (
        "model.adapter=lroa",
        "model.adapter must be one of none, lora, dora, qlora, found 'lroa'; did you mean 'lora' or",
    ),
    ("+loss.typo=1", "loss.typo is not a key; choices: "),
    ("+typo=1", "typo is not a key; choices: "),
    ("+engine.max_steps=3", "engine.max_steps is there already; leave out the +"),
    ("+loss=ga", "loss is there already; leave out the +"),
    ("~sede", "sede is not a key; did you mean 'seed'?"),
    ("~engine", "engine is required, found nothing; set engine=NAME"),
    ("~seed", "seed is required, found nothing; set seed=VALUE"),
    ("engine=null", "a group must be given the name of one of its choices"),
    ("seed=-1", "seed must be in [0, 2**63), found -1"),
    ("seed=true", "seed must be an integer, found true"),
    ("run_name=5", "run_name must be text, found 5; to make it text, quote it: 'run_name=\"5\"'"),
    ("run_name=${nowhere}", "the run directory cannot be named: Interpolation key 'nowhere' not found"),
    ("model.path=${nowhere}", "model.path: Interpolation key 'nowhere' not found"),
    ("dataset@data.foo=tofu", "dataset@data.foo is not in the defaults list; did you mean 'dataset@data."),
    ("dataset@data.forget=toffu", "dataset must be one of its choices, found 'toffu'; did you mean 'tofu'"),
    (
        "loss._target_=nowhere.mollm",
        "loss._target_ must name code of mollm_cli or of a package that the command line allows, found 'nowhere.mollm"
        "'. If that package is yours, or you have read it, type: mollm-unlearn loss._target_=nowhere.mollm "
        "--allow-code nowhere\n",
    ),
    ("foo", "an override must read KEY=VALUE, found 'foo'; see --help"),
    ("+=x", "an override must name a key, found '+=x'; write KEY=VALUE"),
    ("evaluation.attacks=[null]", "evaluation.attacks=[null] cannot be set: Cannot merge DictConfig with ListConfig"),
    ("model.path=a=b", "quote it: 'model.path=\"a=b\"'"),
    ("model.path=a(1).bin", "quote it: 'model.path=\"a(1).bin\"'"),
    ("loss=ga,mollm", "loss must have one value, found 'ga,mollm'; add -m for one run each, or write a list"),
    ("seed=range(1,3)", "seed must have one value, found 'range(1,3)'; add -m"),
    ('gates=["forget_probability"]', "a gate must read"),
    ("run_dir=here", "run_dir goes with resume=auto, found run_dir=here"),
    ("resume=auto", "resume=auto must know its directory, found none; add run_dir=DIR"),
]


@pytest.mark.parametrize(("override", "message"), WRONG, ids=[override for override, _ in WRONG])
def test_a_wrong_request_is_one_message_exit_2_and_no_directory(
    override: str, message: str, answer: Answer, tmp_path: Path
) -> None:
    code, printed, errors = answer(UNLEARN, override)
    assert (code, printed) == (2, "")
    assert message in errors
    assert errors.startswith("mollm-unlearn: ") and errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_was_quoted_is_read(answer: Answer) -> None:
    code, printed, _ = answer(UNLEARN, "--cfg", "job", 'model.path="a=b(1).bin"')
    assert code == 0 and "path: a=b(1).bin" in printed


def test_names_are_looked_for_beside_the_other_choices(answer: Answer) -> None:
    _, _, errors = answer(UNLEARN, "optimizer=sgd", "optimizer.momentun=0.5")
    assert "optimizer.momentun is not a key; did you mean 'momentum'" in errors


def test_two_mistakes_still_make_a_message(answer: Answer) -> None:
    code, _, errors = answer(UNLEARN, "enigne.max_steps=3", "modle=tiny")
    assert code == 2 and "is not a key; did you mean" in errors


def test_a_role_that_is_trained_on_has_rows(answer: Answer) -> None:
    code, _, errors = answer(FINETUNE, "train=[alternate]")
    assert code == 2 and "data.alternate must have rows, because the role 'alternate' is trained on" in errors
    assert "train must name at least one role, found []" in answer(FINETUNE, "train=[]")[2]
    assert (
        "train must name roles or sets, found 'retian'; did you mean 'retain'" in answer(FINETUNE, "train=[retian]")[2]
    )


def test_a_command_knows_only_its_own_keys(answer: Answer) -> None:
    assert "loss is not a key" in answer(EVALUATE, "loss=ga")[2]
    assert "train is not a key" in answer(EVALUATE, "train=[retain]")[2]


def test_a_mandatory_value(answer: Answer) -> None:
    assert "model.path is required and has no default; set model.path=VALUE" in answer(UNLEARN, "model=_base")[2]


def test_a_broken_yaml_of_the_user(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("a: [1\n")
    code, _, errors = answer(UNLEARN, "--config-dir", str(tmp_path), "loss=mine")
    assert code == 2 and errors.count("\n") == 1 and "mine.yaml" in errors


def test_config_dir_and_searchpath_exclude_each_other(answer: Answer, tmp_path: Path) -> None:
    code, _, errors = answer(UNLEARN, "--config-dir", str(tmp_path), "hydra.searchpath=[file:///x]")
    assert code == 2 and "--config-dir and hydra.searchpath say the same thing, found both" in errors


def test_flags_that_do_not_go_with_a_sweep(answer: Answer) -> None:
    assert "resume goes on with one run, found -m" in answer(UNLEARN, "-m", "resume=auto", "run_dir=x")[2]
    assert "--cfg job prints one configuration, found -m" in answer(UNLEARN, "-m", "--cfg", "job", "seed=1,2")[2]
