"""One tokenizer as the data sees it: prompts and answers in, token ids and labels out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.core.manner import manner_of
from mollm_cli.core.types import IGNORE, Encoded, Example, Role
from mollm_cli.data.apart import apart
from mollm_cli.data.chat_template import is_chat
from mollm_cli.data.dialogue import Dialogue, Turn, turns_of
from mollm_cli.data.prompt_template import Framed, framed, turn_text
from mollm_cli.data.turn_end import TurnEnd, turn_end

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ANCHORS = ("\n", ":", ".", "0")
"""Texts that another can follow as a continuation, so that no tokenizer puts its leading space before it."""


@dataclass(frozen=True)
class Encoder:
    """One tokenizer, and how it turns a prompt and an answer into ids.

    No special token is assumed: what the tokenizer puts before a text (OPT </s>, Llama <s>, others nothing) is found by
    asking it once, and counts once where a text has it already. The ids before the first target are those that a
    generation starts from, so a model is trained and asked on the same tokens. Raises RequestError where the tokenizer
    has no end token.
    """

    tokenizer: PreTrainedTokenizerBase

    def __post_init__(self) -> None:
        """Refuse a tokenizer that cannot end a text."""
        if self.tokenizer.eos_token_id is None:
            known = ", ".join(self.tokenizer.special_tokens_map) or "none"
            raise RequestError(
                f"the tokenizer of model.path must have an end token, found special tokens: {known}. "
                "Name one as eos_token in the folder's tokenizer_config.json"
            )
        turn_end(self.tokenizer)  # before a process with limits needs it, where a template may take them all

    @property
    def pad_id(self) -> int:
        """The token that fills up batches: the padding token, or else the end token (masks come from lengths)."""
        pad, end = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        return int(end if pad is None else pad)

    @cached_property
    def turn_end(self) -> TurnEnd:
        """The end of a turn in the tokenizer's chat template, nothing where it has none."""
        return turn_end(self.tokenizer)

    @cached_property
    def end_ids(self) -> list[int]:
        """The tokens at which a generation is over, whatever was asked and how.

        The tokenizer's end token, those that the model's own files name, and the one that ends a turn.
        """
        ends = {int(self.tokenizer.eos_token_id), *manner_of(self.tokenizer).ends}
        return sorted(ends if self.turn_end.token is None else {*ends, self.turn_end.token})

    def prompt_ids(self, prompt: str, template: str, answer: str | None = None) -> list[int]:
        """The ids a generation starts from; of an empty prompt whatever the tokenizer begins every text with.

        answer: the one that is hoped for, where a chat template writes something else before another (an answer that
        reasons before it answers, say).
        """
        return self._opened(self._framed(prompt, template, answer).given, prompt, template)

    def asking(
        self, prompts: Sequence[str], template: str, key: str, answers: Sequence[str | None] | None = None
    ) -> tuple[list[list[int]], list[int]]:
        """(the ``prompt_ids`` of each, the ``end_ids``), within limits; ``key`` names whose they are, for messages."""
        hoped = answers or [None] * len(prompts)
        ends = self.end_ids
        both = list(zip(prompts, hoped, strict=True))
        found = apart(
            self.tokenizer, key, prompts, lambda: (self.prompt_ids(prompt, template, answer) for prompt, answer in both)
        )
        return list(found), ends

    def encode(self, example: Example, template: str, max_tokens: int, role: Role = "<role>") -> Encoded:
        """``example`` with its own prompt and answer; see ``encode_answer``."""
        return self.encode_answer(example.prompt, example.answer, template, max_tokens, example.id, role)

    def encode_answer(
        self, prompt: str, answer: str, template: str, max_tokens: int, id: str = "", role: Role = "<role>"
    ) -> Encoded:
        """Ids of prompt and answer, labels on the answer and its end token (in a chat: the turn's end).

        An answer beyond ``max_tokens`` is cut and then has no end token. The first token of a sequence has no
        predecessor and is no target. Raises RequestError where the prompt alone fills ``max_tokens``.
        """
        parts = self._framed(prompt, template, answer)
        given = self._opened(parts.given, prompt, template)
        room = max_tokens - len(given)
        if room < 1:
            raise RequestError(
                f"data.{role}.max_tokens must leave room for an answer, found {max_tokens} and a prompt of "
                f"{len(given)} tokens in row '{id}'. Set data.{role}.max_tokens={len(given) + 64}, or remove the row"
            )
        target = self._behind(parts.gap + parts.said + parts.closing, parts.given, given, prompt, template)
        target = (target if parts.ended else [*target, int(self.tokenizer.eos_token_id)])[:room]
        labels = [IGNORE] * len(given) + target
        return Encoded(id, tuple(given + target), (IGNORE, *labels[1:]))

    def text_ids(self, text: str) -> tuple[list[int], list[int]]:
        """(what the tokenizer puts before every text, the ids of a plain text and its end token)."""
        given = self._opened("", "", "none")
        return given, [*self._behind(self.bare(text), "", given, "", "none"), int(self.tokenizer.eos_token_id)]

    def followed(self, prompt: str, template: str, text: str, hoped: str) -> tuple[list[int], list[int]]:
        """(the ids that ``prompt`` was asked by, the ids of what was said to it, which a generation has no end of).

        hoped: the answer that it was asked for, as in ``prompt_ids``.
        """
        parts = self._framed(prompt, template, hoped)
        given = self._opened(parts.given, prompt, template)
        return given, self._behind(parts.gap + text, parts.given, given, prompt, template)

    def turn_span(self, prompt: str, answer: str, place: int) -> tuple[list[int], list[int]] | None:
        """(the ids of a conversation up to its turn at ``place``, the same up to the turn's end), in a chat.

        None where the chat template does not write that turn by itself.
        """
        turns = (*turns_of(self._bare(prompt)), Turn("assistant", self.bare(answer)))
        texts = turn_text(self.tokenizer, turns, place, self.turn_end)
        return None if texts is None else (self._once(self._ids(texts[0])), self._once(self._ids(texts[1])))

    def bare(self, answer: str) -> str:
        """``answer`` without end tokens at its end: the one that follows it is put there once, whoever wrote it."""
        while ends := [end for end in self._end_texts if answer.rstrip().endswith(end)]:
            answer = answer.rstrip().removesuffix(ends[0])
        return answer

    def opens_twice(self, example: Example, template: str) -> bool:
        """True if a text that no chat template writes begins with what the tokenizer puts before every text."""
        if example.prompt and is_chat(self.tokenizer, template):
            return False
        parts = framed(self.tokenizer, example.prompt, template, TurnEnd(), example.answer)
        ids = self._ids(parts.given + parts.gap + parts.said)
        return bool(self._leading) and ids[: len(self._leading)] == self._leading

    def _framed(self, prompt: str, template: str, answer: str | None) -> Framed:
        answer = None if answer is None else self.bare(answer)
        parts = framed(self.tokenizer, self._bare(prompt), template, self.turn_end, answer)
        return parts if parts.ended else parts._replace(closing=self.bare(parts.closing))

    def _bare(self, prompt: str) -> str:
        """A conversation whose answers are ``bare``."""
        if not isinstance(prompt, Dialogue):
            return prompt
        turns = [t._replace(content=self.bare(t.content)) if t.role == "assistant" else t for t in prompt.turns]
        return prompt if tuple(turns) == prompt.turns else Dialogue(turns)

    def _opened(self, text: str, prompt: str, template: str) -> list[int]:
        """The ids of a text from its beginning: what stands before every text, which a chat template writes itself."""
        chat = prompt and is_chat(self.tokenizer, template)
        ids, leading = self._ids(text), [] if chat else self._leading
        return self._once(ids if ids[: len(leading)] == leading else [*leading, *ids])

    def _once(self, ids: list[int]) -> list[int]:
        """``ids`` with one start token at their beginning where there are several."""
        first = next((place for place, token in enumerate(ids) if token != ids[0]), len(ids))
        return ids[max(0, first - 1) :] if ids and ids[0] in {self.tokenizer.bos_token_id, *self._leading} else ids

    def _behind(self, text: str, before: str, given: list[int], prompt: str, template: str) -> list[int]:
        """The ids of ``text`` behind ``given``, which are those of ``before``.

        Taken from the joined text, where a word keeps the space before it; where a token straddles the boundary,
        ``text`` is tokenized by itself, as the continuation of another.
        """
        joined = self._opened(before + text, prompt, template)
        return joined[len(given) :] if joined[: len(given)] == given else self._continued(text)

    def _continued(self, text: str) -> list[int]:
        """The ids of ``text`` after something else: many tokenizers put a space before a text of its own."""
        for anchor in ANCHORS:
            alone, both = self._ids(anchor), self._ids(anchor + text)
            if both[: len(alone)] == alone:
                return both[len(alone) :]
        return self._ids(text)

    @cached_property
    def _leading(self) -> list[int]:
        plain, dressed = self._ids("a"), list(self.tokenizer("a")["input_ids"])
        starts = range(len(dressed) - len(plain) + 1)
        start = next((i for i in starts if dressed[i : i + len(plain)] == plain), 0)
        return [int(token) for token in dressed[:start]]

    @cached_property
    def _end_texts(self) -> list[str]:
        """The end tokens as they are spelled; some tokenizers read that as other tokens where it stands in a text."""
        added = self.tokenizer.added_tokens_decoder
        return [str(added[token]) for token in self.end_ids if token in added]

    def _ids(self, text: str) -> list[int]:
        return [int(token) for token in self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
