"""Writes a model so that ``AutoModelForCausalLM.from_pretrained(folder)`` just works, in transformers 5 and 4."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import whole
from mollm_cli.core.errors import RequestError
from mollm_cli.models.load_model import LoadedModel, plain_weights
from mollm_cli.models.own_ends import name_ends
from mollm_cli.models.start_files import CONFIG, GENERATION, TOKENIZER, tied


def save_checkpoint(loaded: LoadedModel, folder: Path, ends: Sequence[int] = ()) -> None:
    """Write safetensors, configuration and tokenizer into ``folder``; an adapter is merged on the way out.

    The model in memory keeps its adapter, since a copy is merged. The adapter itself goes to ``adapter/`` beside
    ``folder``. All but the weights is the starting model's, with what has changed (models/start_files.py). The folder
    is whole or not there at all (core/atomic.py).

    ends: tokens at which its generations are over, which generation_config.json names then.
    """
    model = _plain(loaded, folder.with_name("adapter"))
    name_ends(model, ends)
    with whole(folder, anew=True) as temporary:
        with _saveable(model):
            model.save_pretrained(temporary)
        for _, write in _writers(loaded, model):
            write(temporary)
        _evenly(temporary)


def rehearse_saving(loaded: LoadedModel) -> None:
    """Write all of a checkpoint but its weights to a folder that is removed again.

    Raises RequestError, which names the file, where the end of a run would fail to write it.
    """
    model = loaded.model.get_base_model() if hasattr(loaded.model, "get_base_model") else loaded.model
    with tempfile.TemporaryDirectory(prefix="mollm-") as folder:
        for name, write in _writers(loaded, model):
            try:
                write(Path(folder))
            except MemoryError:
                raise
            except Exception as error:  # transformers checks what it writes in ways of its own
                lines = str(error).strip().splitlines() or [""]
                raise RequestError(
                    f"model.path={loaded.description.path}: {name} must be one that a checkpoint can be written with, "
                    f"found {type(error).__name__}: {lines[0][:300]}. Mend or remove {name} in that folder"
                ) from error


def _writers(loaded: LoadedModel, model: Any) -> list[tuple[str, Callable[[Path], None]]]:
    """The writers of the files beside the weights, each with the file that it may stumble over."""
    start = loaded.start

    def config(folder: Path) -> None:
        with _saveable(model):
            model.config.save_pretrained(folder)  # refuses what transformers refuses; the text that stays is ours
        start.write_config(model, folder)

    return [
        (CONFIG, config),
        (GENERATION, lambda folder: start.write_generation(model, folder)),
        (TOKENIZER[0], lambda folder: start.write_tokenizer(loaded.tokenizer, folder)),
    ]


@contextmanager
def _saveable(model: Any) -> Iterator[None]:
    """Within the block ``model`` has configurations that save_pretrained takes.

    It refuses settings of a generation in config.json, where many models have them, and combinations of them that it
    has read without a word.
    """
    from transformers import GenerationConfig

    kept = model.config, getattr(model, "generation_config", None)
    config = copy.deepcopy(model.config)
    declared = {field.name for field in dataclasses.fields(config)} if dataclasses.is_dataclass(config) else set()
    for key in vars(GenerationConfig()).keys() & vars(config).keys() - declared - {"use_cache"}:
        delattr(config, key)
    config.tie_word_embeddings = tied(model)
    model.config, model.generation_config = config, GenerationConfig()
    try:
        yield
    finally:
        model.config, model.generation_config = kept


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
