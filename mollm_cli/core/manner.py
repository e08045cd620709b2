"""The manner in which one model is spoken to, kept with its tokenizer, which every rendering has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NAME = "mollm_manner"


@dataclass(frozen=True, slots=True)
class Manner:
    """Options of the chat template, and the end tokens of the model's own files.

    options: ``model.template_options``. ends: the ids in eos_token_id of generation_config.json and config.json.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    ends: tuple[int, ...] = ()


def give_manner(tokenizer: Any, manner: Manner) -> None:
    """Keep ``manner`` with ``tokenizer``: forks and copies have it, files that it saves do not."""
    setattr(tokenizer, _NAME, manner)


def manner_of(tokenizer: Any) -> Manner:
    """The manner that was given to ``tokenizer``, else that of a model that says nothing."""
    found = getattr(tokenizer, _NAME, None)
    return found if isinstance(found, Manner) else Manner()
