"""The parts of the trained parameters that a process has, and what they are together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mollm_cli.core.world import World
from mollm_cli.gradients.trained import Trained


@dataclass(frozen=True, slots=True)
class Two(World):
    """The first of two processes, whose sums have 16 of the other one in them."""

    size: int = 2

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """With the other one's."""
        return tensor.add_(16)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """With the other one's."""
        return values + 16


@pytest.mark.parametrize(("sharded", "replicated", "sketch"), [(True, False, 17), (False, True, 1)])
def test_what_two_processes_have(sharded: bool, replicated: bool, sketch: float) -> None:
    trained = Trained([], [], [], [], Two(), sharded)
    assert trained.replicated is replicated
    assert trained.sum_sketch(torch.ones(1)).item() == sketch
    assert trained.norm([torch.tensor([3.0])]).item() == 5  # the other's squares are 16
