from __future__ import annotations

import sys

import pytest

from mollm_cli.core.secrets import HIDDEN, is_secret, redacted, shown_override, without_secrets

SECRETS = (
    "tracker.api_key",
    "HF_TOKEN",
    "WANDB_API_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "a.password",
    "x.private-key",
    "b.Secret",
)
OTHERS = ("data.forget.max_tokens", "tokens_per_second", "keys", "seed", "token.size", "monkey", "evaluation.keep_text")


@pytest.mark.parametrize("key", SECRETS)
def test_names_of_secrets(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", OTHERS)
def test_names_of_no_secrets(key: str) -> None:
    assert not is_secret(key)


def test_values_of_the_environment_and_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "plumtree-94")
    monkeypatch.setenv("LONGER_TOKEN", "plumtree-94-and-more")
    monkeypatch.setenv("SHORT_TOKEN", "seven77")
    monkeypatch.setenv("HARMLESS", "bluebottle")
    monkeypatch.setattr(sys, "argv", ["mollm-unlearn", "+tracker.api_key=applecart-7", "run_name=haywagon-8"])
    said = redacted("plumtree-94-and-more plumtree-94 applecart-7 seven77 bluebottle haywagon-8")
    assert said == f"{HIDDEN} {HIDDEN} {HIDDEN} seven77 bluebottle haywagon-8"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf_" + "a1B2" * 8, HIDDEN),
        ("x ghp_" + "a" * 36 + " y", f"x {HIDDEN} y"),
        ("AKIA" + "Z" * 16, HIDDEN),
        ("https://me:pass@host/x", f"https://{HIDDEN}@host/x"),
        ("Authorization: Bearer abcdefghi", f"Authorization: Bearer {HIDDEN}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest", f"{HIDDEN}\nrest"),
        (
            "org/hf_models 3f786850e387550fdab836ed7e6dc881de23001b",
            "org/hf_models 3f786850e387550fdab836ed7e6dc881de23001b",
        ),
    ],
)
def test_what_looks_like_a_secret(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_a_tree_without_its_secrets() -> None:
    tree = {
        "tracker": {"api_key": "abc", "token": None, "password": ""},
        "list": [{"secret": 5}],
        "max_tokens": 9,
        1: (True,),
    }
    shown = {
        "tracker": {"api_key": HIDDEN, "token": None, "password": ""},
        "list": [{"secret": HIDDEN}],
        "max_tokens": 9,
    }
    assert without_secrets(tree) == {**shown, 1: [True]}


def test_an_override() -> None:
    assert shown_override("+hub.token=abc") == f"+hub.token={HIDDEN}"
    assert shown_override("seed=1") == "seed=1" and shown_override("--check") == "--check"
