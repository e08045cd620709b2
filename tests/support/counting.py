"""Counts the passes of a small Llama."""

from __future__ import annotations

import torch


def counting(model):
    """{"forward": n, "backward": n}, kept up to date: passes through the first layer."""
    counts = {"forward": 0, "backward": 0}
    layer = model.model.layers[0]
    layer.register_forward_hook(lambda *a: counts.__setitem__("forward", counts["forward"] + 1))
    # a gradient reaches the first layer's input norm once per backward pass through the model
    layer.input_layernorm.weight.register_hook(lambda g: counts.__setitem__("backward", counts["backward"] + 1))
    return counts


def parameters(model):
    """All of them as one vector."""
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def moved(model, seed=3):
    """A model that is not its own reference any more, so that KL is alive."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
