"""Models of the Hugging Face Hub: read from the cache where it does not answer, and what to say when that fails."""

from __future__ import annotations

import sys
from pathlib import Path

from mollm_cli.core import network


def cache_only(path: str) -> bool:
    """Whether ``path`` is a Hub id and the Hub may not, or cannot, be asked. Says so where it does not answer."""
    if Path(path).is_dir() or (silence := network.silence()) is None:
        return False
    if not network.offline():
        print(f"{silence}: {path} is read from the local cache", file=sys.stderr)
    return True


def refusals() -> tuple[type[Exception], ...]:
    """What from_pretrained raises for files that it cannot get or read."""
    import pickle

    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # httpx's, whichever it is built on
    from safetensors import SafetensorError

    return OSError, ValueError, KeyError, ImportError, RuntimeError, HTTPError, SafetensorError, pickle.UnpicklingError


def explain(path: str, what: str, error: Exception) -> str:
    """One message: what was asked, what the loader said first, what to do about it."""
    text = str(error)
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    if "trust_remote_code" in text:
        remedy = "It runs code of its own: read that code, then set model.trust_remote_code=true."
    elif "mismatched" in text:
        remedy = "config.json and the weight files are of different models: copy both from one place."
    elif "weights_only" in text or "Weights only" in text:
        remedy = "A .bin file must hold tensors only, this one holds code: do not load it; take safetensors instead."
    elif type(error).__name__ == "SafetensorError":
        remedy = "A weight file is damaged or incomplete: copy or download it again."
    else:
        remedy = network.remedy(error, "model", "model.path=DIR to a local folder")
        remedy = remedy or "Set model.path to a folder written by save_pretrained, or to a Hub id (org/name)."
    return f"model.path={path}: the {what} cannot be loaded ({type(error).__name__}: {first[:300]}). {remedy}"
