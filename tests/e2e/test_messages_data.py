"""What a user gets wrong in data files: exit code 2, one message with key, file, row and remedy, no traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Answer, read_lines, unlearn, write_lines

ROWS = [{"question": f"What is {n}?", "answer": f"The number {n}."} for n in range(8)]
OTHERS = [{"question": f"Who is {n}?", "answer": f"Nobody {n}."} for n in range(8)]


def _refused(run: Answer, *parts: str) -> None:
    assert run.code == 2, run.err
    assert "Traceback" not in run.err
    message = run.err.splitlines()[-1]
    assert message.startswith("mollm-unlearn: ")
    for part in parts:
        assert part in message
    manifest = run.manifest
    assert (manifest["status"], manifest["exit_code"]) == ("failed", 2)
    assert manifest["error"] == message.removeprefix("mollm-unlearn: ")
    assert not (run.run_dir / "checkpoint").exists() and not (run.run_dir / "train.jsonl").exists()


@pytest.fixture
def forgetting(root: Path, tmp_path: Path) -> Any:
    """A run on the forget file with this content and a good retain file."""

    def run(content: bytes | list[dict[str, Any]], *typed: str, loss: str = "ga") -> Answer:
        file = tmp_path / "mine.jsonl"
        write_lines(file, content) if isinstance(content, list) else file.write_bytes(content)
        retain = write_lines(tmp_path / "retain.jsonl", OTHERS)
        paths = [f"data.forget.path={file}", f"data.retain.path={retain}"]
        return unlearn(root, "data=custom", f"loss={loss}", *paths, *typed)

    return run


def test_a_missing_file(root: Path, tmp_path: Path) -> None:
    for name in ("mine", "retain"):
        write_lines(tmp_path / f"{name}.jsonl", ROWS)
    run = unlearn(root, "data=custom", f"data.forget.path={tmp_path}/mien.jsonl", f"data.retain.path={tmp_path}/r*")
    wanted = f"data.forget.path={tmp_path}/mien.jsonl must be a file, a folder or a glob, found nothing there"
    assert (run.code, run.out) == (2, "")  # the first look at the line sees it, before there is a directory
    assert run.err == f"mollm-unlearn: {wanted}. Did you mean data.forget.path={tmp_path / 'mine.jsonl'}?\n"


@pytest.mark.slow
def test_a_good_file_is_taken(forgetting: Any) -> None:
    assert forgetting(ROWS).code == 0


@pytest.mark.slow
def test_a_missing_field(forgetting: Any) -> None:
    rows = [*ROWS[:2], {"question": "Which?", "reply": "This one."}]
    _refused(
        forgetting(rows), "row 3 of mine.jsonl has no field 'answer", "another name (column 2 of 5 characters",
        "Set data.forget.answer_field=COLUMN",
    )  # fmt: skip


@pytest.mark.slow
def test_an_empty_answer(forgetting: Any) -> None:
    rows = [ROWS[0], {"question": "Which?", "answer": " "}]
    _refused(forgetting(rows), "row 2 of mine.jsonl must have text in 'answer', found it empty", "data.forget.filter=")


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"\n\n", b"[]"])
def test_an_empty_dataset(forgetting: Any, content: bytes) -> None:
    _refused(
        forgetting(content), "must give at least one example for data.forget, found none: 0 rows read from mine.jsonl",
        "Set data.forget.path=FILE",
    )  # fmt: skip


@pytest.mark.slow
def test_a_filter_that_leaves_nothing(forgetting: Any) -> None:
    run = forgetting(ROWS, '+data.forget.filter={answer: "another"}')
    _refused(
        run, "at least one example for data.forget", "filter answer 'another' removed 8", "Change data.forget.filter"
    )


@pytest.mark.slow
def test_a_file_that_is_not_utf_8(forgetting: Any) -> None:
    content = b'{"question": "Who?", "answer": "Me."}\n{"question": "Who?", "answer": "Andr\xe9."}\n'
    _refused(forgetting(content), "mine.jsonl: must be UTF-8, found byte 0xe9 in line 2", "data.forget.encoding=cp1252")


@pytest.mark.slow
def test_a_prompt_longer_than_the_limit(forgetting: Any) -> None:
    rows = [*ROWS, {"question": "Why " * 40, "answer": "Because."}]
    run = forgetting(rows, "data.forget.max_tokens=24", "data.test_share=0")
    _refused(
        run, "data.forget.max_tokens must leave room for an answer, found 24 and a prompt of ", " in row 'forget:9'",
        "or remove the row",
    )  # fmt: skip


def test_a_row_that_is_not_json(forgetting: Any) -> None:
    content = b'{"question": "Who?", "answer": "Me."}\n\n{"question": "Who?", \n'
    _refused(
        forgetting(content), "mine.jsonl: row 3 must be a JSON object, found text that is not JSON", "Repair the line"
    )


def test_a_row_to_forget_and_to_retain(forgetting: Any) -> None:
    run = forgetting([*ROWS, OTHERS[3]])
    _refused(
        run, "data.forget and data.retain must share no row, found 1 of the same prompt and answer",
        "'forget:9' of forget and 'retain:4' of retain", "data.drop_overlap=true",
    )  # fmt: skip
    assert forgetting([*ROWS, OTHERS[3]], "data.drop_overlap=true", "--check").code == 0


@pytest.mark.slow
def test_safe_and_unsafe_answers_to_the_same_prompts_are_no_overlap(root: Path, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"What about {n}?", "response_0": f"Yes to {n}.", "response_1": f"No to {n}.",
            "is_response_0_safe": n % 2 == 0, "is_response_1_safe": n % 2 == 1,
        }
        for n in range(20)
    ]  # fmt: skip
    file = write_lines(tmp_path / "pairs.jsonl", rows)
    paths = [f"data.forget.path={file}", f"data.retain.path={file}"]
    run = unlearn(root, "data=pku-safe", *paths, "direction.forget_target=null", "evaluation.keep_text=true")
    assert run.code == 0, run.err
    sets = {name: dataset["rows"] for name, dataset in run.manifest["datasets"].items()}
    made = {"counterfactual": 18, "ordinary": 60}  # the yardstick, and what is held of everything else
    made |= {"probes_in_few_words": 2}  # evaluation.limit; two words leave no blank
    assert sets == {"forget": 18, "retain": 18, "forget_test": 2, "retain_test": 2} | made
    samples = read_lines(run.run_dir / "samples.jsonl")
    for unsafe in (row for row in samples if row["set"].startswith("forget")):
        number = int(unsafe["prompt"].split()[-1].rstrip("?"))
        assert unsafe["answer"] == (f"No to {number}." if number % 2 == 0 else f"Yes to {number}.")


NAMELESS = [{"text": f"nothing is said of {n}."} for n in range(8)]


def test_a_forget_target_that_nothing_tells(forgetting: Any) -> None:
    _refused(
        forgetting(NAMELESS, "data.forget.kind=text", "data.forget.text_field=text", loss="mollm"),
        "direction.forget_target=auto needs something to compare the forget rows with, found no holdout rows",
        "data.holdout.path=FILE", "direction.forget_target=null",
    )  # fmt: skip
