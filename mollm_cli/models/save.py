"""Writes a model so that ``AutoModelForCausalLM.from_pretrained(folder)`` just works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import whole
from mollm_cli.models.load_model import LoadedModel, plain_weights
from mollm_cli.models.own_ends import name_ends


def save_checkpoint(loaded: LoadedModel, folder: Path, ends: Sequence[int] = ()) -> None:
    """Write safetensors, configuration and tokenizer into ``folder``; an adapter is merged on the way out.

    The model in memory keeps its adapter, since a copy is merged. The adapter itself goes to ``adapter/`` beside
    ``folder``. Dropout rates are written as they were read. The folder is whole or not there at all (core/atomic.py).

    ends: tokens at which its generations are over, which generation_config.json names then.
    """
    model = _plain(loaded, folder.with_name("adapter"))
    name_ends(model, ends)
    with whole(folder, anew=True) as temporary:
        zeroed = {key: getattr(model.config, key) for key in loaded.dropouts}
        for key, rate in loaded.dropouts.items():
            setattr(model.config, key, rate)
        try:
            model.save_pretrained(temporary)
            loaded.tokenizer.save_pretrained(temporary)
        finally:
            for key, rate in zeroed.items():
                setattr(model.config, key, rate)
        _evenly(temporary)


def _plain(loaded: LoadedModel, folder: Path) -> Any:
    """The model without an adapter: an adapter is saved in ``folder`` and merged into a copy."""
    from mollm_cli.models.adapter import merged

    if not hasattr(loaded.model, "merge_and_unload"):
        return loaded.model
    with whole(folder, anew=True) as temporary:
        loaded.model.save_pretrained(temporary)
        _evenly(temporary)
    return merged(loaded.model, folder, lambda: plain_weights(loaded.description))


def _evenly(folder: Path) -> None:
    """Make every file as open as the umask has made ``folder``: save_pretrained writes weights 0600 whatever it is."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
