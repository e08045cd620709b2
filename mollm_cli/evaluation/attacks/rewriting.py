"""The sets that rewrites make of the forget rows, and of holdout rows for comparison."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.data.apart import apart
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.attack_protocol import PREFIX, Attack, Rewrite

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HOLDOUT = "_holdout"
"""The ending of the name of a set made from data.holdout."""


def rewritten(
    attacks: Mapping[str, Attack],
    sets: Mapping[str, Loaded],
    limit: int | None,
    with_holdout: bool,
    tokenizer: PreTrainedTokenizerBase,
) -> dict[str, Loaded]:
    """Each rewrite's sets by name: ``attack_<name>`` of the forget rows, and ``attack_<name>_holdout`` if asked for.

    A set has the first ``limit`` rows that the attack fits. Its max_tokens is raised by as much as its prompts have
    grown, so that no answer is cut shorter than before. An attack that fits no forget row, or whose prompts the
    tokenizer's chat template refuses, is left out, and stderr says why.
    """
    made: dict[str, Loaded] = {}
    for attack in (attack for attack in attacks.values() if attack.kind == "rewrite"):
        for role, ending in (("forget", ""), ("holdout", HOLDOUT))[: 2 if with_holdout else 1]:
            if role not in sets:
                continue
            asked = _asked(attack, role, sets[role], limit, Encoder(tokenizer))
            if asked is None:
                break
            made[f"{PREFIX}{attack.name}{ending}"] = asked
    return made


def check_context(asked: Mapping[str, Loaded], tokenizer: PreTrainedTokenizerBase, context: int | None) -> None:
    """Raise RequestError, naming the attack, for rewritten rows that are longer than the model's ``context``.

    context: in tokens; None: without limit.
    """
    for name, rows in asked.items():
        encoder = Encoder(tokenizer)
        key = f"evaluation.attacks.{name.removeprefix(PREFIX).removesuffix(HOLDOUT)}"
        template, most = rows.dataset.template, rows.dataset.max_tokens
        encoded = (encoder.encode(example, template, most) for example in rows.examples)
        lengths = apart(tokenizer, key, rows.texts, partial(map, _length, encoded))
        for example, tokens in zip(rows.examples, lengths, strict=True):
            if context is not None and tokens > context:
                raise RequestError(
                    f"{key} must fit into the model's context of {context} tokens, found {tokens} in row "
                    f"'{example.id}' as it is asked there. Leave it out: '~{key}'"
                )


def _length(row: Encoded) -> int:
    return len(row.input_ids)


def _asked(attack: Rewrite, role: str, rows: Loaded, limit: int | None, encoder: Encoder) -> Loaded | None:
    asked = attack.rewrite(rows)
    if asked is None:
        _say(attack, f"data.{role} has no row for it ({attack.what})")
        return None
    asked = asked if limit is None else asked.keep(asked.examples[:limit])
    try:
        return _roomy(asked, rows, encoder)
    except RequestError as refused:
        _say(attack, f"data.{role}: {refused}")
        return None


def _roomy(asked: Loaded, rows: Loaded, encoder: Encoder) -> Loaded:
    """``asked`` with max_tokens raised by the growth of its prompts. Raises RequestError as encoding does."""
    before, after = rows.dataset.template, asked.dataset.template
    prompts = {example.id: example.prompt for example in rows.examples}

    def longest() -> Iterator[int]:
        grown = [
            len(encoder.prompt_ids(example.prompt, after)) - len(encoder.prompt_ids(prompts[example.id], before))
            for example in asked.examples
        ]
        most = asked.dataset.max_tokens + max(0, *grown)
        for example in asked.examples:
            encoder.encode(example, after, most)
        yield most

    (most,) = apart(encoder.tokenizer, "rewritten prompts", asked.texts, longest)
    return replace(asked, dataset=replace(asked.dataset, max_tokens=most))


def _say(attack: Rewrite, why: str) -> None:
    print(f"attack {attack.name} is left out: {why}", file=sys.stderr)
