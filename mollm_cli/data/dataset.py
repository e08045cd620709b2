"""The description of one dataset: where its rows are, which fields matter, how they become text. No role in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from mollm_cli.core.types import MANNERS, Content
from mollm_cli.data.decoding import is_encoding
from mollm_cli.data.filters import check_rule

Kind = Literal["qa", "text", "chat", "choice"]
Turns = Literal["last", "every"]
AnswersFrom = Literal["rows", "model"]
NEEDED: dict[Kind, tuple[str, ...]] = {
    "qa": ("prompt_field", "answer_field"),
    "text": ("text_field",),
    "chat": ("messages_field",),
    "choice": ("prompt_field", "choices_field", "answer_field"),
}
"""The fields without which a row of a kind is none."""
Field = str | list[str] | None
"""The name of a column, or a place inside one ("meta.answers.0"); of several the first that a row has is taken."""

HUB = "hub:"
"""``perturbed: hub:CONFIG`` is another configuration of the same Hub dataset."""


@dataclass(frozen=True, slots=True)
class Dataset:
    r"""One dataset; ``conf/dataset/*.yaml`` builds it, data/load_dataset.py reads it.

    Source, the first that is set: ``path`` (a file, a folder, a glob, embedded:FILE, or a list of these), ``embedded``
    (a file shipped with the package), ``hub`` with ``config``, ``revision`` and ``split`` (slices such as
    ``train[:10%]``), ``from_model``. None set: the role is absent until somebody sets its path. A ``path`` over
    ``embedded`` or ``hub`` replaces the source: ``expected_rows``, ``revision``, ``config`` and ``split`` then mean
    nothing, fields and filters stay.

    ``from_model``: no file, but so many texts that the starting model says by itself, up to ``max_tokens`` long
    (run/generated.py); ``openings``: what they begin with in turn, a list or a file with one a line.

    ``kind``: "qa" reads ``prompt_field`` and ``answer_field``; "text" reads ``text_field``, all of it a target; "chat"
    reads ``messages_field``, whose last assistant turn is the answer; "choice" reads ``prompt_field``,
    ``choices_field`` and ``answer_field`` (which of them is right), and the other choices are the perturbed answers.
    ``input_field``: a column that goes on the prompt, in a line of its own (Alpaca's input). ``system_field``: its
    own system prompt. ``history_field``: earlier turns, pairs or messages. ``reasoning``: how what is thought before an
    answer (reasoning_content and the like) is written before it, a text with {reasoning}. ``unread``: known columns and
    keys of messages that are left out on purpose; any other one that nothing reads is refused
    (data/training_columns.py).
    ``answers``: texts, or a file with one a line, of which each row gets one in place of its own answer.
    ``answers_from``: "model" reads prompts only; their answers are what the starting model says, up to
    ``answer_tokens`` long (run/generated.py).
    ``system``: the system prompt of every row that has none. ``turns``: "last", or "every" turn of the assistant is a
    target. ``windows``: a text beyond ``max_tokens`` becomes several rows instead of being cut; a .txt file is one.
    ``variants``: each {canonical: actual} renames columns; a row becomes one row per variant, ids end in .0, .1, ...;
    an actual column that ends in ? may be absent.
    ``filter``: {field: value | list of values | {matches: REGEX} | {not_matches: REGEX} | {except: value or list}
    | {min: x, max: y}}, all hold.
    ``ids``: values of data.id_field, or a file with one a line: of ``data.source`` these rows only (data/deletion.py).
    ``perturbed``: a file (or hub:CONFIG) with the same prompts, whose paraphrased and perturbed columns are joined in.
    ``template``: "auto" is the tokenizer's chat template, or "Question: {prompt}\nAnswer: " where it has none; "none"
    is the prompt as it is; else any text with {prompt}. ``limit``: the first rows that pass the filter.
    ``weight``: how much of it an epoch of retain has, where that is made of several sets (data/mixture.py).
    ``encoding``: of its text files that have no byte-order mark and are not UTF-8, such as cp1252.
    ``sampled_share``: of retain only: the share of its rows in a step that are ordinary prompts with the starting
    model's own answers (data/ordinary.py). None: half where retain is held, else 0.
    ``manners``: of forget only: the manners (of MANNERS) in which its rows are trained on beside their own, together
    ``manners_share`` of its rows in a step (data/reworded.py).
    ``content``: unless "ordinary", no text reaches the run directory or the terminal unasked.

    Raises ValueError.
    """

    name: str
    path: str | list[str] | None = None
    embedded: str | None = None
    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    split: str | None = None
    from_model: int | None = None
    openings: str | list[str] = field(default_factory=list)
    kind: Kind = "qa"
    prompt_field: Field = None
    answer_field: Field = None
    text_field: Field = None
    messages_field: Field = None
    choices_field: Field = None
    paraphrased_question_field: Field = None
    paraphrased_answer_field: Field = None
    perturbed_field: Field = None
    input_field: Field = None
    system_field: Field = None
    history_field: Field = None
    reasoning: str | None = None
    unread: list[str] = field(default_factory=list)
    variants: list[dict[str, str]] = field(default_factory=list)
    filter: dict[str, Any] = field(default_factory=dict)
    ids: str | list[str | int] | None = None
    perturbed: str | None = None
    answers: str | list[str] = field(default_factory=list)
    answers_from: AnswersFrom = "rows"
    answer_tokens: int = 128
    system: str | None = None
    turns: Turns = "last"
    windows: bool = False
    template: str = "auto"
    max_tokens: int = 256
    encoding: str | None = None
    limit: int | None = None
    expected_rows: int | None = None
    weight: float = 1.0
    sampled_share: float | None = None
    manners: list[str] = field(default_factory=list)
    manners_share: float = 0.5
    content: Content = "ordinary"

    def __post_init__(self) -> None:
        """Refuse what cannot be, before a file is opened."""
        problems = (
            self._source_problem,
            self._field_problem,
            self._kind_problem,
            self._size_problem,
            self._encoding_problem,
            self._filter_problem,
        )
        for find in problems:
            if problem := find():
                raise ValueError(f"dataset '{self.name}': {problem}")

    @property
    def has_source(self) -> bool:
        """True if there is anything to read."""
        return bool(self.path or self.embedded or self.hub or self.from_model)

    @property
    def sampled(self) -> bool:
        """True if the rows are texts of the starting model."""
        return bool(self.from_model and not self.path)

    @property
    def replaced(self) -> bool:
        """True if the user's path stands in for the source of the description."""
        return bool(self.path and (self.embedded or self.hub))

    def _source_problem(self) -> str | None:
        if not self.name:
            return "name must be a text, found it empty"
        if self.embedded and self.hub:
            return f"one source at most, found embedded={self.embedded} and hub={self.hub}; set one of them to null"
        if self.from_model and (self.embedded or self.hub or self.kind != "text" or self.windows or self.filter):
            return "from_model is a source of its own, of kind=text without windows and filter, found another; unset it"
        if self.hub and not self.path and not self.split:
            return f"split must be set to read '{self.hub}' from the Hub; e.g. split=train"
        if self.perturbed and self.perturbed.startswith(HUB) and not self.hub:
            return f"perturbed={self.perturbed} needs hub; set perturbed to a file instead"
        return None

    def _field_problem(self) -> str | None:
        if self.kind not in get_args(Kind):
            return f"kind must be one of {', '.join(get_args(Kind))}, found '{self.kind}'"
        for key in NEEDED[self.kind]:
            replaced = key == "answer_field" and (self.answers or self.answers_from == "model")
            if not getattr(self, key) and not replaced:
                return f"{key} must name a column where kind={self.kind}; found nothing"
        if self.template not in ("auto", "none") and "{prompt}" not in self.template:
            return f"template must be auto, none or a text with {{prompt}}, found '{self.template}'"
        return None

    def _kind_problem(self) -> str | None:
        if self.perturbed and self.kind != "qa":
            return f"perturbed needs kind=qa, found {self.kind}: rows are joined on their prompt; set perturbed=null"
        if self.answers and self.kind != "qa":
            return f"answers needs kind=qa, found {self.kind}; set answers=[]"
        if self.answers_from not in get_args(AnswersFrom):
            return f"answers_from must be one of {', '.join(get_args(AnswersFrom))}, found '{self.answers_from}'"
        if self.answers_from == "model" and (self.kind != "qa" or self.answers):
            found = "answers" if self.answers else self.kind
            return f"answers_from=model needs kind=qa and no answers, found {found}; set answers_from=rows"
        if not isinstance(self.answers, str) and not all(isinstance(a, str) and a.strip() for a in self.answers):
            return "answers must hold texts, none of them empty; found another value"
        if self.windows and self.kind != "text":
            return (
                f"windows needs kind=text, found {self.kind}: an answer is not split from its prompt; set windows=false"
            )
        if self.turns not in get_args(Turns):
            return f"turns must be one of {', '.join(get_args(Turns))}, found '{self.turns}'"
        if self.turns == "every" and self.kind != "chat" and not (self.kind == "qa" and self.history_field):
            return f"turns=every needs kind=chat, or kind=qa with history_field, found {self.kind}; set turns=last"
        if self.reasoning is not None and "{reasoning}" not in self.reasoning:
            return f"reasoning must be null or a text with {{reasoning}}, found '{self.reasoning}'"
        if self.system and self.kind == "text":
            return "system needs a prompt to stand before, found kind=text; set system=null"
        return None

    def _size_problem(self) -> str | None:
        if self.max_tokens < 2:
            return f"max_tokens must be >= 2 (the first token is never predicted), found {self.max_tokens}"
        if self.sampled_share is not None and not 0 <= self.sampled_share < 1:
            return f"sampled_share must be in [0, 1) or null, found {self.sampled_share}"
        if wrong := [manner for manner in self.manners if manner not in MANNERS]:
            return f"manners must be of {', '.join(MANNERS)}, found '{wrong[0]}'"
        if not 0 < self.manners_share < 1:
            return f"manners_share must be in (0, 1), found {self.manners_share}; manners=[] trains on none"
        if self.answer_tokens < 1:
            return f"answer_tokens must be >= 1, found {self.answer_tokens}"
        for key in ("limit", "expected_rows", "from_model"):
            value = getattr(self, key)
            if value is not None and value < 1:
                return f"{key} must be >= 1 or null, found {value}"
        if not self.weight > 0:
            return f"weight must be > 0, found {self.weight}; leave the set out instead"
        if self.content not in get_args(Content):
            return f"content must be one of {', '.join(get_args(Content))}, found '{self.content}'"
        return None

    def _encoding_problem(self) -> str | None:
        if self.encoding is not None and not is_encoding(self.encoding):
            return f"encoding must be one such as utf-8, cp1252, utf-16 or gb18030, found '{self.encoding}'"
        return None

    def _filter_problem(self) -> str | None:
        for name, rule in self.filter.items():
            try:
                check_rule(rule)
            except ValueError as problem:
                return f"filter.{name} {problem}"
        return None
