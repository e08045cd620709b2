"""A prompt and an answer as one text in three parts: what is given, what is said, and what ends the turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from mollm_cli.core.errors import RequestError
from mollm_cli.data.chat_template import is_chat, written
from mollm_cli.data.dialogue import Turn, split_begun
from mollm_cli.data.turn_end import SAID, TurnEnd

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN = "Question: {prompt}\nAnswer: "
"""The template that "auto" stands for if the tokenizer has no chat template."""
BETWEEN = "\n\n"
"""The text between the turns of a conversation if no chat template writes it."""


class Framed(NamedTuple):
    """A text in parts.

    given: up to where the answer begins, without the spaces at its end. gap: these spaces, which are the answer's:
    tokenizers join one to the word that follows, and in generation the model is asked for that same token. said: the
    answer as it is written. closing: what follows up to the token that ends the turn, all that follows without one.
    ended: whether there is such a token.
    """

    given: str
    gap: str
    said: str
    closing: str = ""
    ended: bool = False


def framed(
    tokenizer: PreTrainedTokenizerBase, prompt: str, template: str, end: TurnEnd, answer: str | None = None
) -> Framed:
    """The text of ``prompt`` and ``answer``; of no answer what stands before one.

    In a chat all that the template writes before the answer is given, whether it is its generation prompt or not.
    Raises RequestError where a chat template refuses the turns, or does not write the answer.
    """
    if not (prompt and is_chat(tokenizer, template)):
        return _divided(_plain_prompt(prompt, template), answer or "")
    if end.headless:
        raise RequestError(
            "the tokenizer's chat template must write a conversation that begins with its own generation prompt, found "
            "another beginning. Set data.<role>.template to a text with {prompt}, or to none"
        )
    turns, begun = split_begun(prompt)
    begun = begun.lstrip()
    content = begun + (SAID if answer is None else answer)
    text = written(tokenizer, [*turns, Turn("assistant", content)])
    before, found = _placed(text, content, end)
    parts = _divided(before + begun, "" if answer is None else found[len(begun) :])
    if end.token is not None:
        return parts._replace(closing=end.closing, ended=True)
    closing = (end.after or "").rstrip()
    return parts._replace(closing=closing, said=parts.said if closing else parts.said.rstrip())


def turn_text(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], place: int, end: TurnEnd
) -> tuple[str, str] | None:
    """(the text of ``turns`` up to where the assistant's turn at ``place`` begins, the same up to its end).

    None where another text in its place changes more than itself. Raises RequestError where the template refuses.
    """
    marked = [*turns[:place], turns[place]._replace(content=SAID), *turns[place + 1 :]]
    text, (before, _, after) = written(tokenizer, turns), written(tokenizer, marked).partition(SAID)
    for form in _forms(turns[place].content):
        if text == before + form + after:
            closing = end.closing if after.startswith(end.closing) else ""
            return before.rstrip(" "), before + form + closing
    return None


def _forms(content: str) -> tuple[str, ...]:
    """A text as a template may write it: as it is, or without outer white space."""
    return content, content.strip(), content.lstrip(), content.rstrip()


def _divided(before: str, said: str) -> Framed:
    given = before.rstrip(" ")
    return Framed(given, before[len(given) :], said)


def _placed(text: str, content: str, end: TurnEnd) -> tuple[str, str]:
    """(what stands before ``content`` in ``text``, ``content`` as it stands there, perhaps without outer white space).

    It is looked for from the end, where what follows it is known: the words of an answer may stand elsewhere too.
    """
    for form in _forms(content):
        if end.after is not None and text.endswith(form + end.after):
            return text[: len(text) - len(form + end.after)], form
    raise RequestError(
        "the tokenizer's chat template must write the answer as it is, found it changed. "
        "Set data.<role>.template to a text with {prompt}, or to none"
    )


def _plain_prompt(prompt: str, template: str) -> str:
    """The prompt without a chat template: every user's turn in ``template``, an answer's beginning behind it."""
    if not prompt:
        return prompt
    turns, begun = split_begun(prompt)
    return _plain(turns, "{prompt}" if template == "none" else PLAIN if template == "auto" else template) + begun


def _plain(turns: Sequence[Turn], template: str) -> str:
    """The turns without a chat template: every user's in ``template``, others as they are, the last one left open."""
    parts = [template.replace("{prompt}", turn.content) if turn.role == "user" else turn.content for turn in turns]
    text = ""
    for turn, part, following in zip(turns, parts, [*turns[1:], None], strict=True):
        answered = turn.role == "user" and (following is None or following.role == "assistant")
        text += part if answered else part + BETWEEN
    return text
