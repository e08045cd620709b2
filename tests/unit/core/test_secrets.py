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
    "db_pwd",
    "SENTRY_DSN",
    "headers.Authorization",
    "x.signing_key",
    "OPENAI_API_KEY_2",
    "hub.api_tokens",
    "storage.account-key",
    "proxy.auth",
    "connection_string",
)
OTHERS = (
    "data.forget.max_tokens",
    "tokens_per_second",
    "keys",
    "seed",
    "token.size",
    "monkey",
    "evaluation.keep_text",
    "PWD",
    "OLDPWD",
    "SSH_AUTH_SOCK",
    "single_pass",
    "data.path",
    "author",
    "primary_key",
)


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
        ("authorization: bearer abc4efghi", f"authorization: bearer {HIDDEN}"),
        ("the bearer certificate", "the bearer certificate"),
        ("Authorization: Basic dXNlcjpwYXNz", f"Authorization: Basic {HIDDEN}"),
        ("a basic understanding", "a basic understanding"),
        ("https://onlyatoken1@host/x", f"https://{HIDDEN}@host/x"),
        ("ssh://git@host/x and me@host", "ssh://git@host/x and me@host"),
        ("ASIA" + "Z" * 16, HIDDEN),
        ("AIza" + "b3" * 17 + "c", HIDDEN),
        ("glpat-" + "a1B2" * 5, HIDDEN),
        ("sk_live_" + "a1B2" * 6, HIDDEN),
        ("npm_" + "a1B2" * 9, HIDDEN),
        ("x eyJhbGciOiJI.eyJzdWIiOiIx.abc-_1 y", f"x {HIDDEN} y"),
        ("SG." + "a" * 22 + "." + "b" * 43, HIDDEN),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nxyz\n-----END PGP PRIVATE KEY BLOCK-----.", f"{HIDDEN}."),
        ("https://h/x?a=1&sig=abcdefgh1&b=2", f"https://h/x?a=1&sig={HIDDEN}&b=2"),
        ("https://h/x?X-Amz-Signature=abcdefgh1", f"https://h/x?X-Amz-Signature={HIDDEN}"),
        ("Server=h;Password=abcdefgh1;Port=1", f"Server=h;Password={HIDDEN};Port=1"),
        ("aws_secret_access_key = abcdefgh1", f"aws_secret_access_key = {HIDDEN}"),
        ("data.forget.max_tokens=12345678", "data.forget.max_tokens=12345678"),
        ("add tracker.api_key=VALUE", "add tracker.api_key=VALUE"),
        ("a task-specific-and-quite-long-name", "a task-specific-and-quite-long-name"),
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
        "credentials": {"user": "a", "more": ["b", None]},
        "list": [{"secret": 5}],
        "max_tokens": 9,
        1: (True,),
    }
    shown = {
        "tracker": {"api_key": HIDDEN, "token": None, "password": ""},
        "credentials": {"user": HIDDEN, "more": [HIDDEN, None]},
        "list": [{"secret": HIDDEN}],
        "max_tokens": 9,
    }
    assert without_secrets(tree) == {**shown, 1: [True]}


def test_an_override() -> None:
    assert shown_override("+hub.token=abc") == f"+hub.token={HIDDEN}"
    assert shown_override("seed=1") == "seed=1" and shown_override("--check") == "--check"
