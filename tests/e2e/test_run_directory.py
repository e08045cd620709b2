"""The run directory that scripts rely on: its files, their names and keys."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import mollm_cli
from mollm_cli.core.types import MADE_PROBES
from tests.support.cli import Answer, evaluate, read, read_lines, unlearn

OBJECTIVES = ("unlearning_cross_entropy", "cross_entropy", "forward_kl")
PROBES = MADE_PROBES[:2]  # of questions


def test_stdout_is_the_run_directory_and_it_is_named_for_people(mollm: Answer) -> None:
    assert mollm.code == 0, mollm.err
    assert mollm.run_dir.is_absolute()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d{6}_mollm", "/".join(mollm.run_dir.parts[-2:]))


def test_every_file_is_there_and_no_other(mollm: Answer) -> None:
    assert {file.name for file in mollm.run_dir.iterdir()} == {
        "config.yaml", "manifest.json", "train.jsonl", "metrics.json", "samples.jsonl", "report.html",
        "checkpoint", "resume",
    }  # fmt: skip
    assert {file.name for file in (mollm.run_dir / "checkpoint").iterdir()} >= {
        "README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip


def test_the_configuration_is_resolved(mollm: Answer) -> None:
    config = yaml.safe_load((mollm.run_dir / "config.yaml").read_text())
    assert (config["seed"], config["run_name"], config["engine"]["max_steps"]) == (0, "mollm", 3)
    assert config["names"]["solver"] == "dual_space_mgda"
    assert "${" not in (mollm.run_dir / "config.yaml").read_text()


def test_the_manifest_says_what_ran_and_how_it_ended(mollm: Answer) -> None:
    manifest = mollm.manifest
    expected: dict[str, Any] = {
        "status": "completed", "exit_code": 0, "stopped_because": "max_steps", "seed": 0, "steps": 3, "device": "cpu",
        "dtype": "float32", "loss": "mollm", "solver": "dual_space_mgda",
    }  # fmt: skip
    assert {key: manifest[key] for key in expected} == expected
    assert manifest["command"].startswith("mollm-unlearn output_root=")
    assert manifest["versions"]["mollm-unlearn"] == mollm_cli.__version__
    assert {"python", "platform", "torch", "transformers", "hydra-core"} <= manifest["versions"].keys()
    assert manifest["git_commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", manifest["git_commit"])
    for quantity in ("wall_seconds", "peak_memory_bytes", "tokens_per_second"):
        assert manifest[quantity] > 0
    assert 0 < manifest["forget_target"] < 1


def test_the_manifest_has_the_fingerprints_of_what_went_in_and_came_out(mollm: Answer) -> None:
    manifest = mollm.manifest
    weights = mollm.run_dir / "checkpoint" / "model.safetensors"
    (written,) = manifest["checkpoint"]["files"]
    assert written["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert written["bytes"] == weights.stat().st_size
    embedded = Path(mollm_cli.__file__).parent / "assets" / "tiny" / "model.safetensors"
    assert manifest["model"]["files"][0]["sha256"] == hashlib.sha256(embedded.read_bytes()).hexdigest()
    assert manifest["oracle"]["files"][0]["sha256"] != manifest["model"]["files"][0]["sha256"]
    assert manifest["datasets"].keys() == manifest["content"].keys()
    assert {"forget", "retain", "holdout", "text", *PROBES} == manifest["datasets"].keys()
    for dataset in manifest["datasets"].values():
        assert dataset["rows"] > 0 and len(dataset["sha256"]) == 64 and dataset["files"][0]["path"].endswith(".jsonl")


def test_every_logged_step_has_the_names_of_the_contract(mollm: Answer) -> None:
    start, *steps = mollm.steps
    assert start.keys() == {"step", "evaluation.forget_probability", "evaluation.retain_probability"}
    assert [step["step"] for step in steps] == [1, 2, 3]
    columns = ("loss", "weight", "simplex", "predicted", "realised")
    names = {f"{column}.{objective}" for column in columns for objective in OBJECTIVES}
    names |= {"cosine.unlearning_cross_entropy.cross_entropy", "cosine.cross_entropy.forward_kl"}
    names |= {"status", "learning_rate", "gradient_norm", "tokens_per_second", "evaluation.forget_probability"}
    for step in steps:
        assert names <= step.keys()
    assert steps[0]["loss.forward_kl"] == pytest.approx(0, abs=1e-6)  # at the start the model is its own reference
    assert steps[0]["weight.forward_kl"] == 0.0 and steps[0]["gradient_norm"] > 0  # and yet it moves
    assert steps[2]["loss.forward_kl"] > 0.0


def test_metrics_have_their_shape_and_names(mollm: Answer) -> None:
    metrics = mollm.metrics
    assert metrics.keys() == {
        *("before", "after", "oracle", "yardstick", "verdict", "grounds", "metrics"),
        *("nothing_to_forget", "intervals", "details", "rows", "decoding", "attacks", "descent"),
    }
    for moment in ("before", "after", "oracle"):
        for name, (low, high) in metrics["intervals"][moment].items():
            assert low <= metrics[moment][name] <= high, name
    assert metrics["details"]["after"]["forget_quality"]["power"] == "no power"  # two rows
    assert metrics["nothing_to_forget"] is None
    assert metrics["rows"].keys() == {"before", "after", "oracle"}
    assert all(counts["forget_rouge_l"] == [2, 2] for counts in metrics["rows"].values())
    assert metrics["decoding"] == {"scoring": 2, "generate_tokens": 4, "limit": 2, "attack_limit": None}
    assert metrics["attacks"] == {}
    assert metrics["before"].keys() == metrics["after"].keys() == metrics["oracle"].keys() == metrics["metrics"].keys()
    assert {
        "forget_probability", "forget_rouge_l", "forget_exact_memorization", "forget_truth_ratio", "forget_quality",
        "retain_probability", "retain_rouge_l", "holdout_probability", "text_perplexity",
        *(f"{name}_probability" for name in PROBES),
    } <= metrics["after"].keys()  # fmt: skip
    assert metrics["yardstick"] == "oracle"
    assert metrics["verdict"].keys() == {"forget", "retain", "robustness"}
    assert metrics["verdict"]["retain"] == metrics["verdict"]["forget"] == "unknown"  # two rows
    assert metrics["grounds"]["retain"].keys() == {"text", "retain"}
    assert (
        metrics["grounds"]["kl"].keys() == {"text"} and "no chat template" in metrics["grounds"]["answers"]["left_out"]
    )
    for description in metrics["metrics"].values():
        assert description.keys() == {"metric", "set", "unit", "better", "version"}


def test_samples_hold_the_values_behind_the_means(mollm: Answer) -> None:
    samples = read_lines(mollm.run_dir / "samples.jsonl")
    forget = [row for row in samples if row["set"] == "forget"]
    assert len(forget) == 2  # evaluation.limit
    for moment in ("before", "after", "oracle"):
        mean = sum(row[moment]["probability"] for row in forget) / len(forget)
        assert mollm.metrics[moment]["forget_probability"] == pytest.approx(mean)
    first = forget[0]
    assert first["sha256"] == hashlib.sha256(f"{first['prompt']}\n{first['answer']}".encode()).hexdigest()
    assert isinstance(first["after"]["generation"], str)


def test_the_report_stands_alone(mollm: Answer) -> None:
    page = (mollm.run_dir / "report.html").read_text()
    assert "<html" in page and "<svg" in page
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert "completed" in page


def test_the_checkpoint_loads_with_transformers_alone(mollm: Answer) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = mollm.run_dir / "checkpoint"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer("Who is it?")["input_ids"]])
    assert torch.isfinite(model(ids).logits).all()
    assert (folder / "README.md").read_text().startswith("---\n")


def test_resume_holds_one_point_at_the_last_step(mollm: Answer) -> None:
    assert [point.name for point in (mollm.run_dir / "resume").iterdir()] == ["step-00000003"]
    assert read(mollm.run_dir / "resume" / "step-00000003" / "state.json")["step"] == 3


@pytest.mark.slow
def test_after_is_measured_on_what_was_written_not_on_what_was_trained(
    mollm: Answer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that is spoilt on its way to the disk spoils ``after``."""
    from safetensors.torch import load_file, save_file

    from mollm_cli.models import save

    honest = save.save_checkpoint

    def spoilt(loaded: Any, folder: Path, ends: Any) -> None:
        honest(loaded, folder, ends)
        weights = {name: tensor * 0.5 for name, tensor in load_file(folder / "model.safetensors").items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(save, "save_checkpoint", spoilt)
    run = unlearn(root)
    assert run.metrics["after"]["forget_probability"] < 0.5 * mollm.metrics["after"]["forget_probability"]
    again = evaluate(root, f"model.path={run.run_dir / 'checkpoint'}")
    assert again.metrics["after"] == pytest.approx(run.metrics["after"], rel=1e-3)


def test_two_runs_never_share_a_directory(root: Path, mollm: Answer) -> None:
    before = (mollm.run_dir / "manifest.json").read_bytes()
    again = unlearn(root, f"hydra.run.dir={mollm.run_dir}")
    assert again.code == 2 and "the run directory must be new" in again.err and again.out == ""
    assert (mollm.run_dir / "manifest.json").read_bytes() == before
