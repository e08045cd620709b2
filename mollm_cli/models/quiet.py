"""Quiet while a model is loaded: the noise and the unread outputs that a configuration switches on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

NOISE = re.compile(r"dropout|pdrop|layerdrop|jitter")
"""Keys of rates at which a model draws at random while it is trained; each is 0 while it is loaded, so that the KL is 0
at the start."""
FLAGS: Mapping[str, bool] = {
    "output_attentions": False,
    "output_hidden_states": False,
    "output_router_logits": False,
    "torchscript": False,
    "gradient_checkpointing": False,
    "return_dict": True,
    "use_cache": True,
}
"""Switches that change what a forward pass returns, or keeps, and the value that each has while a model is loaded."""


def quieten(config: Any) -> None:
    """Set the rates of ``config`` to 0 and its switches to what they are by default, in its sub-configurations too.

    Nobody writes the old values back: a checkpoint's config.json is the starting model's own, and differs from it by
    what has changed since this call (models/start_files.py).
    """
    for part in _parts(config):
        for key, value in list(vars(part).items()):
            if isinstance(value, float) and NOISE.search(key):
                setattr(part, key, 0.0)
        for key, plain in FLAGS.items():
            if getattr(part, key, plain) != plain:
                setattr(part, key, plain)


def _parts(config: Any) -> Iterator[Any]:
    """``config``, and the configurations in it."""
    yield config
    for value in list(vars(config).values()):
        if hasattr(value, "model_type") and hasattr(value, "to_dict"):
            yield from _parts(value)
