"""Columns in messages: known names, others by place and length, and first lines that are no header."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mollm_cli.core.errors import RequestError
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.headers import columns, is_known, looks_like_row
from mollm_cli.data.load_dataset import load
from tests.support.planted import (
    CHOICE,
    NAME,
    QA,
    ROW,
    TEXT,
    silent,
)


@pytest.mark.parametrize(
    ("fields", "header"), [(QA, "question,answer"), (TEXT, "text"), (CHOICE, "question,choices,right")]
)
def test_a_csv_without_a_header_is_told_as_such(tmp_path, fields, header):
    (tmp_path / "a.csv").write_text(f'{NAME},"{ROW}"\nx,y\n')
    message = (
        f"row 1 of a.csv has no field '.*'; found: 2 cells of 16 and {len(ROW)} characters: the first line looks like "
        f"a row, not a header. Add a header line such as {header}. Set data.forget..*_field=COLUMN"
    )
    with pytest.raises(RequestError, match=message):
        load(Dataset("d", path=str(tmp_path / "a.csv"), **fields), "forget")
    (tmp_path / "a.csv").write_text(f'"{ROW}","{ROW}"\nx,y\n')
    with pytest.raises(
        RequestError, match="a.csv: the first line must name the columns, found 2 cells of .* looks like a row"
    ):
        load(Dataset("d", path=str(tmp_path / "a.csv"), **fields), "forget")


@pytest.mark.parametrize(
    ("cells", "row"),
    [
        (["question", "answer"], False),
        (["frage", "antwort"], False),
        (["First name", "Last name"], False),
        (["question", ROW], False),
        (["Who is she?", "x"], True),
        (["a@b.org", "x"], True),
        (["1970-05-03", "x"], True),
        (["0049 30 1234", "x"], True),
        (["lives in a house", "x"], True),
        (["w" * 61, "x"], True),
        (["", "x"], True),
    ],
)
def test_a_first_line_looks_like_a_row(cells, row):
    assert looks_like_row(cells) is row


def test_columns_are_told_by_name_where_the_name_is_known():
    assert columns(["question", NAME, "x"], {"x"}) == (
        "question, x, a column of another name (column 2 of 16 characters; evaluation.keep_text=true shows names)"
    )
    many = columns([f"{NAME} {number}" for number in range(30)])
    silent(many)
    assert many.startswith("30 columns of other names (column 1 of 18 characters, column 2")
    assert columns([f"c{n}" for n in range(20)], {f"c{n}" for n in range(20)}).endswith("c11, 8 more")
    assert columns([]) == "none"


def test_the_columns_of_published_sets_are_known():
    conf = Path(__file__).parents[3] / "conf" / "dataset"
    for file in conf.rglob("*.yaml"):
        described = yaml.safe_load(file.read_text())
        fields = [value for key, value in described.items() if key.endswith("_field") and value]
        names = {name.split(".")[0] for field in fields for name in ([field] if isinstance(field, str) else field)}
        assert all(map(is_known, names)), file
