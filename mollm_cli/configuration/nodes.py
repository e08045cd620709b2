"""One YAML node = one Python callable: its keys and values are held against the signature before it is called."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast, get_type_hints

from mollm_cli.configuration.fit import fit
from mollm_cli.core.errors import RequestError, nearest

TARGET = "_target_"
MISSING = "???"
DEPENDENCIES = {
    "torch", "torchvision", "torchjd", "transformers", "tokenizers", "datasets", "huggingface_hub", "accelerate",
    "peft", "safetensors", "bitsandbytes", "hydra", "omegaconf", "antlr4", "yaml", "rich", "numpy", "scipy", "pandas",
    "pyarrow", "rapidfuzz", "jinja2", "fsspec", "httpx", "requests", "aiohttp", "urllib3", "dill", "multiprocess",
    "cloudpickle", "joblib", "sklearn", "wandb", "tensorboard", "lm_eval", "pip", "setuptools", "pkg_resources",
    "pytest",
}  # fmt: skip
"""Roots of import paths that no configuration needs to name: what this package uses, and what comes along with it."""


def construct(node: object, key: str) -> Any:
    """What ``node``, found at ``key`` of the resolved configuration, stands for.

    A mapping with a ``_target_`` is checked and called, inner nodes first; other mappings and lists are walked.
    Raises RequestError for an unknown or missing key, a value of the wrong type, a mandatory value that was not
    given, a target that cannot be imported, and with the constructor's own words where that refuses a value.
    """
    if isinstance(node, Mapping):
        if TARGET in node:
            return _call(node, key)
        return {name: construct(value, f"{key}.{name}") for name, value in node.items()}
    if isinstance(node, list):
        return [construct(value, f"{key}[{index}]") for index, value in enumerate(node)]
    if node == MISSING:
        raise RequestError(required(key))
    return node


def required(key: str) -> str:
    """What is said of a mandatory value that was not given."""
    return f"{key} is required and has no default; set {key}=VALUE"


def _call(node: Mapping[str, object], key: str) -> Any:
    target = locate(node[TARGET], key)
    values = {name: value for name, value in node.items() if name != TARGET}
    known = parameters(target)
    if not _takes_any_key(target):
        refuse_unknown(values, known, key)
    for name, parameter in known.items():
        if name not in values and parameter.default is inspect.Parameter.empty:
            raise RequestError(f"{key}.{name} is required and has no default; set +{key}.{name}=VALUE")
    arguments = {
        name: fit(construct(value, f"{key}.{name}"), annotation(target.func, known.get(name)), f"{key}.{name}")
        for name, value in values.items()
    }
    try:
        return target(**arguments)
    except ValueError as refused:
        raise RequestError(str(refused)) from refused


def locate(target: object, key: str) -> functools.partial[Any]:
    """The callable at the import path ``target``, not called yet. Raises RequestError.

    It is one of this package or of the user's own: Hydra screens it (no eval, os, subprocess), and nothing of Python's
    library or of what this package uses is taken, under whatever name, since open and torch.load take any argument. The
    module that it stands in is imported, and so runs: a configuration with ``_target_`` of its own is to be read first.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    if not isinstance(target, str):
        raise RequestError(f"{key}.{TARGET} must be an import path, found {target!r}; e.g. package.module.Name")
    _screen(target, target, key)
    try:
        found = cast("functools.partial[Any]", instantiate({TARGET: target, "_partial_": True}))
    except InstantiationException as refused:
        lines = str(refused.__cause__ or refused).splitlines()
        why = lines[1] if refused.__cause__ and len(lines) > 1 else lines[0]
        raise RequestError(f"{key}.{TARGET} must name a Python callable, found '{target}': {why}") from refused
    _screen(getattr(found.func, "__module__", None) or type(found.func).__module__, target, key)
    return found


def _screen(module: str, target: str, key: str) -> None:
    root = module.partition(".")[0]
    if root in sys.stdlib_module_names or root in DEPENDENCIES:
        raise RequestError(
            f"{key}.{TARGET} must name a Python callable of mollm_cli or of yours, found '{target}', which is of the "
            f"library {root}. Write a function of your own that checks what it is given, and name that"
        )


def parameters(target: functools.partial[Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of ``target`` that a YAML key can reach, by name."""
    by_name = inspect.signature(target.func).parameters
    return {
        name: p for name, p in by_name.items() if p.kind not in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def _takes_any_key(target: functools.partial[Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(target.func).parameters.values())


def annotation(function: Any, parameter: inspect.Parameter | None) -> Any:
    """The type that ``parameter`` of ``function`` asks for; Any where that is none, or seen by checkers only."""
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={"value": parameter.annotation})
    try:
        return get_type_hints(cast(Any, holder), vars(sys.modules[function.__module__]))["value"]
    except NameError:
        return Any


def refuse_unknown(names: Mapping[str, object], known: Mapping[str, object], key: str) -> None:
    """Raise RequestError for the first of ``names`` that is not ``known``; ``key`` is "" at the root."""
    for name in names:
        if name not in known:
            path = f"{key}.{name}" if key else name
            raise RequestError(f"{path} is not a key; {nearest(name, known)}")
