"""What to tell someone whose model does not load."""

from __future__ import annotations


def explain(path: str, what: str, error: Exception) -> str:
    """One message: what was asked, what the loader said first, what to do about it."""
    text = str(error)
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    if "trust_remote_code" in text:
        remedy = "It runs code of its own: read that code, then set model.trust_remote_code=true."
    elif "gated" in text.lower() or "401" in text or "403" in text:
        remedy = "Ask for access on its page and log in (HF_TOKEN), or set model.path to a local folder."
    elif "connect" in text.lower() or "offline" in text.lower() or "couldn't reach" in text.lower():
        remedy = (
            "The Hub cannot be reached: set model.path=DIR to a local folder, or HF_HUB_OFFLINE=1 with a warm cache."
        )
    elif "mismatched" in text:
        remedy = "config.json and the weight files are of different models: copy both from one place."
    elif type(error).__name__ == "SafetensorError":
        remedy = "A weight file is damaged or incomplete: copy or download it again."
    else:
        remedy = "Set model.path to a folder written by save_pretrained, or to a Hub id (org/name)."
    return f"model.path={path}: the {what} cannot be loaded ({type(error).__name__}: {first[:300]}). {remedy}"
