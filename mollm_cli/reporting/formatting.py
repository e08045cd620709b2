"""Values for readers: numbers, names, texts from data, and the verdict in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from mollm_cli.core.endings import NOTHING
from mollm_cli.core.printable import printable
from mollm_cli.core.types import COUNTERFACTUAL

NONE = "–"
"""The sign for a missing value."""

_NAMES = {
    "rouge_l": "ROUGE-L",
    "rouge_l_f1": "ROUGE-L F1",
    "forward_kl": "forward KL",
    "mia_blind": "MIA by length alone",
    "mia_gradnorm": "MIA by gradient norm",
    "mia_loss": "MIA by loss",
    "mia_min_k": "MIA by Min-K",
    "mia_min_k_plus_plus": "MIA by Min-K++",
    "mia_reference": "MIA by reference",
    "mia_zlib": "MIA by zlib",
}
Mood = Literal["good", "bad", "open"]

MOOD_SIGN: dict[Mood, str] = {"good": "✓", "bad": "✗", "open": "○"}
"""The signs of moods, for readers to whom colour is not enough."""

_MOODS: dict[str, Mood] = {
    "matched": "good",
    "kept": "good",
    "held": "good",
    "under": "bad",
    "over": "bad",
    "damaged": "bad",
    "taught": "bad",
    "exposed": "bad",
    "recovered": "bad",
}


def excerpt(text: object, most: int = 600) -> str:
    """``text`` printable, cut to ``most`` characters and an ellipsis."""
    clean = printable(text)
    return clean if len(clean) <= most else clean[:most].rstrip() + " …"


def number(value: object) -> str:
    """A number in three digits or decimals: 0.981, 23.0, 1,204, 0.004, 2.0e-05; NONE for anything else."""
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


def span(interval: tuple[float, float] | None) -> str:
    """An interval as "0.150–0.250" ("-99.8 to -90.1" below 0); "" for None and for equal ends."""
    if interval is None:
        return ""
    low, high = map(number, interval)
    if low == high:
        return ""
    return f"{low} to {high}" if interval[0] < 0 else f"{low}–{high}"


def with_span(value: object, interval: tuple[float, float] | None) -> str:
    """A number and its interval: "0.197 (0.150–0.250)"."""
    shown = span(interval)
    return f"{number(value)} ({shown})" if shown else number(value)


def finite(value: object) -> float | None:
    """``value`` as a float if it is a finite number, else None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def label(name: str) -> str:
    """A snake_case name for readers: unlearning_cross_entropy -> unlearning cross entropy, rouge_l -> ROUGE-L."""
    return printable(_NAMES.get(name) or name.replace("_", " "), one_line=True)


def size(count: object) -> str:
    """Bytes for readers: 1536 -> 1.5 KiB."""
    amount = finite(count)
    if amount is None:
        return NONE
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GiB"


def duration(seconds: object) -> str:
    """Seconds for readers: 75 -> 1 min 15 s."""
    amount = finite(seconds)
    if amount is None:
        return NONE
    if amount < 60:
        return f"{amount:.1f} s"
    whole = round(amount)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def yardstick_name(metrics: Mapping[str, Any]) -> str:
    """The yardstick of the forget side: "the oracle", "rows never seen" (holdout) ..., or "" if there is none."""
    kind = "oracle" if metrics.get("oracle") else metrics.get("yardstick")
    return {
        "oracle": "the oracle",
        "holdout": "rows never seen",
        COUNTERFACTUAL: "the same rows under other names",
    }.get(str(kind), "")


def verdict_texts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The verdict's parts for readers, keyed forget, retain, robustness; a missing part reads "unknown"."""
    verdict = metrics.get("verdict") or {}
    against = yardstick_name(metrics)
    forget = {
        "matched": f"matched {against}",
        "under": f"forgot less than {against}",
        "over": f"forgot more than {against}",
        "exposed": f"exposed, asked otherwise it says more than before{_risen(metrics)}",
        NOTHING: "there was nothing to forget",
        "unknown": f"unknown beside {against}, {too_few(metrics, 'forget')}"
        if against
        else "unknown, nothing to hold it against",
    }
    found = verdict.get("forget") or "unknown"
    retain = verdict.get("retain") or "unknown"
    if retain == "unknown" and mapping(metrics.get("grounds")).get("retain"):
        retain = f"unknown, {too_few(metrics, 'retain', 'kl', 'answers')}"
    elif retain == "damaged" and (how := _damage(mapping(metrics.get("grounds")))):
        retain = f"damaged ({how})"
    return {
        "forget": forget.get(found) or printable(found, one_line=True),
        "retain": label(str(retain)),
        "robustness": _robustness(printable(verdict.get("robustness") or "untested", one_line=True)),
    }


def too_few(metrics: Mapping[str, Any], *parts: str) -> str:
    """The lack that keeps a part of the verdict from being known: "too few rows to be sure (about 140 would do)"."""
    grounds = [mapping(mapping(metrics.get("grounds")).get(part)) for part in parts]
    sets = [each for found in grounds for each in ([found] if "rows_needed" in found else map(mapping, found.values()))]
    needed = [rows for each in sets if (rows := finite(each.get("rows_needed"))) is not None]
    return "too few rows to be sure" + (f" (about {number(round(max(needed)))} would do)" if needed else "")


def _risen(metrics: Mapping[str, Any]) -> str:
    """The sets of probes that rose, and how far: " (probes in blanks: 12.3 times)"; "" where none is on record."""
    probes = {str(k): mapping(v) for k, v in mapping(mapping(metrics.get("grounds")).get("probes")).items()}
    told = [f"{label(name)}: {number(each.get('ratio'))} times" for name, each in probes.items() if each.get("rose")]
    return f" ({', '.join(told)})" if told else ""


