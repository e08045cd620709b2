"""The layers of a model, where every layer gets weights of its own (direction.scope=layer)."""

from __future__ import annotations

from collections.abc import Sequence


def layer_of(name: str) -> str:
    """The layer that the parameter ``name`` belongs to, by its module path alone.

    Up to and including the first number: "model.layers.3.mlp.up_proj.weight" belongs to "model.layers.3", with all of
    its decoder block, an adapter's matrices and a mixture's experts included. Without a number (embeddings, the last
    norm, the head): the module that holds it, so that each forms one layer. Tied weights have one name, and one layer.
    """
    path = name.split(".")
    numbers = [k for k, part in enumerate(path) if part.isdigit()]
    return ".".join(path[: numbers[0] + 1] if numbers else path[:-1])


def layer_indices(names: Sequence[str]) -> tuple[list[str], list[int]]:
    """The layers of the parameters ``names``, in order of first use, and for every parameter the index of its layer."""
    layers = list(dict.fromkeys(layer_of(name) for name in names))
    place = {layer: k for k, layer in enumerate(layers)}
    return layers, [place[layer_of(name)] for name in names]
