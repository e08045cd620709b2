"""One tokenizer as the data sees it: prompts and answers in, token ids and labels out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE, Encoded, Example, Role
from mollm_cli.data.apart import apart
from mollm_cli.data.prompt_template import both_texts, given_text, is_chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ANCHORS = ("\n", ":", ".", "0")
"""Texts that another can follow as a continuation, so that no tokenizer puts its leading space before it."""


@dataclass(frozen=True)
class Encoder:
    """One tokenizer, and how it turns a prompt and an answer into ids.

    No special token is assumed: what the tokenizer puts before a text (OPT </s>, Llama <s>, others nothing) is found by
    asking it once. The ids before the first target are always ``prompt_ids(prompt)``, so a model is trained and asked
    on the same tokens. Raises RequestError where the tokenizer has no end token.
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

    @property
    def pad_id(self) -> int:
        """The token that fills up batches: the padding token, or else the end token (masks come from lengths)."""
        pad, end = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        return int(end if pad is None else pad)

    def end_ids(self, template: str) -> list[int]:
        """The tokens at which a generation is over: the end token, and in a chat the one that ends a turn."""
        turn_end = self.target_ids("a", "a", template, self.prompt_ids("a", template))[-1]
        return sorted({int(self.tokenizer.eos_token_id), turn_end})

    def prompt_ids(self, prompt: str, template: str) -> list[int]:
        """The ids a generation starts from; of an empty prompt whatever the tokenizer begins every text with."""
        text = given_text(self.tokenizer, prompt, template)
        return self._lead(prompt, template) + self._ids(text)

    def asking(self, prompts: Sequence[str], template: str, key: str) -> tuple[list[list[int]], list[int]]:
        """(the ``prompt_ids`` of each, the ``end_ids``), within limits; ``key`` names whose they are, for messages."""

        def both() -> Iterator[list[int]]:
            yield self.end_ids(template)
            yield from (self.prompt_ids(prompt, template) for prompt in prompts)

        ends, *ids = apart(self.tokenizer, key, prompts, both)
        return ids, ends

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
        given = self.prompt_ids(prompt, template)
        room = max_tokens - len(given)
        if room < 1:
            raise RequestError(
                f"data.{role}.max_tokens must leave room for an answer, found {max_tokens} and a prompt of "
                f"{len(given)} tokens in row '{id}'. Set data.{role}.max_tokens={len(given) + 64}, or remove the row"
            )
        target = self.target_ids(prompt, answer, template, given)[:room]
        labels = [IGNORE] * len(given) + target
        return Encoded(id, tuple(given + target), (IGNORE, *labels[1:]))

    def text_ids(self, text: str) -> tuple[list[int], list[int]]:
        """(what the tokenizer puts before every text, the ids of a plain text and its end token)."""
        given = self.prompt_ids("", "none")
        return given, self.target_ids("", text, "none", given)

    def target_ids(self, prompt: str, answer: str, template: str, given: list[int]) -> list[int]:
        """The ids that follow ``given`` (which is ``prompt_ids(prompt)``), end token included.

        Taken from the joined text, where a word keeps the space before it; where a token straddles the boundary, the
        answer is tokenized by itself, as the continuation of a text.
        """
        before, after = both_texts(self.tokenizer, prompt, answer, template)
        joined = self._lead(prompt, template) + self._ids(before + after)
        target = joined[len(given) :] if joined[: len(given)] == given else self._continued(after)
        ends = target and prompt and is_chat(self.tokenizer, template) and target[-1] in self._special
        return target if ends else [*target, int(self.tokenizer.eos_token_id)]

    def _lead(self, prompt: str, template: str) -> list[int]:
        """The tokens that begin every text; a chat template writes them itself."""
        return [] if prompt and is_chat(self.tokenizer, template) else self._leading

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
    def _special(self) -> frozenset[int]:
        return frozenset(self.tokenizer.all_special_ids) | frozenset(
            token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special
        )

    def _ids(self, text: str) -> list[int]:
        return [int(token) for token in self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
