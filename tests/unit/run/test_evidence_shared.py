"""One process writes what was found; all of them have it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.run.evidence import Evidence


@pytest.mark.parametrize(("first", "given"), [(True, {"after": 1}), (False, None)])
def test_only_the_first_process_writes_and_the_others_hear_of_it(first: bool, given: Any) -> None:
    heard: list[Any] = []
    world = SimpleNamespace(first=first, from_first=lambda value: heard.append(value) or "what the first has written")
    asked: Any = SimpleNamespace(world=world, _written=lambda found, attacks, drift: {"after": 1})
    assert Evidence._write(asked, {}, {}, None) == "what the first has written"
    assert heard == [given]
