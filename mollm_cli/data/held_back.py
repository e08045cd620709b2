"""Rows of a training set that are kept for testing: how many, and one line that says so with the key to change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mollm_cli.core.types import Role

SHARES: Mapping[Role, str] = {"forget": "data.forget_test_share", "retain": "data.test_share"}
"""The key that decides how much of a role is held back."""


def held_back(fingerprints: Mapping[str, Mapping[str, Any]]) -> str | None:
    """One line on all rows that are held back; None where none are. fingerprints: by role, as in the manifest."""
    parts = []
    for role, key in SHARES.items():
        seen = fingerprints.get(role) or {}
        if count := int(seen.get("held_back") or 0):
            parts.append(f"{count} of {int(seen['rows']) + count} rows of data.{role} ({key}=0 takes all)")
    for name, seen in fingerprints.items():
        if count := int(seen.get("tested") or 0):
            parts.append(f"{count} rows of data.mix.retain.{name}, which data.retain_test asks")
    return f"held back for testing, neither forgotten nor trained on: {', '.join(parts)}" if parts else None
