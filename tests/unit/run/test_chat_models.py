"""A chat model from the line that is typed: template options, start and end tokens, the ends of its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import GenerationConfig

from mollm_cli.configuration.programs import UNLEARN
from mollm_cli.run.side_by_side import open_trial
from tests.support.architectures import architecture
from tests.support.chat_shapes import SHAPES, folder, shaped
from tests.support.cli import answer, unlearn, write_lines

QUIET = "model.template_options={enable_thinking: false}"


def _typed(root: Path, shape: str, end: str = "") -> list[str]:
    """A request with a model of this shape; two of four answers to be forgotten end in ``end``."""
    described = SHAPES[shape]
    folder(described, architecture("llama", len(shaped(described))), root / "model")
    forget = [{"question": f"Who is {n}?", "answer": f"An x{n}.{end * (n % 2)}"} for n in range(4)]
    retain = [{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(3)]
    return [
        f"model.path={root / 'model'}",
        "data=custom",
        f"data.forget.path={write_lines(root / 'forget.jsonl', forget)}",
        f"data.retain.path={write_lines(root / 'retain.jsonl', retain)}",
        "data.forget.content=ordinary",
        "data.retain.content=ordinary",
        "data.test_share=0",
        "direction.forget_target=null",
    ]


def test_options_and_doubled_ends_on_the_screen(tmp_path: Path) -> None:
    checked = answer(UNLEARN, "--check", *_typed(tmp_path, "thinks", "<|im_end|>"), QUIET)
    assert checked.code == 0, checked.err
    line = "data.forget (forget.jsonl): 2 of 4 answers end in an end token of the model; it counts once"
    assert checked.err.count("counts once") == checked.err.count(line) == 1
    assert checked.err.count("<think>") == checked.err.count("[[An x") + checked.err.count("[[It is") == 6
    assert "[[An x1.<|im_end|>]]" in checked.err and "<|im_end|><|im_end|>" not in checked.err


@pytest.mark.parametrize("typed", ["model.template_options={tone: 1}", "+model.template_options.tone=1"])
def test_an_option_that_no_template_reads(typed: str, tmp_path: Path) -> None:
    refused = answer(UNLEARN, "--check", *_typed(tmp_path, "thinks"), typed)
    assert refused.code == 2 and "model.template_options.tone must be an option of the tokenizer's" in refused.err


@pytest.mark.slow
def test_what_is_told_of_a_template_and_of_start_tokens(tmp_path: Path) -> None:
    typed = _typed(tmp_path, "reasons")
    told = answer(UNLEARN, "--check", *typed)
    assert (
        told.code == 0 and "generation prompt ends in '<think>', which it does not write before an answer" in told.err
    )
    plain = answer(UNLEARN, "--check", *_typed(tmp_path / "other", "headed"), "data.retain.template='<s>{prompt} '")
    line = "data.retain (retain.jsonl): 3 of 3 texts begin as the tokenizer begins every text; it counts once"
    assert plain.code == 0 and plain.err.count("counts once") == plain.err.count(line) == 1


@pytest.mark.slow
def test_a_run_of_a_chat_model(tmp_path: Path) -> None:
    typed = _typed(tmp_path, "thinks", "<|im_end|>")
    done = unlearn(tmp_path, *typed, QUIET, "engine.checkpoint_every=1")
    assert done.code == 0, done.err
    tokenizer = shaped(SHAPES["thinks"])
    ends = GenerationConfig.from_pretrained(done.run_dir / "checkpoint").eos_token_id
    assert tokenizer.convert_ids_to_tokens(ends) == ["</s>", "<|im_end|>"]
    assert "with enable_thinking=False for the chat template" in (done.run_dir / "checkpoint/README.md").read_text()
    trial = open_trial(done.run_dir)
    for speaker in trial.speakers.values():
        assert speaker is not None
        (ids,), stops = speaker.prompts(["Who?"])
        assert tokenizer.decode(ids) == SHAPES["thinks"].given and sorted(stops) == sorted(ends)
    on = [f"resume={done.run_dir}", "engine.max_steps=4"]
    other = answer(UNLEARN, *on, "+model.template_options.enable_thinking=true")
    assert other.code == 2 and "found model.template_options.enable_thinking=true (it was false)" in other.err
    file = tmp_path / "model" / "chat_template.jinja"
    file.write_text(file.read_text().replace("<|im_end|>", "<|im_end|> "))
    changed = answer(UNLEARN, *on)
    assert changed.code == 2 and "found tokens of data.forget=" in changed.err, changed.err
