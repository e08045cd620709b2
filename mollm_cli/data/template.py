"""A prompt and an answer as one text in two parts: what is given, and what is a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN = "Question: {prompt}\nAnswer: "
"""What "auto" means where the tokenizer has no chat template."""
DATE = "26 Jul 2024"
"""Llama 3's template writes today's date into every prompt: a run must read the same tomorrow."""


def is_chat(tokenizer: PreTrainedTokenizerBase, template: str) -> bool:
    """Whether ``template`` means the tokenizer's chat template."""
    return template == "auto" and bool(getattr(tokenizer, "chat_template", None))


def given_text(tokenizer: PreTrainedTokenizerBase, prompt: str, template: str) -> str:
    """The text up to where the answer begins, without spaces at its end.

    A space before the answer is the answer's: tokenizers join it to the word that follows, and in generation the model
    is asked for that same token.
    """
    return _given(tokenizer, prompt, template).rstrip(" ")


def both_texts(tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, template: str) -> tuple[str, str]:
    """(given, target): together the whole text. In a chat the target ends with the token that ends the turn.

    Raises RequestError where a chat template does not go on as its own generation prompt began.
    """
    given = given_text(tokenizer, prompt, template)
    if not (prompt and is_chat(tokenizer, template)):
        return given, (_given(tokenizer, prompt, template) + answer)[len(given) :]
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    whole = str(tokenizer.apply_chat_template(turns, tokenize=False, date_string=DATE))
    if not whole.startswith(given):
        raise RequestError(
            "the tokenizer's chat template must write a conversation that begins with its own generation prompt, found "
            "another beginning. Set data.<role>.template to a text with {prompt}, or to none"
        )
    return given, whole[len(given) :].rstrip()


def _given(tokenizer: PreTrainedTokenizerBase, prompt: str, template: str) -> str:
    if not prompt or template == "none":
        return prompt
    if is_chat(tokenizer, template):
        turn = [{"role": "user", "content": prompt}]
        return str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, date_string=DATE))
    return (PLAIN if template == "auto" else template).replace("{prompt}", prompt)
