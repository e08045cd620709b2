"""Compiles the layers of a model with torch.compile."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Loss

COMPILERS = ("cl",) if sys.platform == "win32" else ("g++", "clang++", "c++")
"""Programs of which torch.compile needs one; the environment variable CXX goes before them."""


def check_compiler() -> None:
    """Refuse a machine on which nothing can be compiled. Raises RequestError."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else COMPILERS
    if not any(shutil.which(name) for name in names):
        raise RequestError(
            f"engine.compile=true needs a C++ compiler, found none ({', '.join(names)}); "
            "install one (e.g. apt install g++) or name it in CXX, or set engine.compile=false"
        )


def check_compiled(loss: Loss) -> None:
    """Refuse a loss that looks into a layer, which stops the forward pass there. Raises RequestError."""
    if any(objective.layer is not None for objective in loss.objectives):
        raise RequestError(
            f"engine.compile=true compiles whole layers, found loss={loss.name}, which reads hidden states "
            "from within; set engine.compile=false"
        )


def compile_layers(model: Any, backend: str = "inductor") -> None:
    """Compile every layer of ``model`` in place; everything around them, hooks on the head too, stays as it is.

    Names, weights and copies of the model are as before.
    """
    import torch._functorch.config as autograd_settings

    from mollm_cli.models.forward import layers

    # Two objectives go backward through one forward pass: its buffers may not be given away by the first.
    autograd_settings.donated_buffer = False
    # All layers have one code: it is compiled once per kind of pass (with a graph, without, inference), not per layer.
    for layer in layers(model):
        layer.compile(dynamic=True, backend=backend)
