"""TOFU on a real model: which rows are learnt, retained and measured; what is fine-tuned once and kept."""

from __future__ import annotations

import json

import pytest

from benchmarks import real_tofu
from benchmarks.real_models import Said
from benchmarks.real_table import COLUMNS
from mollm_cli.configuration.compose import compose_job, composing, plain, without_hydra
from mollm_cli.configuration.request import request


def publish(folder):
    folder.mkdir()
    counts = {"forget01": 40, "forget01_perturbed": 40, "retain90": 720, "real_authors": 5, "world_facts": 5}
    for name, count in counts.items():
        rows = [{"question": f"{name} {k}", "answer": f"{k}", "paraphrased_answer": f"p{k}"} for k in range(count)]
        text = json.dumps(rows) if name == "real_authors" else "\n".join(map(json.dumps, rows))
        (folder / f"{name}.json").write_text(text)
    return folder


def finetuning(words):
    with composing():
        job = compose_job("finetune", [word for word in words if not word.startswith(("run_dir=", "resume="))])
        return request(plain(without_hydra(job), job.hydra.runtime.choices), "finetune")


def test_the_oracle_never_sees_what_is_forgotten_and_what_is_held_out_is_not_retained(tmp_path, monkeypatch):
    typed = []

    def command(shell, program, *words):
        typed.append((program, words))
        place = next(tmp_path.__class__(word.removeprefix("run_dir=")) for word in words if word.startswith("run_dir="))
        (place / "checkpoint").mkdir(parents=True)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (place / "checkpoint" / name).write_text("")
        return Said("mollm-finetune", code, 1.0, 1.0, "", "what went wrong")

    monkeypatch.setattr(real_tofu.Shell, "run", command)
    code, source = 0, publish(tmp_path / "tofu")
    task, oracle = real_tofu.tofu_task(tmp_path / "model", source, tmp_path / "out", "model-tofu", most=4)
    assert [program for program, _ in typed] == ["finetune", "finetune"]
    (_, learnt), (_, without) = typed
    assert {"train=[forget,retain]", "engine.max_steps=100"} <= set(learnt)
    assert {"train=[retain]", "engine.max_steps=90"} <= set(without)
    for words in (learnt, without):  # a command without rows to forget is refused, whatever it trains on
        assert finetuning(words).data.forget.path.endswith("trained/forget.jsonl")
    assert task.model.name.startswith("model-learnt-") and oracle.name.startswith("model-oracle-")
    assert sorted(path.suffix for path in (tmp_path / "out" / "models").iterdir()) == ["", ""]
    rows = {f.stem: [json.loads(line) for line in f.read_text().splitlines()] for f in task.measured.iterdir()}
    kept = (task.data / "trained" / "retain.jsonl").read_text().splitlines()
    assert {name: len(found) for name, found in rows.items()} == {
        "forget": 20, "paraphrased": 20, "retain": 4, "retain_test": 4, "real_authors": 4, "world_facts": 4,
    }  # fmt: skip
    assert rows.keys() <= COLUMNS.keys()  # else the table would leave them out
    assert len(kept) == 120 and not {json.dumps(row) for row in rows["retain_test"]} & set(kept)
    assert rows["paraphrased"][1] == {"prompt": "forget01_perturbed 2", "answer": "p2"}
    assert (task.retain, task.held_out) == ("retain", ("retain_test", "real_authors", "world_facts"))
    again = real_tofu.tofu_task(tmp_path / "model", source, tmp_path / "out", "model-tofu", most=4)
    assert again == (task, oracle) and len(typed) == 2
    code = 1
    with pytest.raises(RuntimeError, match="exit code 1:\nwhat went wrong"):
        real_tofu.tofu_task(tmp_path / "other", source, tmp_path / "out", "model-tofu")
