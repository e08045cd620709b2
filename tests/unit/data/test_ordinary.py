"""Ordinary prompts: none is asked by the benchmark, none is like a row to forget, each step has its share of them."""

from __future__ import annotations

import json
from pathlib import Path

from mollm_cli.core.types import Encoded, Example
from mollm_cli.data.batches import Joined, Stream
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.ordinary import measured_prompts, ordinary_prompts

ASKED = Path(__file__).parents[3] / "benchmarks" / "plain_questions.jsonl"


def forget(*texts: str, content="personal") -> Loaded:
    dataset = Dataset("mine", prompt_field="q", answer_field="a", content=content)
    return Loaded(dataset, [Example(f"mine:{n}", text, "Oslo") for n, text in enumerate(texts)], {"rows": len(texts)})


def test_they_are_as_confidential_as_what_is_forgotten_and_leave_out_what_is_like_it() -> None:
    every = ordinary_prompts(forget("Who is Mira?"))
    assert len(every.examples) == 60 and every.content == "personal"
    fewer = ordinary_prompts(forget("What is the capital of Norway?", content="harmful"))
    assert fewer.content == "harmful"
    gone = {e.prompt for e in every.examples} - {e.prompt for e in fewer.examples}
    assert "What is the capital of Norway?" in gone and "Tell me a joke." not in gone


def test_what_the_benchmark_asks_is_not_held() -> None:
    asked = {json.loads(line)["question"] for line in ASKED.read_text(encoding="utf-8").splitlines()}
    held = {e.prompt for e in ordinary_prompts(forget("x")).examples}
    assert len(asked) == 60 and not asked & held


def test_every_fourth_is_measured_and_never_trained_on() -> None:
    trained, measured = ordinary_prompts(forget("x")), measured_prompts(forget("What is the capital of Greece?"))
    assert measured.content == "personal" and measured.examples[0].prompt == "What is 12 divided by 3?"
    every = {e.prompt for e in measured_prompts(forget("x")).examples}
    assert len(every) == 20 and not {e.prompt for e in trained.examples} & every
    # What is like a row to forget is left out here too: the other capitals.
    assert {p for p in every if "capital" in p} == every - {e.prompt for e in measured.examples}


def rows(name: str, count: int) -> list[Encoded]:
    return [Encoded(f"{name}{n}", (1,) * (n + 2), (1,) * (n + 2)) for n in range(count)]


def test_every_step_has_rows_of_both_streams_and_epochs_are_the_firsts() -> None:
    joined = Joined(Stream(rows("r", 5), 3, 0, 0), Stream(rows("o", 7), 2, 0, 0))
    for step in range(4):
        ids = [joined.encoded[k].id for k in joined.rows(step)]
        assert [i[0] for i in ids] == ["r", "r", "r", "o", "o"]
        assert sorted(i for b in joined.batches(step, micro_batch=2) for i in b.ids) == sorted(ids)
        halves = [i for rank in (0, 1) for b in joined.batches(step, None, rank, 2) if not b.idle for i in b.ids]
        assert sorted(halves) == sorted(ids)
    assert joined.count == 5 and joined.epoch(5) == 3.0
