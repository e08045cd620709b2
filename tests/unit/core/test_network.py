"""Whether the Hub may be asked, whether it answers, and what is said of its refusals."""

from __future__ import annotations

import errno

import pytest

from mollm_cli.core import network
from tests.support.hub import serve


@pytest.fixture(autouse=True)
def online(monkeypatch):
    for flag in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(flag, raising=False)


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_offline_is_what_the_environment_says(monkeypatch, value, expected):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert network.offline() is expected


def test_an_error_page_is_an_answer_and_is_asked_for_once(monkeypatch, tmp_path):
    with serve(tmp_path) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert network.silence() is None
        assert network.silence() is None
        assert len(hub.requests) == 1 and hub.requests[0].endswith("404")


def test_an_endpoint_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert network.silence().startswith("no answer from http://127.0.0.1:9 (")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert network.silence() == "the network is switched off (HF_HUB_OFFLINE)"


class RemoteProtocolError(Exception):
    """As httpx calls a connection that broke off."""


def _within(cause):
    """An error as a library wraps it."""
    error = OSError("Can't load the model")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "cause", "remedy"),
    [
        (_within(OSError(errno.ENOSPC, "No space left on device")), "disk", "set HF_HOME to a folder on another disk"),
        (_within(RemoteProtocolError("peer closed")), "interrupted", "run the same command again"),
        (OSError("Consistency check failed: file should be of size 9"), "interrupted", "run the same command again"),
        (OSError("You are trying to access a gated repo."), "gated", "HF_TOKEN), or set FILE"),
        (OSError("v9 is not a valid git identifier"), "revision", "Set model.revision to a branch"),
        (OSError("x/y is not a local folder and is not a valid model identifier"), "missing", "Check the spelling"),
        (OSError("We couldn't connect to the Hub"), "unreachable", "HF_HUB_OFFLINE=1 with a warm cache"),
        (OSError("aggregated"), "other", ""),
    ],
)
def test_a_refusal_has_a_cause_and_a_remedy(error, cause, remedy):
    assert network.cause(error) == cause
    assert remedy in network.remedy(error, "model", "FILE")
