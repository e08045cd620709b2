"""Names of columns that training sets have, and the key that reads each."""

from __future__ import annotations

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
