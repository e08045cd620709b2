"""direction.gram=factors: the sketched step, with one product of weights a role and as many passes as objectives."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.mollm_pair import mollm_pair
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.counting import counting, moved, parameters
from tests.support.sketched import FORGET, RETAIN, WHOLE, Fixed, batches_of, plain
from tests.support.steps import stepper
from tests.support.tiny import llama, opt, split


def factored(**more):
    return plain("factors", **more)


def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=48, n_positions=64, n_embd=32, n_layer=2, n_head=4, attn_pdrop=0, resid_pdrop=0, embd_pdrop=0
    )
    return GPT2LMHeadModel(config).double().eval()


def end(model, loss, solver, direction, batches, lr=0.1):
    """(parameters, result) after one step of a model that is not its reference any more."""
    step = stepper(model, loss, solver, direction=direction)
    moved(model)
    result = step(batches, lr)
    return parameters(model), result


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "parts"])
@pytest.mark.parametrize("loss", [mollm(0.5, 2.0, 1.5), ga_kl(), mollm_pair(), dpo()], ids=lambda x: x.name)
@pytest.mark.parametrize("model", [opt, gpt2])
def test_with_fixed_weights_the_step_is_the_exact_one(loss, whole, model):
    seen, result = end(model(), loss, Fixed(), factored(), batches_of(loss, whole))
    exact, expected = end(model(), loss, Fixed(), plain("exact", guard=False), batches_of(loss, whole))
    assert (seen - exact).abs().max() < 1e-12
    assert result.losses == pytest.approx(expected.losses, rel=1e-12)


@pytest.mark.parametrize("buckets", [16, 256, 65_536])
def test_it_is_the_sketched_step(buckets):
    """The same sketches, so the same weights, and one direction by two ways. 16: blocks are smaller than matrices."""
    seen, result = end(opt(), mollm(), DualSpaceMGDA(), factored(sketch_buckets=buckets), WHOLE)
    other, expected = end(opt(), mollm(), DualSpaceMGDA(), plain("sketch", sketch_buckets=buckets), WHOLE)
    assert result.gram == pytest.approx(expected.gram, rel=1e-9, abs=1e-12)
    assert result.weights == pytest.approx(expected.weights, rel=1e-6)
    assert (seen - other).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("loss", "batches", "forwards", "backwards"),
    [
        (mollm(), WHOLE, 2, 3),  # one backward an objective, and none for the weighted sum
        (grad_diff(), WHOLE, 2, 2),
        (mollm(), {"forget": [FORGET], "retain": split(RETAIN, 2)}, 5, 7),  # in pieces: forwarded again, as by a sketch
    ],
)
def test_the_number_of_passes(loss, batches, forwards, backwards):
    model = llama()
    step = stepper(model, loss, DualSpaceMGDA(), direction=factored())
    moved(model)
    counts = counting(model)
    step(batches, 0.1)
    assert counts == {"forward": forwards, "backward": backwards}


def products(direction):
    """Floating-point operations of all matrix products of a step, but for those that are added in place."""
    model = llama(hidden=64, layers=3)
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=direction)
    moved(model)
    with FlopCounterMode(display=False) as counter:
        step(WHOLE, 1e-3)
    return counter.get_total_flops()


def test_weight_gradients_are_made_once_a_role():
    """In products with all weights: forward 1, of inputs 1, of weights 1. Exact 2 + 3 + 3; a sketch takes one more of
    inputs and one less of weights; factors 2 + 3 + 1 and, added in place (addmm_) and not seen here, another.
    """
    exact, sketch, factors = (products(plain(gram, sketch_buckets=16)) for gram in ("exact", "sketch", "factors"))
    assert 6 / 8 * exact < factors < 6.4 / 8 * exact
    assert sketch == pytest.approx(exact, rel=0.05)


def test_over_float32_weights_factors_may_be_of_half_precision():
    """The products are taken in bfloat16, as the exact step takes them, and added in float32."""
    ends = []
    for direction in (factored(), plain("exact", guard=False)):
        model = llama()
        step = stepper(model, mollm(), Fixed(), direction=direction)
        step.bf16 = True
        moved(model)
        before = parameters(model)
        step(WHOLE, 0.1)
        ends.append(parameters(model) - before)
    assert ends[0].dtype == torch.float32
    assert (ends[0] - ends[1]).norm() < 0.02 * ends[1].norm()


def test_nothing_that_was_kept_outlives_the_step():
    model = llama()
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=factored())
    moved(model)
    step(WHOLE, 0.1)
    assert step.kind.taps.take is None
    assert all("forward" not in vars(module) for module in model.modules())


def test_an_objective_that_rests_is_not_kept():
    model = llama()
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=Direction(gram="factors"))
    counts = counting(model)
    result = step(WHOLE, 0.1, record=False)  # step 0: the KL is 0
    assert result.choice.live.tolist() == [True, True, False]
    assert counts["backward"] == 2


@pytest.mark.parametrize("key", [{"rows": "bfloat16"}, {"metric": "adam"}, {"scope": "layer"}])
def test_what_works_on_gradients_is_refused(key):
    with pytest.raises(
        ValueError, match=r"direction\.gram=factors.*set direction\.(rows=same, or direction\.)?gram=exact"
    ):
        Direction(gram="factors", **key)