def _damage(grounds: Mapping[str, Any]) -> str:
    """The grounds that lie wholly beyond their bounds: "text: 0.4 times; KL on text 0.3"."""
    found = []
    for name, each in mapping(grounds.get("retain")).items():
        bounds = mapping(each).get("bounds")
        if _beyond(mapping(each), 1, below=bounds[0] if isinstance(bounds, list) and bounds else None):
            found.append(f"{name}: {number(mapping(each).get('ratio'))} times")
    for name, each in mapping(grounds.get("kl")).items():
        if _beyond(mapping(each), 0, above=mapping(each).get("bound")):
            found.append(f"KL on {name} {number(mapping(each).get('value'))}")
    answers = mapping(grounds.get("answers"))
    if _beyond(answers, 1, below=answers.get("bound")):
        found.append(f"of plain questions {number(answers.get('value'))} answered as before")
    return "; ".join(found)


def _beyond(each: Mapping[str, Any], which: int, below: object = None, above: object = None) -> bool:
    """True if an end of the recorded interval is below, or above, what it was held against."""
    span = each.get("interval")
    end = finite(span[which]) if isinstance(span, list) and len(span) == 2 else None
    least, most = finite(below), finite(above)
    return end is not None and ((least is not None and end < least) or (most is not None and end > most))


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` where it is a mapping, else an empty one: files may hold anything."""
    return value if isinstance(value, Mapping) else {}


def _robustness(recorded: str) -> str:
    """The verdict on attacks: "recovered: quantisation_4" reads "recovered by quantisation 4"."""
    word, _, names = recorded.partition(": ")
    return f"{word} by {', '.join(map(label, names.split(', ')))}" if names else label(recorded)


def mood(part: str, metrics: Mapping[str, Any]) -> Mood:
    """The mood of a part of the verdict; on forgetting and robustness it is good only if there is a yardstick."""
    word = str((metrics.get("verdict") or {}).get(part)).partition(":")[0]
    found = _MOODS.get(word, "open")
    needs_yardstick = part in ("forget", "robustness") and not yardstick_name(metrics)
    return "open" if found == "good" and needs_yardstick else found


def verdict_line(metrics: Mapping[str, Any]) -> str:
    """The verdict in one line: "forget: matched the oracle; retain: kept; robustness: untested"."""
    return "; ".join(f"{part}: {text}" for part, text in verdict_texts(metrics).items())


def over(metrics: Mapping[str, Any], quality: float | None) -> str:
    """A warning about a model that forgot too much; "" for any other. quality: its forget_quality."""
    if (metrics.get("verdict") or {}).get("forget") != "over":
        return ""
    against = yardstick_name(metrics) or "its yardstick"
    measured = "" if quality is None else f" Its forget quality is {number(quality)}, where 1 is like the oracle."
    return (
        f"Forgetting more than {against} is no success: on these rows the model stands out from one that never saw "
        f"them, and that alone can tell which they were.{measured}"
    )


_REST = {
    "kept": "kept the rest",
    "damaged": "damaged the rest",
    "taught": "taught the rest, which is drift as well",
    "kept_on_trained_rows_only": "kept the rows it was trained on; what became of others was not measured",
}
"""The deed of a run to the rest, by its verdict."""


def nothing_to_forget(facts: Mapping[str, Any]) -> str:
    """A sentence without its stop for metrics or a manifest that say there was nothing to forget; else ""."""
    found = facts.get(NOTHING)
    if not isinstance(found, Mapping):
        return ""
    return (
        f"There was nothing to forget: before the first step the forget rows scored "
        f"{number(found.get('forget_probability'))}, at or below {number(found.get('target'))}, "
        f"{printable(found.get('of') or 'the target', one_line=True)}"
    )


def headline(metrics: Mapping[str, Any]) -> str:
    """The verdict as one plain sentence: "It forgot as far as the oracle, and kept the rest."."""
    verdict = metrics.get("verdict") or {}
    if nothing := nothing_to_forget(metrics):
        rest = _REST.get(str(verdict.get("retain")))
        return f"{nothing}; the run {rest}." if rest else f"{nothing}."
    against = yardstick_name(metrics)
    forget, retain = verdict.get("forget"), verdict.get("retain")
    if not against and forget in (None, "unknown") and retain in (None, "unknown"):
        return "The model was measured; there is nothing to hold it against."
    unknown = "How far it forgot is unknown"
    if against:
        unknown = f"Whether it forgot as far as {against} is open, {too_few(metrics, 'forget')}"
    first = {
        "matched": f"It forgot as far as {against}",
        "under": f"It forgot less than {against}",
        "over": f"It forgot more than {against}",
        "exposed": f"Asked in another manner, it says what it was to forget more readily than before{_risen(metrics)}",
    }.get(str(forget), unknown)
    recovered = str(verdict.get("robustness")).startswith("recovered")
    last = "; an attacker still gets it out." if recovered else "."
    if retain not in _REST:
        return f"{first}; what became of the rest is unknown{last}"
    if forget == "exposed":
        return f"{first}; it {_REST[retain]}{last}"
    link = ", and" if (forget == "matched") == str(retain).startswith("kept") else ", but"
    return f"{first}{'; it' if first == unknown else link} {_REST[retain]}{last}"


def markdown_text(text: object, special: str = "|<>[]`*") -> str:
    """``text`` on one line of Markdown, with a backslash before each ``special`` character, so that it stays text."""
    return "".join(f"\\{c}" if c in special else c for c in printable(text, one_line=True))
