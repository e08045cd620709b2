"""A prompt and an answer as one text in two parts: what is given, and what is a target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mollm_cli.core.discretion import cause, origin
from mollm_cli.core.errors import RequestError
from mollm_cli.data.dialogue import Turn, split_begun

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN = "Question: {prompt}\nAnswer: "
"""The template that "auto" stands for if the tokenizer has no chat template."""
BETWEEN = "\n\n"
"""The text between the turns of a conversation if no chat template writes it."""
WORD = re.compile(r"\w+")
JINJA = "No filter test named object dict list str has no attribute element is undefined"
"""Words of Jinja's own messages."""
DATE = "26 Jul 2024"
"""Llama 3's template writes today's date into every prompt: a run must read the same tomorrow."""


def is_chat(tokenizer: PreTrainedTokenizerBase, template: str) -> bool:
    """True if ``template`` means the tokenizer's chat template."""
    return template == "auto" and bool(getattr(tokenizer, "chat_template", None))


def given_text(tokenizer: PreTrainedTokenizerBase, prompt: str, template: str) -> str:
    """The text up to where the answer begins, without spaces at its end.

    A space before the answer is the answer's: tokenizers join it to the word that follows, and in generation the model
    is asked for that same token. Raises RequestError as ``both_texts``.
    """
    return _given(tokenizer, prompt, template).rstrip(" ")


def both_texts(tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, template: str) -> tuple[str, str]:
    """(given, target): together the whole text. In a chat the target ends with the token that ends the turn.

    Raises RequestError where a chat template refuses the turns, does not go on as its own generation prompt began, or
    does not write the answer.
    """
    given = given_text(tokenizer, prompt, template)
    if not (prompt and is_chat(tokenizer, template)):
        return given, (_given(tokenizer, prompt, template) + answer)[len(given) :]
    turns, begun = split_begun(prompt)
    whole = _written(tokenizer, [*turns, Turn("assistant", f"{begun.lstrip()}{answer}")])
    if not whole.startswith(given):
        raise RequestError(
            "the tokenizer's chat template must write a conversation that begins with its own generation prompt, found "
            "another beginning. Set data.<role>.template to a text with {prompt}, or to none"
        )
    target = whole[len(given) :].rstrip()
    if answer.strip() not in target:
        raise RequestError(
            "the tokenizer's chat template must write the answer as it is, found it changed. "
            "Set data.<role>.template to a text with {prompt}, or to none"
        )
    return given, target


def _given(tokenizer: PreTrainedTokenizerBase, prompt: str, template: str) -> str:
    if not prompt:
        return prompt
    turns, begun = split_begun(prompt)
    if is_chat(tokenizer, template):
        text, begun = _written(tokenizer, turns, add_generation_prompt=True), begun.lstrip()
    else:
        text = _plain(turns, "{prompt}" if template == "none" else PLAIN if template == "auto" else template)
    return f"{text}{begun}"


def _plain(turns: Sequence[Turn], template: str) -> str:
    """The turns without a chat template: every user's in ``template``, others as they are, the last one left open."""
    parts = [template.replace("{prompt}", turn.content) if turn.role == "user" else turn.content for turn in turns]
    text = ""
    for turn, part, following in zip(turns, parts, [*turns[1:], None], strict=True):
        answered = turn.role == "user" and (following is None or following.role == "assistant")
        text += part if answered else part + BETWEEN
    return text


def _written(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], add_generation_prompt: bool = False) -> str:
    import jinja2

    found = ", ".join(turn.role for turn in turns)
    remedy = (
        "Set data.<role>.system=null where it knows no system prompt, or data.<role>.template to a text with {prompt}, "
        "or to none"
    )
    try:
        return str(
            tokenizer.apply_chat_template(
                [turn._asdict() for turn in turns],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                date_string=DATE,
            )
        )
    except jinja2.TemplateError as problem:
        said = _own_words(problem, tokenizer)
        raise RequestError(
            f"the tokenizer's chat template must take the turns {found}, found: {said}. {remedy}"
        ) from origin(problem)
    except MemoryError:
        raise
    except Exception as problem:  # a template is a program: it may raise anything
        raise RequestError(
            f"the tokenizer's chat template must take the turns {found}, found {type(problem).__name__}. {remedy}"
        ) from origin(problem)


def _own_words(problem: Exception, tokenizer: PreTrainedTokenizerBase) -> str:
    """The words with which a template refuses, if all of them are the template's own; others may come from a row."""
    own = {*WORD.findall(str(tokenizer.chat_template)), *WORD.findall(JINJA)}
    return str(problem) if own.issuperset(WORD.findall(str(problem))) else cause(problem)
