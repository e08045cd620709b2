"""The end of a turn in a chat template: found by rendering what comes after an answer."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from mollm_cli.core.bounded import bounded
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manner import manner_of
from mollm_cli.data.chat_template import WORD, is_chat, written
from mollm_cli.data.dialogue import Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ASKED, SAID, NEXT, RULES = "Zqask", "Zqsay", "Zqnext", "Zqrules"
"""Stand-ins for a question, its answer, the next question and a system prompt, by which they are found again."""
GIVEN = frozenset({"messages", "tools", "documents", "add_generation_prompt", "strftime_now", "raise_exception"})
"""Words of a template that are no options: what transformers hands in."""


class TurnEnd(NamedTuple):
    """The tokens that a chat template writes behind an answer.

    after: all that follows the last answer of a conversation; None where no answer of ours was found again.
    closing: what is between an answer and the end of its turn, the end's token included; "" without such a token.
    token: that token. headless: whether an answer stands elsewhere than behind the generation prompt. beyond: what the
    generation prompt has that is not written before an answer. twice: whether a conversation has two start tokens.
    """

    after: str | None = None
    closing: str = ""
    token: int | None = None
    headless: bool = False
    beyond: str = ""
    twice: bool = False


_FOUND: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[str, TurnEnd]] = WeakKeyDictionary()


def turn_end(tokenizer: PreTrainedTokenizerBase) -> TurnEnd:
    """The end of a turn in the tokenizer's chat template, looked for once; of nothing where there is no template.

    Raises RequestError where ``model.template_options`` names what the template does not read.
    """
    _check_options(tokenizer)
    if not is_chat(tokenizer, "auto"):
        return TurnEnd()
    state = repr((tokenizer.chat_template, manner_of(tokenizer)))
    known = _FOUND.get(tokenizer)
    if known is None or known[0] != state:
        known = _FOUND[tokenizer] = (state, _looked_for(tokenizer))
    return known[1]


def _looked_for(tokenizer: PreTrainedTokenizerBase) -> TurnEnd:
    what = "the tokenizer's chat template: writing three short turns"
    try:
        return TurnEnd(*bounded(what, lambda: _find(tokenizer), "Set data.ROLE.template=none", tells=False))
    except RequestError:
        return TurnEnd()  # a row that is to be written so is refused for itself; others need no chat template


def _check_options(tokenizer: PreTrainedTokenizerBase) -> None:
    """An option is a word of the template, and no name of what every template is given."""
    options = manner_of(tokenizer).options
    words = {*WORD.findall(str(getattr(tokenizer, "chat_template", None) or ""))} - GIVEN if options else set()
    for name in options:
        if name not in words:
            close = difflib.get_close_matches(name, sorted(words), n=1, cutoff=0.75)
            remedy = f"did you mean {close[0]}?" if close else f"leave it out: '~model.template_options.{name}'"
            found = "no such word in it" if words else "a tokenizer without one"
            raise RequestError(
                f"model.template_options.{name} must be an option of the tokenizer's chat template, found {found}; "
                f"{remedy}"
            )


def _find(tokenizer: PreTrainedTokenizerBase) -> TurnEnd:
    alone = _parts(tokenizer, (Turn("user", ASKED), Turn("assistant", SAID)), (SAID,))
    if alone is None:
        return TurnEnd()
    before, after = alone
    prompt = _text(tokenizer, (Turn("user", ASKED),), add_generation_prompt=True) or ""
    headless = not (before.startswith(prompt.rstrip()) or prompt.startswith(before.rstrip()))
    beyond = "" if headless else prompt[len(before.rstrip()) :].strip()
    last = _first_end(tokenizer, after)
    turns = (Turn("user", ASKED), Turn("assistant", SAID), Turn("user", NEXT))
    followed = _parts(tokenizer, turns, (ASKED, SAID, NEXT))
    token, closing = _chosen(tokenizer, last, followed)
    start, following = [*_ids(tokenizer, before)[:2], None, None][:2]
    twice = start == following == tokenizer.bos_token_id is not None
    return TurnEnd(after, closing, token, headless, beyond, twice)


def _chosen(
    tokenizer: PreTrainedTokenizerBase, last: tuple[int, str] | None, followed: Sequence[str] | None
) -> tuple[int | None, str]:
    """(the token that ends a turn, what is written up to it): what comes before a next turn, in doubt what comes last.

    last: the first end behind an answer that nothing follows. followed: the text around and between three turns.
    """
    between = None if followed is None else _first_end(tokenizer, followed[2])
    if followed is None or between is None:
        return last or (None, "")
    if last is None:
        return between if between[0] in _stops(tokenizer) or not _of_head(tokenizer, followed) else (None, "")
    if last[0] == between[0] or (last[0] in _stops(tokenizer) and between[0] not in _stops(tokenizer)):
        return last
    return between


def _of_head(tokenizer: PreTrainedTokenizerBase, followed: Sequence[str]) -> bool:
    """True if all tokens between an answer and the next question stand before a conversation's first question too."""
    head, between = _ids(tokenizer, followed[0]), _ids(tokenizer, followed[2])
    return head[-len(between) :] == between


def _stops(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokens at which the model ends a text by its own files."""
    return {int(tokenizer.eos_token_id), *manner_of(tokenizer).ends}


def _first_end(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, str] | None:
    """(token, ``text`` up to and with it) of the first token that is no text of a person's; None without one."""
    added = tokenizer.added_tokens_decoder
    stops, special = _stops(tokenizer), set(tokenizer.all_special_ids)
    for token in _ids(tokenizer, text):
        if token in stops or token in special or token in added:
            content = str(added[token]) if token in added else str(tokenizer.convert_ids_to_tokens(token))
            place = text.find(content)
            if content.strip() and place >= 0:
                return token, text[: place + len(content)]
    return None


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return [int(token) for token in tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]


def _parts(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], contents: Sequence[str]
) -> tuple[str, ...] | None:
    """The text around and between ``contents``, which stand in it in this order; None where they do not."""
    text = _text(tokenizer, turns)
    parts = []
    for content in contents:
        before, found, text = (text or "").partition(content)
        if not found:
            return None
        parts.append(before)
    return (*parts, text or "")


def _text(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], add_generation_prompt: bool = False) -> str | None:
    """The text of ``turns``, under a system prompt where the template does not take them alone; None: nor so."""
    for opening in ((), (Turn("system", RULES),)):
        try:
            return written(tokenizer, (*opening, *turns), add_generation_prompt)
        except RequestError:
            continue
    return None
