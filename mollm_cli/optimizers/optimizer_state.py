"""The state of an optimizer, out as named tensors and scalars and back in."""

from __future__ import annotations

from typing import Any

import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.optimizers.float32_update import Float32Update

MOMENTA = ("exp_avg", "momentum_buffer", "absmax1")
"""An optimizer's memory of past directions; without its scales bitsandbytes' 8-bit first moment is zero."""
CONSTANT = ("qmap1", "qmap2")
"""bitsandbytes' tables of 8-bit numbers: one tensor that all parameters share, made anew with the optimizer."""
MASTER = "master"


def named_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(tensors, scalars) by "optimizer.K.KEY" for the K-th parameter; master copies under the key "master"."""
    tensors: dict[str, torch.Tensor] = {}
    scalars: dict[str, Any] = {}
    masters = _masters(optimizer)
    for k, (_, _, parameter) in enumerate(_numbered(optimizer)):
        kept = {key: value for key, value in optimizer.state.get(parameter, {}).items() if key not in CONSTANT}
        kept |= {MASTER: masters[parameter]} if parameter in masters else {}
        for key, value in kept.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{k}.{key}"] = value.contiguous()
            else:
                scalars[f"optimizer.{k}.{key}"] = value
    return tensors, scalars


def restore(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], scalars: dict[str, Any]) -> None:
    """Put the state that ``named_state`` gave back in; other names are passed over.

    Raises RequestError where the optimizer makes its own buffers and has none for a stored tensor.
    """
    # ``load_state_dict`` would round float32 moments to the type of the weights, so the state is put in directly.
    numbered = list(_numbered(optimizer))
    kept: dict[int, dict[str, Any]] = {}
    for name, value in (tensors | scalars).items():
        if name.startswith("optimizer."):
            _, k, key = name.split(".", 2)
            kept.setdefault(int(k), {})[key] = value
    masters, inner = _masters(optimizer), getattr(optimizer, "inner", optimizer)
    for k, values in kept.items():
        g, i, parameter = numbered[k]
        group = optimizer.param_groups[g]
        if MASTER in values:
            masters[parameter] = _own(values.pop(MASTER), parameter.device)
        if hasattr(inner, "init_state"):
            # bitsandbytes makes its own kind of buffers: paged ones must stay paged.
            inner.init_state(group, parameter, g, i)
            _fill(inner.state[parameter], values)
        else:
            optimizer.state[parameter] = {
                key: _placed(key, value, parameter.device, group) for key, value in values.items()
            }


def _numbered(optimizer: torch.optim.Optimizer) -> list[tuple[int, int, torch.nn.Parameter]]:
    """(number of the group, number in it, parameter) for all parameters, in the order of the groups."""
    groups = optimizer.param_groups
    return [(g, i, parameter) for g, group in enumerate(groups) for i, parameter in enumerate(group["params"])]


def _masters(optimizer: torch.optim.Optimizer) -> dict[torch.nn.Parameter, torch.Tensor]:
    masters = optimizer.masters if isinstance(optimizer, Float32Update) else None
    return {} if masters is None else masters


def _placed(key: str, value: Any, device: torch.device, group: dict[str, Any]) -> Any:
    """``value`` where torch keeps it: everything beside its parameter, a step that is not fused on the host."""
    if not isinstance(value, torch.Tensor):
        return value
    beside = key != "step" or group.get("fused") or group.get("capturable")
    return _own(value, device if beside else torch.device("cpu"))


def _own(value: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy in memory of its own, aligned as torch does it."""
    return torch.empty_like(value, device=device).copy_(value)


def _fill(made: dict[str, Any], values: dict[str, Any]) -> None:
    """Copy ``values`` into the buffers of a state just ``made``."""
    for key, value in values.items():
        if key not in made:
            raise RequestError(
                f"resume/ must hold the state of this optimizer, found '{key}' in place of {', '.join(made)}; "
                "go on with the optimizer that the run was started with"
            )
        if isinstance(value, torch.Tensor):
            made[key].copy_(value)
        else:
            made[key] = value


def release_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Set what ``optimizer`` carries of past directions to zero; their squares, its metric, stay."""
    for state in optimizer.state.values():
        eight_bit = "qmap1" in state
        for key in (*MOMENTA, "state1"):
            # Where the first moment is of 8 bits its numbers are places in a table, and its scales are zero instead.
            if isinstance(state.get(key), torch.Tensor) and not (eight_bit and key == "state1"):
                state[key].zero_()
