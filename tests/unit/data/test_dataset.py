from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "dataset '': name must be a text, found it empty"),
        ({"embedded": "a/b.jsonl", "hub": "o/n"}, "one source at most, found embedded=a/b.jsonl and hub=o/n"),
        ({"hub": "o/n"}, "dataset 'd': split must be set to read 'o/n' from the Hub"),
        ({"perturbed": "hub:x"}, "perturbed=hub:x needs hub"),
        ({"kind": "prose"}, "kind must be one of qa, text, chat, choice, found 'prose'"),
        ({"kind": "chat"}, "messages_field must name a column where kind=chat"),
        ({"kind": "choice"}, "choices_field must name a column where kind=choice"),
        ({"kind": "chat", "messages_field": "m", "perturbed": "f"}, "perturbed needs kind=qa, found chat"),
        ({"kind": "text", "text_field": "t", "answers": ["No."]}, "answers needs kind=qa, found text"),
        ({"answers_from": "hub"}, "answers_from must be one of rows, model, found 'hub'"),
        (
            {"answers_from": "model", "answers": ["No."]},
            "needs kind=qa and no answers, found answers",
        ),
        ({"kind": "text", "text_field": "t", "answers_from": "model"}, "needs kind=qa and no answers, found text"),
        ({"answers": ["No.", " "]}, "answers must hold texts, none of them empty"),
        ({"windows": True}, "windows needs kind=text, found qa"),
        ({"turns": "first"}, "turns must be one of last, every, found 'first'"),
        ({"turns": "every"}, "turns=every needs kind=chat, or kind=qa with history_field, found qa"),
        ({"kind": "text", "text_field": "t", "system": "s"}, "system needs a prompt to stand before, found kind=text"),
        ({"prompt_field": None}, "prompt_field must name a column where kind=qa"),
        ({"answer_field": []}, "answer_field must name a column where kind=qa"),
        ({"kind": "text"}, "text_field must name a column where kind=text"),
        ({"kind": "text", "text_field": "t", "perturbed": "f"}, "perturbed needs kind=qa"),
        ({"template": "Q:"}, r"template must be auto, none or a text with \{prompt\}, found 'Q:'"),
        ({"max_tokens": 1}, "max_tokens must be >= 2 .*found 1"),
        ({"limit": 0}, "limit must be >= 1 or null, found 0"),
        ({"expected_rows": 0}, "expected_rows must be >= 1 or null, found 0"),
        ({"content": "secret"}, "content must be one of ordinary, personal, harmful, found 'secret'"),
        (
            {"filter": {"a": {"like": 1}}},
            "filter.a must be a value, a list of values, or tests out of .*; found 'like'",
        ),
        ({"filter": {"a": {"matches": "("}}}, r"filter.a must hold a regular expression in matches, found '\('"),
        ({"filter": {"a": {"not_matches": 3}}}, "filter.a must hold a regular expression in not_matches, found 3"),
        ({"filter": {"a": {"min": "x"}}}, "filter.a must hold a number in min, found 'x'"),
    ],
)
def test_a_description_that_cannot_be_is_refused(qa, changes, message):
    with pytest.raises(ValueError, match=message):
        qa(**changes)


def test_a_path_replaces_only_what_was_described(qa):
    assert qa(path="f", hub="o/n", split="train").replaced
    assert qa(path="f", embedded="a/b").replaced
    assert not qa(path="f").replaced
    assert not qa(hub="o/n", split="train").replaced
    assert not qa().has_source


def test_the_layer_is_imported_without_anything_heavy():
    heavy = "'torch', 'transformers', 'datasets', 'pyarrow', 'numpy'"
    code = (
        "import sys, mollm_cli.data.pairing, mollm_cli.data.encoding, mollm_cli.data.batches, mollm_cli.data.preview\n"
        f"found = sorted({{{heavy}}} & set(sys.modules))\nassert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
