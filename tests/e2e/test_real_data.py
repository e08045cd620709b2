"""Fine-tune, then unlearn, on real rows and a real pretrained model, both from files: a few steps of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from mollm_cli.core.types import MADE_PROBES
from tests.support.cli import SHARED, Answer, finetune, read_lines, unlearn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.is_dir(), reason="needs real data and a real model in ../shared, which is not there"),
]
MODEL = f"model.path={SHARED}/models/TinyStories-656K"
SHORT = ("engine.batch_size=4", "optimizer.lr=1e-3")


def _tofu() -> list[str]:
    data = SHARED / "data" / "tofu"
    return [
        "data=tofu",
        f"data.forget.path={data}/forget10.json", f"data.forget.perturbed={data}/forget10_perturbed.json",
        f"data.retain.path={data}/retain90.json", "data.retain.perturbed=null",
        f"data.holdout.path={data}/holdout10.json",
        f"data.sets.real_authors.path={data}/real_authors_perturbed.json",
        f"data.sets.world_facts.path={data}/world_facts_perturbed.json",
        "data.retain.limit=40",
    ]  # fmt: skip


def _pku() -> list[str]:
    data = SHARED / "data"
    return [
        "data=pku-harmful",
        f"data.forget.path={data}/pku_saferlhf/pku_reconstructed_800.jsonl", "data.forget.limit=40",
        f"data.retain.path={data}/truthfulqa/TruthfulQA.csv", "data.retain.limit=40",
        "direction.forget_target=0.05",
    ]  # fmt: skip


def _learnt_and_unlearnt(root: Path, data: list[str]) -> Answer:
    known = [override for override in data if not override.startswith("direction.")]
    learnt = finetune(root, MODEL, *known, *SHORT)
    assert learnt.code == 0, learnt.err
    before, after = learnt.metrics["before"], learnt.metrics["after"]
    assert after["forget_probability"] > before["forget_probability"]
    run = unlearn(root, f"model.path={learnt.run_dir / 'checkpoint'}", *data, *SHORT, "force=true")
    assert run.code == 0, run.err
    assert run.manifest["model"]["files"] == learnt.manifest["checkpoint"]["files"]
    assert run.metrics["before"] == pytest.approx(learnt.metrics["after"], rel=1e-6)
    return run


def test_tofu_from_files(root: Path) -> None:
    run = _learnt_and_unlearnt(root, _tofu())
    rows = {name: dataset["rows"] for name, dataset in run.manifest["datasets"].items()}
    assert rows.pop("ordinary") == 60
    made = [rows.pop(name) for name in MADE_PROBES if name in rows]
    assert len(made) == 2 and all(0 < count <= 400 for count in made)  # as many as fit, up to evaluation.limit
    assert rows == {"forget": 400, "retain": 40, "holdout": 400, "real_authors": 100, "world_facts": 117}, made
    assert {"forget_truth_ratio", "holdout_probability", "real_authors_probability"} <= run.metrics["after"].keys()


def test_pku_from_files(root: Path) -> None:
    run = _learnt_and_unlearnt(root, _pku())
    assert run.manifest["content"]["forget"] == run.manifest["content"]["forget_test"] == "harmful"
    texts = [row for row in read_lines(run.run_dir / "samples.jsonl") if "prompt" in row]
    assert {row["set"] for row in texts} <= {"retain", "retain_test"}


def test_stories_from_a_file(root: Path) -> None:
    stories = f"data.forget.path={SHARED}/data/tinystories/tinystories.jsonl"
    short = ["data.forget.limit=20", "data.retain.limit=20", "direction.forget_target=null"]
    run = unlearn(root, MODEL, "data=tinystories-lily", stories, *short, *SHORT)
    assert run.code == 0, run.err
    assert run.metrics["after"]["forget_test_perplexity"] > 1 and run.metrics["after"]["retain_test_perplexity"] > 1
