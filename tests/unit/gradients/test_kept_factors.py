"""What is kept becomes the weighted gradient, whichever inputs objectives share and wherever it is added."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.gradients.kept_factors import KeptFactors
from mollm_cli.gradients.taps import Factors

WEIGHTS = np.array([0.5, -2.0, 0.0])


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("cotangent_left", [True, False])
def test_a_layer_that_is_passed_twice_has_two_inputs(cotangent_left, there):
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(random(4, 3))
    held = random(4, 3) if there else torch.zeros(4, 3, dtype=torch.float64)
    parameter.grad = held.clone() if there else None
    kept, expected, width = KeptFactors(), held, 3 if cotangent_left else 4
    for seen in (random(7, width), random(5, width)):
        for objective, weight in enumerate(WEIGHTS):
            cotangent = random(len(seen), 7 - width)
            factors = Factors(cotangent, seen, True) if cotangent_left else Factors(seen, cotangent, False)
            kept.keep_factors(objective, 0, factors)
            expected = expected + weight * factors.left.T @ factors.right
    kept.add_to([parameter], WEIGHTS)
    torch.testing.assert_close(parameter.grad, expected)


def test_other_gradients_are_added_and_what_weighs_nothing_is_not_there():
    one, other = torch.nn.Parameter(random(3)), torch.nn.Parameter(random(2))
    kept, parts = KeptFactors(), [random(3) for _ in WEIGHTS]
    for objective, part in enumerate(parts):
        kept.keep(objective, 0, part.clone())
    kept.keep(2, 1, random(2))
    kept.add_to([one, other], WEIGHTS)
    torch.testing.assert_close(one.grad, 0.5 * parts[0] - 2 * parts[1])
    assert other.grad is None
    kept.add_to([one, other], WEIGHTS)
    torch.testing.assert_close(one.grad, 0.5 * parts[0] - 2 * parts[1])  # nothing is kept any more
