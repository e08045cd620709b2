from __future__ import annotations

import pytest

from mollm_cli.core import network
from mollm_cli.core.errors import RequestError
from mollm_cli.data import hub_datasets
from mollm_cli.data.load_dataset import load

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Table(list):
    """As much of datasets.Dataset as is used."""

    cache_files = [{"filename": f"/cache/org___name/default/0.0.0/{COMMIT}/train.arrow"}]  # noqa: RUF012

    @property
    def num_rows(self):
        return len(self)


@pytest.fixture
def asked(monkeypatch):
    """What load_dataset was asked for; offline, so that nothing is probed."""
    calls = []

    def load_dataset(path, name, **options):
        calls.append((path, name, options))
        if path == "no/such":
            raise ValueError("Unknown split")
        return Table([{"question": "q1", "answer": "a1"}, {"question": "q2", "answer": "a2"}])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return calls


def test_a_hub_dataset_is_asked_for_as_described(qa, asked):
    loaded = load(qa(hub="org/name", config="c", split="train[:10%]", revision=COMMIT, expected_rows=817), "forget")
    assert asked == [("org/name", "c", {"split": "train[:10%]", "revision": COMMIT})]
    assert [(e.id, e.prompt, e.answer) for e in loaded.examples] == [("d:1", "q1", "a1"), ("d:2", "q2", "a2")]
    origin = {"id": "org/name", "config": "c", "revision": COMMIT, "split": "train[:10%]", "commit": COMMIT}
    assert loaded.fingerprint["hub"] == origin
    assert loaded.fingerprint["files"] == []


def test_a_silent_network_is_told_and_one_that_was_switched_off_is_not(qa, asked, capsys, monkeypatch):
    load(qa(hub="org/name", split="train"), "forget")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(network, "silence", lambda: "no answer from nowhere")
    load(qa(hub="org/name", split="train"), "forget")
    assert capsys.readouterr().err == "data.forget: no answer from nowhere: org/name is read from the local cache\n"


def test_a_whole_split_must_have_its_rows(qa, asked):
    with pytest.raises(
        RequestError, match=r"'d' must have 817 rows, found 2 in org/name.*data.forget.expected_rows=null"
    ):
        load(qa(hub="org/name", split="train", expected_rows=817), "forget")


def test_what_the_hub_refuses_is_passed_on_with_remedies(qa, asked):
    with pytest.raises(
        RequestError, match=r"data.retain: dataset 'd' \(no/such, split x\) .*Unknown split.*retain.path=FILE"
    ):
        load(qa(hub="no/such", split="x"), "retain")


def test_offline_another_revision_than_the_cached_is_refused(qa, asked):
    with pytest.raises(
        RequestError, match=f"data.forget.revision must be the commit .*found revision=v9 and commit {COMMIT}"
    ):
        load(qa(hub="org/name", split="train", revision="v9"), "forget")


def test_online_only_a_commit_can_be_compared(qa, monkeypatch):
    monkeypatch.setattr(network, "silence", lambda: None)
    described = qa(hub="org/name", split="train", revision="v9")
    assert hub_datasets.check_commit(described, Table.cache_files, "data.forget") == COMMIT
    assert hub_datasets.check_commit(described, [], "data.forget") is None
    with pytest.raises(RequestError, match=r"data.forget.revision must be the commit"):
        hub_datasets.check_commit(
            qa(hub="org/name", split="train", revision="f" * 40), Table.cache_files, "data.forget"
        )
