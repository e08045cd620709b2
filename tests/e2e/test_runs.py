"""Every way to train, three steps each, through the command line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from mollm_cli.assets.locate import resolve
from tests.support.cli import Answer, evaluate, finetune, unlearn


def _completed(run: Answer) -> None:
    assert run.code == 0, run.err
    assert run.manifest["status"] == "completed"
    assert [step["step"] for step in run.steps] == [1, 2, 3]
    for step in run.steps:
        assert all(math.isfinite(value) for value in step.values() if isinstance(value, float)), step
    assert all(math.isfinite(value) for value in run.metrics["after"].values() if value is not None)
    assert run.manifest["checkpoint"]["files"] != run.manifest["model"]["files"]


@pytest.mark.slow
def test_a_loss_and_a_solver(root: Path) -> None:
    """Sums with a reference; logits are the default's, hidden states below. All pairs: engine/test_every_pair.py."""
    run = unlearn(root, "loss=npo", "solver=pcgrad")
    _completed(run)
    assert (run.manifest["loss"], run.manifest["solver"]) == ("npo", "pcgrad")
    names = [key.removeprefix("loss.") for key in run.steps[0] if key.startswith("loss.")]
    assert names and all(f"weight.{name}" in step for name in names for step in run.steps)


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed",
    [
        "optimizer=sgd optimizer.momentum=0.9 optimizer.schedule=cosine engine.micro_batch=3",
        "engine.precision=bf16 tracker=tensorboard direction.forget_target=null direction.kl_budget=0.0",
        "model.dtype=bfloat16 model.weights=random force=true optimizer.lr=1e-4 optimizer.warmup_steps=2",
        "model.reference=copy model.adapter=lora loss=ga_kl engine.max_epochs=1 engine.batch_size=10 "
        "optimizer.weight_decay=0.01",
    ],
)
def test_every_kind_of_step(typed: str, root: Path) -> None:
    _completed(unlearn(root, *typed.split()))


@pytest.mark.slow
def test_mollm_says_something_else_where_it_is_told_what(root: Path) -> None:
    run = unlearn(root, "loss.alternate_weight=0.5", "+dataset@data.alternate=authors-idk")
    _completed(run)
    losses = [step["loss.alternate_cross_entropy"] for step in run.steps]
    assert losses[2] < losses[0]


@pytest.mark.slow
def test_what_rmu_trains_is_little_and_its_checkpoint_is_whole(root: Path) -> None:
    run = unlearn(root, "loss=rmu", "loss.layer=1", "optimizer.lr=1e-2")
    _completed(run)
    before, after = (
        AutoModelForCausalLM.from_pretrained(path) for path in (resolve("embedded:tiny"), run.run_dir / "checkpoint")
    )
    start = dict(before.named_parameters())
    changed = {name for name, p in after.named_parameters() if not torch.equal(p, start[name])}
    assert changed == {f"model.layers.{layer}.mlp.down_proj.weight" for layer in (0, 1)}
    trained = sum(start[name].numel() for name in changed)
    assert run.manifest["model"]["trainable_parameters"] == trained < run.manifest["model"]["parameters"] / 3


@pytest.mark.slow
def test_the_literal_reading_of_the_paper_freezes_at_the_start(root: Path) -> None:
    """KL has no gradient there, so the min-norm point of all three rows is zero; why ``paper`` is not the default."""
    run = unlearn(root, "direction.paper=true")
    assert run.code == 0, run.err
    assert [step["weight.forward_kl"] > 0 for step in run.steps] == [True] * 3
    assert run.manifest["checkpoint"]["files"] == run.manifest["model"]["files"]


@pytest.mark.slow
def test_without_a_target_forgetting_goes_on_past_the_rows_that_were_never_seen(root: Path) -> None:
    """Trap 4: at the target the forget row rests, as often as it comes down to it; without one nothing holds it."""
    longer = ("loss.retain_weight=1", "optimizer.lr=1e-3", "engine.max_steps=20", "engine.evaluate_every=20")
    longer += ("engine.stop_at_target=false",)
    resting = unlearn(root, *longer)
    endless = unlearn(root, *longer, "direction.forget_target=null")
    last = [run.steps[-1]["evaluation.forget_probability"] for run in (resting, endless)]
    target = resting.manifest["forget_target"]
    assert last[0] == pytest.approx(target, abs=0.07)
    assert last[1] < target / 4
    assert any(step.get("weight.unlearning_cross_entropy") == 0 for step in resting.steps)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """A run with nothing said."""
    return unlearn(tmp_path_factory.mktemp("usual"))


