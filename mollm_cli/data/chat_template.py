"""Chat templates, which are programs of strangers: a conversation in, its text out, the same text on every day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from mollm_cli.core.discretion import cause, origin
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manner import manner_of
from mollm_cli.data.dialogue import Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORD = re.compile(r"\w+")
JINJA = "No filter test named object dict list str has no attribute element is undefined"
"""Words of Jinja's own messages."""
NOW = datetime(2024, 7, 26)
"""The time that a template which asks for it is told: a run must read the same tomorrow."""
DATE = "26 Jul 2024"
"""The same for templates that take a date_string, as Llama 3's does."""


def is_chat(tokenizer: PreTrainedTokenizerBase, template: str) -> bool:
    """True if ``template`` means the tokenizer's chat template."""
    return template == "auto" and bool(getattr(tokenizer, "chat_template", None))


def written(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], add_generation_prompt: bool = False) -> str:
    """The text of ``turns``, under ``model.template_options``. Raises RequestError where the template refuses them."""
    import jinja2

    found = ", ".join(turn.role for turn in turns)
    remedy = (
        "Set data.<role>.system=null where it knows no system prompt, or data.<role>.template to a text with {prompt}, "
        "or to none"
    )
    try:
        with _stopped_clock():
            return str(
                tokenizer.apply_chat_template(
                    [turn.message() for turn in turns],
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    **{"date_string": DATE, **manner_of(tokenizer).options},
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


class _Stopped(datetime):
    """A clock that always shows NOW."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _Stopped:
        return cls(*NOW.timetuple()[:6], tzinfo=tz)


@contextmanager
def _stopped_clock() -> Iterator[None]:
    """Within the block ``strftime_now`` of chat templates shows NOW: transformers lets nobody hand in another."""
    from transformers.utils import chat_template_utils

    real = chat_template_utils.datetime
    chat_template_utils.datetime = _Stopped
    try:
        yield
    finally:
        chat_template_utils.datetime = real


def _own_words(problem: Exception, tokenizer: PreTrainedTokenizerBase) -> str:
    """The words with which a template refuses, if all of them are the template's own; others may come from a row."""
    own = {*WORD.findall(str(tokenizer.chat_template)), *WORD.findall(JINJA)}
    return str(problem) if own.issuperset(WORD.findall(str(problem))) else cause(problem)
