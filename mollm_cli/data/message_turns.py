"""Messages as training sets write them, as turns: OpenAI's, Mistral's, ShareGPT's, OpenAssistant's, and pairs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mollm_cli.core.discretion import told
from mollm_cli.data.dialogue import Turn

NAMES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "ai": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "ipython": "tool", "function_call": "assistant",
}  # fmt: skip
"""Who speaks, in the spellings of OpenAI (role, content), ShareGPT (from, value) and OpenAssistant (role, text)."""
CALLS = "function_call"
"""ShareGPT's speaker of a tool call, and OpenAI's older key of one."""
WEIGHTS = ("weight", "loss", "train", "training")
"""Keys that say whether a message is a target (OpenAI, Mistral; ms-swift; axolotl)."""
REASONING = ("reasoning_content", "reasoning", "thinking")
"""Keys of what an assistant thinks before it speaks."""
HANDED = ("name", "tool_calls", "tool_call_id")
"""Keys that chat templates read besides role and content."""
UNREAD = ("refusal", "images", "image", "audio", "audios", "video", "videos", "train_detail", "prefix")
"""Keys that carry meaning and that nothing here reads."""
PARTS = ("text", "input_text", "output_text")
"""Types of parts that are text."""
OTHER_PARTS = (
    *("image", "image_url", "input_image", "audio", "input_audio", "video", "file", "refusal", "thinking", "reasoning"),
    *("tool_use", "tool_result", "document"),
)
"""Types of parts whose names may be told."""


class UnreadKeyError(ValueError):
    """A key of a message that carries meaning and that nothing reads."""

    def __init__(self, name: str, place: int) -> None:
        super().__init__(f"no {name}, found one in message {place}")
        self.name, self.place = name, place


def read_turns(messages: Any, reasoning: str | None = None, unread: Collection[str] = ()) -> tuple[Turn, ...]:
    """The turns in a list of messages, or in JSON that holds one, as a spreadsheet has it.

    reasoning: how what an assistant thinks is written before its text, with {reasoning} in it; unread: keys that are
    left out. Raises UnreadKeyError, and ValueError, whose text goes on after "must hold".
    """
    if isinstance(messages, str):
        with contextlib.suppress(ValueError, RecursionError):
            messages = json.loads(messages)
    if not isinstance(messages, list | tuple):
        raise ValueError(f"a list of messages, found {type(messages).__name__}")
    turns = tuple(_turn(message, place, reasoning, unread) for place, message in enumerate(messages, start=1))
    if any(turn.role == "system" for turn in turns[1:]):
        raise ValueError("its system message first, found another message before it")
    return turns


def read_history(value: Any) -> tuple[Turn, ...]:
    """Earlier turns: pairs of what the user and the assistant said, or messages. Raises ValueError as above."""
    if not value or value == "[]":
        return ()
    if not isinstance(value, list | tuple):
        raise ValueError(f"a list of earlier turns, found {type(value).__name__}")
    if isinstance(value[0], Mapping):
        return read_turns(value)
    turns = []
    for number, pair in enumerate(value, start=1):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(t, str) and t for t in pair):
            raise ValueError(
                f"pairs of two texts, the user's and the assistant's, found another value as pair {number}"
            )
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return tuple(turns)


def with_reasoning(text: str, thought: Any, reasoning: str | None) -> str:
    """``text`` with what was thought before it, where there is such a thing."""
    return (
        reasoning.replace("{reasoning}", thought) + text if reasoning and isinstance(thought, str) and thought else text
    )


def _turn(message: Any, place: int, reasoning: str | None, unread: Collection[str]) -> Turn:
    if not isinstance(message, Mapping):
        raise ValueError(f"messages with role and content, found {type(message).__name__} as message {place}")
    who = message.get("role", message.get("from"))
    name = who.strip().lower() if isinstance(who, str) else ""
    if name not in NAMES:
        raise ValueError(f"roles out of {', '.join(NAMES)}, found {told(who)} in message {place}")
    role = NAMES[name]
    more = {key: message[key] for key in HANDED if message.get(key)}
    found = next((message[key] for key in ("content", "value", "text") if key in message), None)
    if role == "assistant" and (calls := _older_calls(name, found, message.get(CALLS))):
        more["tool_calls"], found = calls, "" if name == CALLS else found
    content = _content(found, place, empty=bool(role == "assistant" and more.get("tool_calls")))
    content = with_reasoning(content, _thought(message, place, reasoning, unread), reasoning)
    more["tool_calls"] = [_spelled_out(call) for call in more.get("tool_calls") or ()]
    more = {key: value for key, value in more.items() if value}
    return Turn(role, content, _weighed(message, place), _as_json(more, place) if more else "")


def _as_json(more: Mapping[str, Any], place: int) -> str:
    try:
        return json.dumps(more, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"tool calls that JSON can write, found other ones in message {place}") from problem


def _thought(message: Mapping[str, Any], place: int, reasoning: str | None, unread: Collection[str]) -> Any:
    """The reasoning in a message, None without any. Raises UnreadKeyError where nobody said what becomes of it."""
    for name in (*REASONING, *UNREAD):
        if message.get(name) and name not in unread and not (name in REASONING and reasoning is not None):
            raise UnreadKeyError(name, place)
    return next((message[name] for name in REASONING if message.get(name) and name not in unread), None)


def _weighed(message: Mapping[str, Any], place: int) -> bool:
    """True unless a weight says that the message is no target."""
    for key in WEIGHTS:
        value = message.get(key)
        if value is not None and value not in (0, 1):
            raise ValueError(f"a {key} of 0 or 1, found another value in message {place}")
        if value is not None and not value:
            return False
    return True


def _content(found: Any, place: int, empty: bool) -> str:
    """The text of a message: itself, or that of its parts, a line each; "" where it may be empty."""
    if isinstance(found, list | tuple):
        found = "\n".join(text for part in found if (text := _part(part, place)))
    if found is None and empty:
        return ""
    if not isinstance(found, str) or not (empty or found.strip()):
        what = "it empty" if isinstance(found, str) else type(found).__name__
        raise ValueError(f"text in every message, found {what} in message {place}")
    return found if found.strip() else ""


def _part(part: Any, place: int) -> str:
    kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
    text = part.get("text") if isinstance(part, Mapping) else part
    if kind in PARTS and isinstance(text, str):
        return text
    named = f"one of type {kind}" if kind in (*PARTS, *OTHER_PARTS) else "one of another type"
    raise ValueError(f"parts of text alone in its messages, found {named} in message {place}")


def _older_calls(who: str, found: Any, call: Any) -> list[Any]:
    """The tool call of a ShareGPT turn, or of OpenAI's key before tool_calls, as tool_calls have it."""
    if who == CALLS and isinstance(found, str):
        try:
            call = json.loads(found)
        except (ValueError, RecursionError):
            return []
    calls: Sequence[Any] = call if isinstance(call, list) else [call]
    return [{"type": "function", "function": each} for each in calls if isinstance(each, Mapping) and "name" in each]


def _spelled_out(call: Any) -> Any:
    """A tool call whose arguments are an object, as templates write them, and no text that holds one."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}
    except (ValueError, RecursionError):
        return call
