"""Names of columns that training sets have, and the key that reads each."""

from __future__ import annotations

from collections.abc import Iterable

from mollm_cli.data.columns import plain

READERS = {
    "prompt_field": "prompt question instruction query problem",
    "answer_field": "answer answers response output completion completions target solution generation chosen rejected",
    "input_field": "input context passage background",
    "text_field": "text story article",
    "messages_field": "messages conversations conversation dialogue dialog",
    "choices_field": "choices options",
    "system_field": "system system_prompt system_message",
    "history_field": "history chat_history",
    "reasoning": "reasoning_content reasoning thinking thought rationale chain_of_thought cot",
    "filter": "label labels kto_tag",
    "": "tools functions function_call tool_calls tool_choice images image videos audios segments rejected_response",
}
"""Plain names of columns that training sets have, by the key that reads them; "": no key does."""
KEYS = {name: key for key, names in READERS.items() for name in names.split()}
"""The same, by name."""
FILES = {"text_field": "text-file", "messages_field": "chat-file", "choices_field": "choice-file"}
"""Fields that another kind of dataset reads, with the description of a user's file of that kind."""


def file_of_another_kind(names: Iterable[str], kind: str) -> str | None:
    """The description that reads columns of these names where one of ``kind`` (as Dataset has it) lacks a field."""
    keys = {KEYS.get(plain(name)) for name in names}
    if "messages_field" in keys and kind != "chat":
        return FILES["messages_field"]
    if "choices_field" in keys and kind == "qa":
        return FILES["choices_field"]
    if kind != "qa" and {"prompt_field", "answer_field"} <= keys:
        return "qa-file"
    asks = keys & {"prompt_field", "answer_field"}
    return FILES["text_field"] if "text_field" in keys and kind != "text" and not asks else None
