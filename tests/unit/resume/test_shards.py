"""What processes of a sharded run agree on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from mollm_cli.core.world import ALONE
from mollm_cli.gradients.trained import Trained
from mollm_cli.resume import checkpoint
from mollm_cli.resume.shards import Shards


@pytest.mark.parametrize(("sharded", "taken"), [(True, True), (False, False)])
def test_shards_take_what_the_first_process_has_found_and_replicas_their_own(sharded: bool, taken: bool) -> None:
    world: Any = SimpleNamespace(from_first=lambda found: not found)
    trained = cast(Trained, SimpleNamespace(sharded=sharded, world=world))
    assert Shards(trained).agreed(False) is taken


def test_a_card_draws_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a card: what it is given, and that a point from a run without one gives it nothing."""
    given: list[tuple[Any, str]] = []
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: given.append((state, device.type)))
    parts = Shards(cast(Trained, SimpleNamespace(sharded=False, world=ALONE)))
    cpu = {"rng.cpu": torch.get_rng_state()}
    cuda = cpu | {"rng.cuda": torch.tensor([7])}
    for device, tensors in (("cuda", cpu), ("cpu", cuda), ("cuda", cuda)):
        checkpoint._set_generators(torch.device(device), parts, tensors, checkpoint._plain_generators())
    assert given == [(torch.tensor([7]), "cuda")]
