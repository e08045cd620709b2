"""Values as people read them: numbers, names, text from data, and the verdict in words."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

NONE = "–"
"""What stands where there is no value."""

_NAMES = {"rouge_l": "ROUGE-L", "learning_rate": "learning rate", "forward_kl": "forward KL"}
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn"}
"""Unicode categories that may move a cursor, reverse the reading order or be no character at all."""


def printable(text: object, one_line: bool = False) -> str:
    """``text`` without control, format and surrogate characters; line breaks stay unless ``one_line``."""
    characters = (c if c in "\n\t" or unicodedata.category(c) not in _UNSAFE else "" for c in str(text))
    clean = "".join(characters)
    return " ".join(clean.split()) if one_line else clean


def excerpt(text: object, most: int = 600) -> str:
    """``text`` printable, cut after ``most`` characters with an ellipsis."""
    clean = printable(text)
    return clean if len(clean) <= most else clean[:most].rstrip() + " …"


def number(value: object) -> str:
    """A number in about three significant digits: 0.981, 23.0, 1,204, 2.0e-05; NONE for what is no number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return NONE
    size = abs(value)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if isinstance(value, int) or size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}" if size >= 0.0005 else f"{value:.1e}" if size else "0"


def finite(value: object) -> float | None:
    """``value`` as a float where it is a finite number, else None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def label(name: str) -> str:
    """A snake_case name as words: unlearning_cross_entropy -> unlearning cross entropy, rouge_l -> ROUGE-L."""
    return printable(_NAMES.get(name) or name.replace("_", " "), one_line=True)


def size(count: object) -> str:
    """Bytes as people read them: 1536 -> 1.5 KiB."""
    amount = finite(count)
    if amount is None:
        return NONE
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GiB"


def duration(seconds: object) -> str:
    """Seconds as people read them: 75 -> 1 min 15 s."""
    amount = finite(seconds)
    if amount is None:
        return NONE
    if amount < 60:
        return f"{amount:.1f} s"
    whole = round(amount)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def yardstick_name(metrics: Mapping[str, Any]) -> str:
    """What the forget side is held against: "the oracle", "rows never seen" (holdout), or "" where there is nothing."""
    kind = "oracle" if metrics.get("oracle") else metrics.get("yardstick")
    return {"oracle": "the oracle", "holdout": "rows never seen"}.get(str(kind), "")


def verdict_words(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The verdict's three parts in words, keyed forget, retain, robustness; what is not recorded reads "unknown"."""
    verdict = metrics.get("verdict") or {}
    against = yardstick_name(metrics)
    forget = {
        "matched": f"matched {against}",
        "under": f"forgot less than {against}",
        "over": f"forgot more than {against}",
        "unknown": f"close to {against}, too few rows to be sure" if against else "unknown, nothing to hold it against",
    }
    found = verdict.get("forget") or "unknown"
    return {
        "forget": forget.get(found) or printable(found, one_line=True),
        "retain": printable(verdict.get("retain") or "unknown", one_line=True),
        "robustness": printable(verdict.get("robustness") or "untested", one_line=True),
    }


def verdict_line(metrics: Mapping[str, Any]) -> str:
    """The verdict in one line: "forget: matched the oracle; retain: kept; robustness: untested"."""
    return "; ".join(f"{part}: {words}" for part, words in verdict_words(metrics).items())


def headline(metrics: Mapping[str, Any]) -> str:
    """The verdict as one plain sentence: "It forgot as far as the oracle, and kept the rest."."""
    verdict = metrics.get("verdict") or {}
    against = yardstick_name(metrics)
    forget, retain = verdict.get("forget"), verdict.get("retain")
    if not against and forget in (None, "unknown") and retain in (None, "unknown"):
        return "The model was measured; there is nothing to hold it against."
    unknown = f"It came close to {against}, by too few rows to be sure" if against else "How far it forgot is unknown"
    first = {
        "matched": f"It forgot as far as {against}",
        "under": f"It forgot less than {against}",
        "over": f"It forgot more than {against}",
    }.get(str(forget), unknown)
    if retain not in ("kept", "damaged"):
        return f"{first}; what became of the rest is unknown."
    link = "and" if (forget == "matched") == (retain == "kept") else "but"
    return f"{first}, {link} {retain} the rest."
