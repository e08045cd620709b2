"""A model that cannot be had at all is refused before a run directory is made and before torch is imported."""

from __future__ import annotations

from pathlib import Path

from mollm_cli.core import network
from mollm_cli.core.errors import RequestError
from mollm_cli.models.load_model import snapshot, source
from mollm_cli.models.model_settings import Model


def require_at_hand(description: Model) -> None:
    """Raise RequestError for a Hub id that is not in the local cache while the Hub is silent, or for a wrong folder."""
    path = source(description)
    if Path(path).is_dir() or snapshot(path, description.revision) is not None:
        return
    if (silence := network.silence()) is not None:
        raise RequestError(
            f"model.path={path} is not in the local cache, and it cannot be fetched: {silence}. Fetch it where there "
            f"is a network (hf download {path}), set HF_HOME to a folder that has it, HF_ENDPOINT to a mirror, or "
            "model.path=DIR; --plan needs no weights"
        )