@pytest.mark.slow
def test_micro_batches_take_the_same_steps(root: Path, usual: Answer) -> None:
    """Losses and weights of the whole step; what is left is float32 rounding."""
    whole, parts = usual.steps, unlearn(root, "engine.micro_batch=3").steps
    for one, other in zip(whole, parts, strict=True):
        numbers = {key for key, value in one.items() if isinstance(value, float)} - {"tokens_per_second"}
        assert {key: other[key] for key in numbers} == pytest.approx({k: one[k] for k in numbers}, rel=1e-3, abs=1e-6)


@pytest.mark.slow
def test_lora_trains_its_own_matrices_only_and_needs_no_second_model(root: Path) -> None:
    run = unlearn(root, "model.adapter=lora", "optimizer.lr=1e-2")
    _completed(run)
    model, reference = run.manifest["model"], run.manifest["reference"]
    assert model["trainable_parameters"] < model["parameters"] / 10
    assert reference == {"kind": "adapter_off", "bytes": 0, "disk_bytes": 0}
    assert (run.run_dir / "adapter" / "adapter_model.safetensors").is_file()
    again = evaluate(root, f"model.path={run.run_dir / 'checkpoint'}")  # the adapter is merged into what is written
    assert again.metrics["after"] == pytest.approx(run.metrics["after"], rel=1e-3)
    assert run.metrics["before"] != pytest.approx(run.metrics["after"], rel=1e-2)


@pytest.mark.parametrize("rows", ["[retain]", pytest.param("[forget,retain,text]", marks=pytest.mark.slow)])
def test_finetune(rows: str, root: Path) -> None:
    run = finetune(root, f"train={rows}", "model.weights=random", "optimizer.lr=1e-3")
    _completed(run)
    losses = [step["loss.cross_entropy"] for step in run.steps]
    assert losses[2] < losses[0]


def test_evaluate_judges_the_model_as_it_is(root: Path, mollm: Answer) -> None:
    run = evaluate(root, "evaluation.oracle=embedded:oracle")
    assert run.code == 0, run.err
    assert run.metrics["before"] is None
    assert run.metrics["after"] == pytest.approx(mollm.metrics["before"], rel=1e-3)  # evaluate may run on a GPU
    assert run.metrics["oracle"] == pytest.approx(mollm.metrics["oracle"], rel=1e-3)
    files = mollm.manifest["model"]["files"]
    assert run.manifest["model"] == {"path": "embedded:tiny", "commit": None, "files": files}
    assert not (run.run_dir / "checkpoint").exists()
    assert (run.run_dir / "report.html").is_file()


@pytest.mark.slow
def test_the_same_request_gives_the_same_numbers_and_another_seed_others(
    root: Path, usual: Answer, mollm: Answer
) -> None:
    other = unlearn(root, "seed=1")
    assert usual.metrics["after"].items() <= mollm.metrics["after"].items()  # which has an oracle besides
    assert usual.manifest["checkpoint"] == mollm.manifest["checkpoint"]
    assert usual.manifest["checkpoint"] != other.manifest["checkpoint"]


@pytest.mark.slow
@pytest.mark.parametrize(("leader", "steps"), [("forget", 1), ("retain", 2)])
def test_the_pairing_says_whose_rows_make_an_epoch(leader: str, steps: int, root: Path) -> None:
    # one epoch at 32 rows a step: 30 forget rows are 1 step, 64 retain rows are 2
    short = ("data.retain.limit=64", "engine.max_epochs=1", "engine.max_steps=20", "engine.batch_size=32")
    run = unlearn(root, f"data.epoch={leader}", *short)
    assert (run.manifest["steps"], run.manifest["stopped_because"]) == (steps, "max_epochs")
