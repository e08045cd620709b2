"""direction.gram=factors: the sketched step, with one product of weights a role and as many passes as objectives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import GPT2Config, GPT2LMHeadModel

from mollm_cli.gradients.settings import Direction
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.mollm_pair import mollm_pair
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.counting import counting, moved, parameters
from tests.support.steps import stepper
from tests.support.tiny import batch, llama, opt, split

FORGET, RETAIN, ALTERNATE = batch(1, prefix="f"), batch(2, prefix="r"), batch(3, prefix="a")
WHOLE = {"forget": [FORGET], "retain": [RETAIN]}
PARTS = {"forget": split(FORGET, 1), "retain": split(RETAIN, 3)}
LIVE = {"kl_budget": 0.0, "forget_target": None, "live_threshold": 0.0}


class Fixed(WeightedSum):
    """Weights that do not depend on the Gram matrix, through the path that needs one."""

    needs = frozenset({"gram"})


def factored(**more):
    return Direction(**(LIVE | {"gram": "factors", "normalise": "none", "rescale": False} | more))


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
    result = step({role: batches[role] for role in loss.roles}, lr)
    return parameters(model), result


@pytest.mark.parametrize("batches", [WHOLE, PARTS], ids=["whole", "parts"])
@pytest.mark.parametrize("loss", [mollm(0.5, 2.0, 1.5), ga_kl(), mollm_pair(), dpo()], ids=lambda x: x.name)
@pytest.mark.parametrize("model", [opt, gpt2])
def test_with_fixed_weights_the_step_is_the_exact_one(loss, batches, model):
    if "alternate" in loss.roles:
        batches = batches | {"alternate": split(ALTERNATE, 4 if batches is WHOLE else 1)}
    seen, result = end(model(), loss, Fixed(), factored(), batches)
    exact, expected = end(model(), loss, Fixed(), factored(gram="exact", guard=False), batches)
    assert (seen - exact).abs().max() < 1e-12
    assert result.losses == pytest.approx(expected.losses, rel=1e-12)


@pytest.mark.parametrize("buckets", [16, 256, 65_536])
def test_it_is_the_sketched_step(buckets):
    """The same sketches, so the same weights, and one direction by two ways. 16: blocks are smaller than matrices."""
    seen, result = end(opt(), mollm(), DualSpaceMGDA(), factored(sketch_buckets=buckets), WHOLE)
    other, expected = end(opt(), mollm(), DualSpaceMGDA(), factored(gram="sketch", sketch_buckets=buckets), WHOLE)
    assert result.gram == pytest.approx(expected.gram, rel=1e-9, abs=1e-12)
    assert result.weights == pytest.approx(expected.weights, rel=1e-6)
    assert (seen - other).abs().max() < 1e-9


@pytest.mark.parametrize("kind", ["sketch", "factors"])
def test_the_gram_matrix_of_factors_is_that_of_the_gradients_within_its_error(kind):
    """Blocks of 8 by 8 in place of matrices of up to 32 by 64; over many matrices the worst case is never met."""
    exact = end(llama(dtype=torch.float64), mollm(), DualSpaceMGDA(), factored(gram="exact"), WHOLE, 1e-3)[1].gram
    seen = end(
        llama(dtype=torch.float64), mollm(), DualSpaceMGDA(), factored(gram=kind, sketch_buckets=256), WHOLE, 1e-3
    )[1].gram
    lengths = np.sqrt(np.diag(exact))
    relative = np.abs(seen - exact) / np.outer(lengths, lengths)
    assert 1e-3 < relative.max() <= np.sqrt(2.5 / 256 + 4 / 8)
    assert np.linalg.eigvalsh(seen).min() >= -1e-12 * seen.max()


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
    """Multiply-adds of all matrix products of a step, by the profiler."""
    model = llama(hidden=64, layers=3)
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=direction)
    moved(model)
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as profiler:
        step(WHOLE, 1e-3)
    return sum(event.flops for event in profiler.events() if event.name in ("aten::mm", "aten::addmm", "aten::bmm"))


def test_weight_gradients_are_made_once_a_role():
    """In products with all weights: forward 1, of inputs 1, of weights 1. Exact 2 + 3 + 3; a sketch takes one more of
    inputs and one less of weights; factors 2 + 3 + 1 and, added in place (addmm_) and not seen here, another.
    """
    exact, sketch, factors = (
        products(factored(gram=gram, sketch_buckets=16)) for gram in ("exact", "sketch", "factors")
    )
    assert 6 / 8 * exact < factors < 6.4 / 8 * exact
    assert sketch == pytest.approx(exact, rel=0.05)


def test_nothing_that_was_kept_outlives_the_step():
    model = llama()
    step = stepper(model, mollm(), DualSpaceMGDA(), direction=factored())
    moved(model)
    step(WHOLE, 0.1)
    assert step.taps.take is None
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
