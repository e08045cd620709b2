"""What processes of a sharded run agree on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mollm_cli.gradients.trained import Trained
from mollm_cli.resume.shards import Shards


@pytest.mark.parametrize(("sharded", "taken"), [(True, True), (False, False)])
def test_shards_take_what_the_first_process_has_found_and_replicas_their_own(sharded: bool, taken: bool) -> None:
    world: Any = SimpleNamespace(from_first=lambda found: not found)
    trained = cast(Trained, SimpleNamespace(sharded=sharded, world=world))
    assert Shards(trained).agreed(False) is taken
