"""What real requests look like: a few rows of one big file, then a few more; conversations with a system prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.core.types import ROLES
from tests.support.cli import Answer, answer, read_lines, unlearn, write_lines

WORDS = ("apple", "bear", "cedar", "dune", "elm", "fox", "gulf", "hill", "ice", "jade", "kelp", "lime")


@pytest.fixture
def deletion(root: Path, tmp_path: Path) -> Any:
    """A run that deletes these users of a file of 24 rows, two a user, named by a word that stands nowhere else."""
    words = [(n, WORDS[n % 12]) for n in range(24)]
    rows = [
        {"user_id": f"u{n % 12}", "question": f"Quibble {word} {n}?", "answer": f"{word} marzipan {n}."}
        for n, word in words
    ]
    file = write_lines(tmp_path / "train.jsonl", rows)

    def run(users: list[str], *typed: str) -> Answer:
        ids = tmp_path / f"{users[0]}.txt"
        ids.write_text("\n".join(users))
        where = [f"data.source={file}", f"data.forget.ids={ids}", "data.id_field=user_id"]
        return unlearn(root, "data=deletion", *where, "direction.forget_target=null", *typed)

    return run


def _sizes(run: Answer) -> dict[str, int]:
    """The rows that come from the file."""
    return {name: dataset["rows"] for name, dataset in run.manifest["datasets"].items() if name in (*ROLES, "deleted")}


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "batch_size"), [("1", 32), ("1", 1), ("3", 2), ("3", 8), ("null", 1), ("null", 32)])
def test_few_rows_at_any_batch_size(deletion: Any, limit: str, batch_size: int) -> None:
    users = [f"u{n}" for n in range(5)]
    run = deletion(users, f"data.forget.limit={limit}", f"engine.batch_size={batch_size}", "engine.max_steps=2")
    assert run.code == 0, run.err
    count = {"1": 1, "3": 3, "null": 10}[limit]
    assert _sizes(run) == {"forget": count, "retain": 13, "retain_test": 1}
    assert len(run.steps) == 2


@pytest.mark.slow
def test_nothing_of_the_text_and_no_id_is_told(deletion: Any) -> None:
    run = deletion(["u1", "carol@example.org"])
    assert run.code == 0, run.err
    assert "data.forget.ids: 1 of 2 ids stand in no row, those of the lines 2" in run.err
    assert run.manifest["datasets"]["forget"]["ids"] == {"asked": 2, "found": 1, "lines_not_found": [2]}
    texts = [run.out, run.err, *(f.read_bytes().decode("latin-1") for f in run.run_dir.rglob("*") if f.is_file())]
    assert not [word for word in ("Quibble", "marzipan", "carol") for text in texts if word in text]


def test_no_id_found_is_refused(deletion: Any) -> None:
    run = deletion(["nobody"])
    assert run.code == 2
    assert "data.forget.ids must name rows of data.source, found none of its 1 ids in the column 'user_id'" in run.err


def test_without_a_source_the_key_is_named(root: Path) -> None:
    run = answer(UNLEARN, "data=deletion")
    assert run.code == 2
    assert "Set data.source=FILE" in run.err


@pytest.mark.slow
def test_one_request_after_another(deletion: Any, tmp_path: Path) -> None:
    first = deletion(["u1", "u2"])
    assert first.code == 0, first.err
    assert first.manifest["lineage"] == []
    second = deletion(["u3"], f"model.path={first.run_dir / 'checkpoint'}", f"data.deleted={tmp_path / 'u1.txt'}")
    assert second.code == 0, second.err
    assert _sizes(second) == {"forget": 2, "retain": 16, "deleted": 4, "retain_test": 2}
    assert second.metrics["before"]["deleted_probability"] == pytest.approx(
        first.metrics["after"]["forget_probability"], rel=1e-3
    )
    earlier = write_lines(tmp_path / "first.jsonl", [{"question": "Quibble bear 1?", "answer": "bear marzipan 1."}])
    own = ["+dataset@data.sets.first=qa-file", f"data.sets.first.path={earlier}"]  # in a file of its own it is a set
    third = deletion(["u4"], f"model.path={second.run_dir / 'checkpoint'}", *own)
    assert 0 < third.metrics["after"]["first_probability"] < 1
    lineage = third.manifest["lineage"]
    assert [entry["run"] for entry in lineage] == [first.run_dir.name, second.run_dir.name]
    for entry, run in zip(lineage, (first, second), strict=True):
        assert entry["forget"] == run.manifest["datasets"]["forget"]["sha256"]
        assert list(entry["weights"].values()) == [file["sha256"] for file in run.manifest["checkpoint"]["files"]]
        assert (entry["command"], entry["unchanged"]) == (run.manifest["command"], True)


@pytest.mark.slow
def test_chats_with_a_system_prompt(root: Path, tmp_path: Path) -> None:
    def chat(n: int, word: str) -> dict[str, Any]:
        turns = [
            ("user", f"Hello {n}."),
            ("assistant", f"Hi {n}."),
            ("user", f"Your {word}?"),
            ("assistant", f"It is {n}."),
        ]
        return {"messages": [{"role": role, "content": text} for role, text in turns]}

    typed = ["data=custom", "direction.forget_target=null", "evaluation.keep_text=true"]
    for role in ("forget", "retain"):
        file = write_lines(tmp_path / f"{role}.jsonl", [chat(n, role) for n in range(10)])
        typed += [f"dataset@data.{role}=chat-file", f"data.{role}.path={file}", f"data.{role}.system=Be brief."]
    run = unlearn(root, *typed)
    assert run.code == 0, run.err
    samples = read_lines(run.run_dir / "samples.jsonl")
    assert {row["set"] for row in samples} & {*ROLES} == {"forget", "retain", "retain_test"}
    told = (
        "held back for testing, neither forgotten nor trained on: 1 of 10 rows of data.retain (data.test_share=0 takes"
    )
    assert told in run.err and told[1:] in (run.run_dir / "report.html").read_text()
    for row in (row for row in samples if row["set"] in ROLES):
        assert row["prompt"].startswith("system: Be brief.\n\nuser: Hello ")
        assert "\n\nassistant: Hi " in row["prompt"] and row["answer"].startswith("It is ")
    shown = answer(UNLEARN, "--check", *typed).err
    assert "Be brief." in shown and "Answer:[[ It is 1." in shown


@pytest.mark.slow
def test_prompts_without_answers(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model says now is what is forgotten; a second run and --check read it where it was kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    prompts = write_lines(tmp_path / "prompts.jsonl", [{"question": f"Who is author {n}?"} for n in range(3)])
    others = write_lines(
        tmp_path / "others.jsonl", [{"question": f"What is {n}?", "answer": f"{n}."} for n in range(4)]
    )
    files = [f"data.forget.path={prompts}", f"data.retain.path={others}", "data.forget.answers_from=model"]
    typed = ["data=custom", *files, "data.test_share=0", "data.forget.content=ordinary", "loss=ga"]
    asked = "data.forget: model.path=embedded:tiny is asked for 3 answers"
    assert "3 answers will be generated by model.path" in answer(UNLEARN, "--check", *typed).err
    first, second = unlearn(root, *typed), unlearn(root, *typed)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert asked in first.err and asked not in second.err
    assert first.manifest["datasets"] == second.manifest["datasets"]
    samples = [row for row in read_lines(first.run_dir / "samples.jsonl") if row["set"] == "forget"]
    said = {row["answer"] for row in samples}
    assert all(said)
    assert first.metrics["before"]["forget_probability"] > 2 * first.metrics["before"]["retain_probability"]
    shown = answer(UNLEARN, "--check", *typed).err
    assert "will be generated" not in shown and samples[0]["answer"] in shown
    personal = unlearn(root, *typed, "data.forget.content=personal")
    assert asked in personal.err and not any(text in personal.err for text in said)
