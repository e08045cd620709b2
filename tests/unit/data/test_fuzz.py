"""Generated dataset files, well-formed and broken: a RequestError or right labels, never anything else."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import IGNORE
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load
from mollm_cli.data.preview import preview
from tests.unit.data.conftest import build

END = "</s>"
EXAMPLES = 250
"""Of either test."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ODD_TEXT = st.text(max_size=6)  # with halves of surrogate pairs
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
GOOD = TEXT.map(lambda text: text if text.strip() else f"w{text}")
TURN = st.tuples(GOOD, GOOD).map(
    lambda pair: [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
)
ROW = st.fixed_dictionaries(
    {
        "question": GOOD,
        "answer": GOOD,
        "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=150).map(lambda text: f"w{text}"),
        "messages": st.lists(TURN, min_size=1, max_size=3).map(lambda turns: [turn for pair in turns for turn in pair]),
        "choices": st.lists(GOOD, min_size=2, max_size=4),
        "right": st.integers(0, 1),
    }
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "x"]), "content": TEXT | VALUE}
)
BROKEN = {"messages": st.lists(MESSAGE, max_size=4) | VALUE, "choices": st.lists(VALUE, max_size=4) | VALUE}


@st.composite
def files(draw):
    """Rows that are in order, or of which one has one field too few, too odd, or of another type."""
    rows = draw(st.lists(ROW, min_size=1, max_size=4))
    if draw(st.booleans()):
        row, column = draw(st.sampled_from(rows)), draw(st.sampled_from(sorted(rows[0])))
        if draw(st.integers(0, 3)):
            row[column] = draw(BROKEN.get(column, TEXT | VALUE))
        else:
            del row[column]
    return rows


KINDS = {
    "qa": {"prompt_field": "question", "answer_field": ["answer", "messages.0.content"]},
    "text": {"text_field": "text"},
    "windows": {"text_field": "text", "windows": True},
    "chat": {"messages_field": "messages"},
    "every": {"messages_field": "messages", "turns": "every", "system": "S"},
    "choice": {"prompt_field": "question", "choices_field": "choices", "answer_field": "right"},
}
CHAT = "{% for m in messages %}<|user|>{{ m.content }}<|end|>\n{% endfor %}"
CHAT += "{% if add_generation_prompt %}<|user|>{% endif %}"


@cache
def tokenizer(chat):
    return build("<s> $A", chat=CHAT if chat else None, eos_token=END, bos_token="<s>")


def dataset(kind, **changes):
    shape = {"windows": "text", "every": "chat"}.get(kind, kind)
    return Dataset("d", kind=shape, **KINDS[kind], **changes)


def csv_bytes(rows):
    import csv

    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["question", "answer", "text", "right"], extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def parquet_bytes(rows):
    import pyarrow
    import pyarrow.parquet

    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


WRITERS = {
    ".jsonl": lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
    ".json": lambda rows: json.dumps(rows, indent=1).encode(),
    ".csv": csv_bytes,
    ".txt": lambda rows: "\n".join(str(row.get("text", "")) for row in rows).encode("utf-8", "surrogatepass"),
    ".parquet": parquet_bytes,
    ".jsonl.gz": lambda rows: gzip.compress(WRITERS[".jsonl"](rows)),
    ".csv.bz2": lambda rows: bz2.compress(csv_bytes(rows)),
}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """The boundary, which would make 1000 processes here, has tests of its own; what goes through it is tested here."""
    monkeypatch.setattr("mollm_cli.core.bounded._within", True)


def read(described, content, ending):
    """The rows with their ids, or the refusal; nothing else may come out of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{ending}"
        path.write_bytes(content)
        try:
            return load(Dataset(**{**_fields(described), "path": str(path)}), "forget")
        except RequestError as problem:
            assert "data.forget" in str(problem) or "a." in str(problem)
            return None


def _fields(described):
    return {name: getattr(described, name) for name in described.__dataclass_fields__}


def check(loaded, chat):
    """Whatever was read is shown, and its labels are its answers, each with an end unless it was cut."""
    t = tokenizer(chat)
    dataset = loaded.dataset
    try:
        rows = encode_all(loaded, "forget", t)
        preview(loaded, "forget", t)
    except RequestError as problem:
        assert "data.forget" in str(problem)
        return
    texts, cut = {}, set()
    for row in rows:
        assert len(row.input_ids) == len(row.labels) <= dataset.max_tokens
        assert all(label in (IGNORE, token) for token, label in zip(row.input_ids, row.labels, strict=True))
        assert row.labels[0] == IGNORE
        key = row.id.split("#")[0]
        cut |= {key} if len(row.input_ids) == dataset.max_tokens and not dataset.windows else set()
        texts[key] = [*texts.get(key, []), *(label for label in row.labels if label != IGNORE)]
    for example in loaded.examples:
        target = t.decode(texts[example.id])
        end = "<|end|>" if chat and example.prompt else END
        if example.id not in cut:
            assert target.endswith(end)
            if dataset.turns == "last":
                assert target.removesuffix(end).strip() in (example.answer.strip(), example.answer[1:].strip())


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(WRITERS)), st.booleans())
def test_rows_of_any_content(data, kind, ending, chat):
    rows = data.draw(files())
    try:
        content = WRITERS[ending](rows)
    except (UnicodeError, ValueError, TypeError, OverflowError, ArithmeticError):
        return  # what the format cannot hold
    except Exception as problem:
        assert type(problem).__module__.startswith("pyarrow")
        return
    loaded = read(dataset(kind, max_tokens=80), content, ending)
    if loaded is not None:
        check(loaded, chat)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(sorted(KINDS)), st.sampled_from([*sorted(WRITERS), ".zip", ".arrow", ".xz", ".dat"]))
def test_files_of_any_bytes(data, kind, ending):
    good = [{"question": "Q", "answer": "a", "right": 1, "choices": ["x", "y"], "text": "some text"}]
    content = (
        WRITERS.get(ending, WRITERS[".jsonl"])(good) if data.draw(st.booleans()) else data.draw(st.binary(max_size=60))
    )
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        content = content[:place] + data.draw(st.binary(max_size=3)) + content[place + data.draw(st.integers(0, 3)) :]
    loaded = read(dataset(kind, max_tokens=80), content, ending)
    if loaded is not None:
        check(loaded, False)
