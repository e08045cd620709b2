"""What is wrong with a model, an output folder or a value: exit code 2, the key and the remedy, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.assets.locate import resolve
from mollm_cli.configuration.programs import EVALUATE, UNLEARN
from tests.support.cli import Answer, answer, evaluate, read, unlearn

Usage = namedtuple("Usage", "total used free")
GIB = 2**30


def _refused(run: Answer, *parts: str) -> None:
    assert run.code == 2, run.err
    assert "Traceback" not in run.err
    message = run.err.splitlines()[-1]
    for part in parts:
        assert part in message


def _edit(file: Path, drop: tuple[str, ...] = (), **changes: Any) -> None:
    content = {key: value for key, value in read(file).items() if key not in drop}
    file.write_text(json.dumps(content | changes))


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])


def _small_vocabulary(folder: Path) -> None:
    from tests.support.tiny import llama

    llama(vocab=48).save_pretrained(folder)


BROKEN: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "no config": (
        lambda folder: (folder / "config.json").unlink(),
        ("a model folder must hold config.json and weights, found: ", "Set model.path to what save_pretrained wrote"),
    ),
    "config that is no JSON": (
        lambda folder: (folder / "config.json").write_text("{") and None,
        ("cannot be loaded (OSError: ", "is not a valid JSON file", "Set model.path to a folder"),
    ),
    "a model that writes no text": (
        lambda folder: _edit(folder / "config.json", model_type="vit", architectures=["ViTModel"]),
        ("the model cannot be loaded (ValueError: Unrecognized configuration class",),
    ),
    "no weights": (_no_weights, ("the model cannot be loaded (OSError: ", "no file named model.safetensors")),
    "damaged weights": (_cut_weights, ("SafetensorError", "A weight file is damaged or incomplete: copy or download")),
    "weights of another shape": (
        lambda folder: _edit(folder / "config.json", intermediate_size=200),
        ("config.json and the weight files are of different models",),
    ),
    "weights of fewer layers": (
        lambda folder: _edit(folder / "config.json", num_hidden_layers=5),
        ("must hold every weight of config.json, found 9 missing, the first is model.layers.4.",),
    ),
    "a tokenizer without an end token": (
        lambda folder: _edit(folder / "tokenizer_config.json", drop=("eos_token",)),
        (
            "must have an end token, found special tokens: pad_token",
            "as eos_token in the folder's tokenizer_config.json",
        ),
    ),
    "a vocabulary smaller than the tokenizer's": (
        _small_vocabulary,
        ("the tokenizer has 1", " tokens, the model embeds 48", "Use the tokenizer that the model was trained with"),
    ),
    "a context shorter than a row": (
        lambda folder: _edit(folder / "config.json", max_position_embeddings=16),
        ("data.forget.max_tokens must fit into the context of model.path=", "which is 16 tokens; found ", "in row "),
    ),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the embedded model."""
    return Path(shutil.copytree(resolve("embedded:tiny"), tmp_path / "model"))


FEW = ("no config", "damaged weights")
EACH = [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in BROKEN]


@pytest.mark.parametrize("broken", EACH)
def test_a_folder_that_is_not_the_model_it_should_be(broken: str, model: Path, root: Path) -> None:
    breaking, parts = BROKEN[broken]
    breaking(model)
    run = unlearn(root, f"model.path={model}")
    _refused(run, "model.path", *parts)
    if broken == "no config":  # seen before anything is made
        assert run.out == "" and not root.exists()
        return
    assert (run.manifest["status"], run.manifest["exit_code"]) == ("failed", 2)
    assert not (run.run_dir / "checkpoint").exists() and not (run.run_dir / "train.jsonl").exists()


def test_an_oracle_that_is_no_model(root: Path, tmp_path: Path) -> None:
    _refused(evaluate(root, f"evaluation.oracle={tmp_path}"), "a model folder must hold config.json and weights")


@pytest.mark.slow
def test_a_tokenizer_without_a_padding_token_is_told_and_trained(model: Path, root: Path) -> None:
    """Masks come from lengths, so what batches are filled with changes nothing; most Llamas have no padding token."""
    _edit(model / "tokenizer_config.json", drop=("pad_token",))
    run, usual = unlearn(root, f"model.path={model}", "loss=ga"), unlearn(root, "loss=ga")
    assert run.code == 0, run.err
    assert "the tokenizer has no padding token: batches are filled with its end token, under masks" in run.err
    assert run.metrics == usual.metrics and "padding" not in usual.err


def test_no_such_model(root: Path) -> None:
    run = unlearn(root, "model.path=./nowhere")
    _refused(run, "model.path=./nowhere: no such folder. Set model.path to a model folder or a Hub id (org/name)")


def test_a_negative_learning_rate_makes_no_directory(root: Path) -> None:
    run = unlearn(root, "optimizer.lr=-0.1")
    _refused(run, "mollm-unlearn: optimizer.lr must be a finite number > 0, or auto, found -0.1")
    assert run.out == "" and not root.exists()


def test_a_solver_that_the_loss_does_not_allow(root: Path, tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    yaml = "# Goes with one solver only.\n_target_: tests.support.picky.picky\n"
    (tmp_path / "loss" / "picky.yaml").write_text(yaml)
    mine = ["--config-dir", str(tmp_path), "--allow-code", "tests", "loss=picky"]
    run = unlearn(root, *mine, "solver=dual_space_mgda")
    wanted = "loss=picky does not allow the solver 'dual_space_mgda'; set solver=NAME, choices: normalized_sum"
    _refused(run, wanted)
    assert run.out == "" and not root.exists()
    assert unlearn(root, *mine, "solver=normalized_sum", "--check").code == 0


def test_a_device_that_is_not_there(root: Path) -> None:
    _refused(unlearn(root, "engine.device=mps"), "engine.device=mps: this machine has ", "Set engine.device=auto")


def test_an_output_folder_that_cannot_be(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = unlearn(root, f"output_root={tmp_path / 'file'}")
    _refused(
        run, "output_root must be a folder that can be written to, found ", "Not a directory", "set output_root=DIR"
    )
    assert run.out == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission(root: Path) -> None:
    root.mkdir(mode=0o500)
    _refused(unlearn(root), "output_root must be a folder that can be written to, found ", "Permission denied")


def test_too_little_room_is_found_before_the_first_step(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(GIB, GIB - 2**20, 2**20))
    run = unlearn(root)
    _refused(
        run, "output_root: ", " has 0.00 GiB free, the run writes up to 0.10 GiB", "set output_root to another disk"
    )
    assert not (run.run_dir / "train.jsonl").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    line = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if mount is None or subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_small_disk(small_disk: Path) -> None:
    run = unlearn(small_disk)
    _refused(run, f"output_root: {small_disk}", "GiB free, the run writes up to")
    assert run.manifest["exit_code"] == 2


def test_a_full_disk(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"0" * 4096)
    run = unlearn(small_disk)
    _refused(run, "output_root must be a folder that can be written to, found ", "No space left on device")


@pytest.mark.parametrize("command", [UNLEARN, EVALUATE], ids=lambda command: command.name)
def test_a_wrong_request_leaves_the_working_directory_as_it_was(command: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer(command, "model.dtype=float8").code == 2
    assert list(tmp_path.iterdir()) == []
