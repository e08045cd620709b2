"""A model whose weights lie in shards, one per process (engine.parallel=fsdp), and whole again to be written.

It is torch's ``fully_shard`` (FSDP2). Every layer is a group of its own, gathered before its forward and its backward
pass and let go of after each. Everything around the layers (embedding, last norm, head) is one more group. It stays
whole from the first forward pass of a step until the weights move (``reshard``), because the head is read outside of
the model's own forward pass. Gradients are added up over processes, not averaged: losses are divided by the count of
all.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.world import ALONE, World
from mollm_cli.models.forward import layers


class _Origin(NamedTuple):
    """A sharded model as it was, without the memory of its weights, and the processes that hold them."""

    plain: Any
    world: World


_SHARDED: WeakKeyDictionary[torch.nn.Module, _Origin] = WeakKeyDictionary()


def shard(model: Any, world: World) -> Any:
    """Shard ``model`` in place, so that it holds this process's part of every weight; one process leaves it as it is.

    The model must be the same on every process. Raises RequestError for weights that cannot be shards.
    """
    if world.size == 1:
        return model
    _check(model)
    # Taken before the cut: afterwards nothing tells what the model's modules were.
    origin = _Origin(_hollow(model), world)
    _cut(model, world)
    _SHARDED[model] = origin
    return model


def is_sharded(model: Any) -> bool:
    """True where ``model`` has gone through ``shard``."""
    return model in _SHARDED


def holders(model: Any) -> World:
    """The processes that must take part in a forward pass of ``model``; ``ALONE`` where it is whole."""
    return _SHARDED[model].world if is_sharded(model) else ALONE


def gathered(model: Any) -> Any:
    """A plain model with all weights of ``model``, on the CPU; ``model`` itself where it is not sharded.

    Every process calls this, and the first one gets the model; the others get None.
    """
    if not is_sharded(model):
        return model
    origin, weights = _SHARDED[model], {}
    model.reshard()
    for name, value in model.state_dict().items():
        full = whole(value).cpu()  # one at a time: all weights at once need not fit on a device
        if origin.world.first:
            weights[name] = full
    if not origin.world.first:
        return None
    plain = copy.deepcopy(origin.plain)
    plain.load_state_dict(weights, strict=False, assign=True)
    # Assigning has torn tied weights apart.
    (plain.get_base_model() if hasattr(plain, "get_base_model") else plain).tie_weights()
    return plain


def frozen_twin(model: Any) -> Any:
    """A second sharded model with the weights that ``model`` has now; nothing trains it."""
    origin = _SHARDED[model]
    model.reshard()
    # A sharded model cannot be copied, so the twin is cut anew from the hollow one and given copies of the shards.
    twin = copy.deepcopy(origin.plain).eval().requires_grad_(False)
    _cut(twin, origin.world)
    own = {name: torch.nn.Parameter(p.detach().clone(), requires_grad=False) for name, p in model.named_parameters()}
    known = {id(p): own[name] for name, p in model.named_parameters()}
    tied = {name: known[id(p)] for name, p in model.named_parameters(remove_duplicate=False)}
    twin.load_state_dict(tied, strict=False, assign=True)
    _SHARDED[twin] = origin
    return twin


def frozen_head(model: Any) -> torch.nn.Module | None:
    """The whole language-model head of a sharded ``model`` as it is now, for this process; None where there is none."""
    model.reshard()
    head = copy.deepcopy(_SHARDED[model].plain.get_output_embeddings())
    if head is None:
        return None
    weights = {name: whole(p.detach()) for name, p in model.get_output_embeddings().named_parameters()}
    head.load_state_dict(weights, strict=False, assign=True)
    made: torch.nn.Module = head.eval().requires_grad_(False)
    return made


def whole(value: torch.Tensor) -> torch.Tensor:
    """``value`` with all of its shards; every process calls this, for the same tensors in the same order."""
    sharded: Any = value
    full: torch.Tensor = sharded.full_tensor() if hasattr(sharded, "full_tensor") else value
    return full


def _cut(model: Any, world: World) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    half = any(p.element_size() < 4 for p in model.parameters())
    # Sums over processes are in float32, as those of replicas are; what a layer is given keeps its type.
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32 if half else None, cast_forward_inputs=False)
    mesh = init_device_mesh(world.device.split(":")[0], (world.size,))
    groups: list[Any] = [fully_shard(layer, mesh=mesh, mp_policy=policy) for layer in layers(model)]
    # The head is read outside of the model's own forward pass: its group must stay gathered.
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    for group in (*groups, model):
        # Losses are divided by the counts of the whole step, so gradients add up; an average would divide twice.
        group.set_gradient_divide_factor(1.0)
        group.set_force_sum_reduction_for_comms(True)
    # Several backward passes follow one forward pass.
    model.set_reshard_after_backward(False, recurse=False)
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)  # nobody writes to it


def _check(model: Any) -> None:
    """Refuse weights that cannot be cut into shards."""
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point() or not parameter.dim():
            raise RequestError(
                "engine.parallel=fsdp needs weights that are tables of floating-point numbers, found "
                f"{name} of {parameter.dtype}, shape {tuple(parameter.shape)}; set engine.parallel=ddp"
            )


def _hollow(model: Any) -> Any:
    """A copy of ``model`` whose parameters have no memory; its buffers have."""
    empty = {
        id(p): torch.nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    return copy.deepcopy(model, empty)
