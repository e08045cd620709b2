"""An override of an open mapping is told how its keys are added."""

from __future__ import annotations

from mollm_cli.configuration.wrong_overrides import unknown_key


def test_a_mapping_that_an_override_would_replace_is_told_how_keys_are_added() -> None:
    told = unknown_key("data.forget.filter", {"data": {"forget": {"filter": {}}}}, ())
    assert told.endswith("with a plus: +data.forget.filter.NAME=VALUE, or '+data.forget.filter={...}'")
