"""Loads a model and its tokenizer from their description, and takes the fingerprint of their files."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import warnings
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mollm_cli.assets.locate import resolve
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manner import Manner, give_manner
from mollm_cli.models.adapter import check_adapter, four_bits, with_adapter
from mollm_cli.models.hub_models import cache_only, fetch, reading
from mollm_cli.models.model_settings import Model
from mollm_cli.models.own_ends import own_ends
from mollm_cli.models.quiet import quieten
from mollm_cli.models.rehearsed import check_layers, rehearse, wants_rehearsal
from mollm_cli.models.start_files import GENERATION, TOKENIZER, StartFiles, whole_text

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Files of which a folder needs one to have a tokenizer at all."""
LIBRARIES = r"(transformers|peft|huggingface_hub|accelerate)(\.|$)"
"""Modules whose warnings are not for the user."""
WEIGHT_SUFFIXES = (".safetensors", ".bin")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to train, and its tokenizer.

    start: what was read beside the weights, which a checkpoint is written from.
    files: the weight files with their hashes.
    commit: the Hub's, if the model came from there.
    """

    description: Model
    model: Any
    tokenizer: Any
    start: StartFiles
    files: list[dict[str, Any]]
    commit: str | None


def source(description: Model) -> str:
    """The folder or Hub id to load from. Raises RequestError for a folder that is missing or holds no model."""
    path = description.path
    folder = resolve(path)
    looks_local = path.startswith(("embedded:", "/", ".", "~")) or folder.exists() or path.count("/") != 1
    if not looks_local:
        return path
    if not folder.is_dir():
        raise RequestError(
            f"model.path={path}: no such folder. Set model.path to a model folder or a Hub id (org/name)."
        )
    if not (folder / "config.json").is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
        raise RequestError(
            f"model.path={path}: a model folder must hold config.json and weights, found: {found}. "
            "Set model.path to what save_pretrained wrote, e.g. RUN/checkpoint."
        )
    return str(folder)


def load_tokenizer(description: Model) -> Any:
    """The tokenizer of a model. Raises RequestError where there is none."""
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # a request to an outside service otherwise
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", module=LIBRARIES)  # of each other, for their own developers

    path = source(description)
    _require_tokenizer_files(path, description.path)
    options, folder = _options(description, path), snapshot(path, description.revision)
    check_layers(description, folder)
    if wants_rehearsal(description, folder):
        AutoTokenizer.from_pretrained(str(resolve("embedded:tiny")))  # a process of its own would import it all again
        rehearse(description, folder, "tokenizer", lambda: _used(AutoTokenizer.from_pretrained(str(folder))))
    with reading(description.path, "tokenizer"):
        tokenizer = _used(AutoTokenizer.from_pretrained(path, **options))
        if not (Path(path).is_dir() or options["local_files_only"]):
            fetch(path, TOKENIZER, description.revision)  # a checkpoint has files that this version does not read
    ends = tuple(end for end in own_ends(path, **options) if end < len(tokenizer))
    give_manner(tokenizer, Manner(description.template_options or {}, ends))
    return tokenizer


def _used(tokenizer: Any) -> Any:
    """``tokenizer``, asked once for all that is asked of it later."""
    tokenizer("a")
    len(tokenizer), tokenizer.get_vocab(), tokenizer.special_tokens_map, tokenizer.all_special_ids
    return tokenizer


def _options(description: Model, path: str) -> dict[str, Any]:
    """The options of every from_pretrained of this model."""
    return {
        "revision": description.revision,
        "trust_remote_code": description.trust_remote_code,
        "local_files_only": cache_only(path),
    }


def _require_tokenizer_files(path: str, asked: str) -> None:
    """Refuse a folder with config.json alone: transformers makes an empty tokenizer of it, which encodes to nothing."""
    folder = Path(path)
    if folder.is_dir() and not any((folder / name).is_file() for name in VOCABULARIES):
        raise RequestError(
            f"model.path={asked}: the tokenizer cannot be loaded, found none of {', '.join(VOCABULARIES)}. "
            "Save the model's tokenizer into the same folder (tokenizer.save_pretrained)."
        )


def load_model(description: Model, seed: int, tokenizer: Any = None) -> LoadedModel:
    """The model in ``description.dtype``, quiet (models/quiet.py), with its adapter.

    tokenizer: its tokenizer, where that has been loaded already: of a large vocabulary it takes hundreds of MiB.

    Raises RequestError for what cannot load.
    """
    check_adapter(description)
    check_attention(description)
    tokenizer = load_tokenizer(description) if tokenizer is None else tokenizer
    path = source(description)
    model, read = _weights(description, path, seed)
    with reading(description.path, "configuration"):
        start = StartFiles.of(snapshot(path, description.revision), read, model, tokenizer)
    _check_vocabulary(model, tokenizer, description)
    if description.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    if description.adapter != "none":
        model = with_adapter(model, description, seed)
    if description.activation_checkpointing:
        model.train()  # transformers checkpoints in training mode only; dropout is 0 in the configuration
    files, read_at = fingerprint(path, description.revision), commit(path, description.revision)
    return LoadedModel(description, model, tokenizer, start, files, read_at)


def check_attention(description: Model) -> None:
    """Refuse an attention for which this machine has no kernel, before any weight is read. Raises RequestError."""
    import torch

    if description.attn_implementation != "flash_attention_2":
        return
    packages = ("flash_attn", "kernels")
    if torch.cuda.is_available() and any(importlib.util.find_spec(name) for name in packages):
        return
    found = "neither package" if torch.cuda.is_available() else "no CUDA device"
    raise RequestError(
        f"model.attn_implementation=flash_attention_2 needs a CUDA device and the package flash-attn or kernels, found "
        f"{found}; set model.attn_implementation=sdpa"
    )


def _weights(description: Model, path: str, seed: int) -> tuple[Any, dict[str, Any]]:
    """The model, and the text of the configuration that it was made from."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    options = _options(description, path)
    dtype = getattr(torch, description.dtype)
    folder = snapshot(path, description.revision)
    rehearse_architecture(description, path)
    with reading(description.path, "model"):
        config = AutoConfig.from_pretrained(path, **options)
        quieten(config)
        read = whole_text(config)
        attention = {"attn_implementation": description.attn_implementation} if description.attn_implementation else {}
        if description.weights == "random":
            torch.manual_seed(seed)
            return AutoModelForCausalLM.from_config(config, dtype=dtype, **attention), read
        options |= attention
        if description.adapter == "qlora":
            options |= four_bits(description)
        _check_generation(description, folder)
        if options["local_files_only"]:  # an adapter is looked for too, and an absent Hub would be asked six times
            options["adapter_kwargs"] = {"local_files_only": True}
        model, found = AutoModelForCausalLM.from_pretrained(
            path, config=config, dtype=dtype, output_loading_info=True, **options
        )
    _check_complete(found["missing_keys"], description)
    return model, read


def _check_generation(description: Model, folder: Path | None) -> None:
    """Refuse a generation_config.json at which the loader of the whole model would stop, without naming it."""
    from transformers import GenerationConfig

    if folder is None or not (folder / GENERATION).is_file():
        return
    try:
        GenerationConfig.from_pretrained(str(folder))
    except Exception as error:  # what it says of itself need not go together
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise RequestError(
            f"model.path={description.path}: {GENERATION} must hold settings that go together, found "
            f"{type(error).__name__}: {first}. Set model.path to another folder, or mend or remove that file"
        ) from error


def rehearse_architecture(description: Model, path: str) -> None:
    """Build what config.json describes in a process with limits. Raises RequestError where they are reached."""
    import transformers.modeling_utils  # noqa: F401 - a process of its own would import it for itself alone

    folder = snapshot(path, description.revision)
    rehearse(description, folder, "architecture", partial(_build, description, path))


def _build(description: Model, path: str) -> None:
    """Without storage."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(path, revision=description.revision, local_files_only=True)
    with torch.device("meta"):
        AutoModelForCausalLM.from_config(config, dtype=getattr(torch, description.dtype))


def plain_weights(description: Model) -> Any:
    """Load the base model once more, in its full type and without an adapter, to merge one into it."""
    plain = replace(description, adapter="none", adapter_path=None, reference="auto")
    return _weights(plain, source(plain), seed=0)[0]


def _check_complete(missing: Collection[str], description: Model) -> None:
    """Refuse a model for which the loader made up weights."""
    if missing:
        raise RequestError(
            f"model.path={description.path}: the weight files must hold every weight of config.json, found "
            f"{len(missing)} missing, the first is {min(missing)}. Copy weights and config.json from one place, or set "
            "model.weights=random for a model without weights"
        )


def _check_vocabulary(model: Any, tokenizer: Any, description: Model) -> None:
    rows, tokens = model.get_input_embeddings().weight.shape[0], len(tokenizer)
    if tokens > rows:
        raise RequestError(
            f"model.path={description.path}: the tokenizer has {tokens} tokens, the model embeds {rows}. "
            "Use the tokenizer that the model was trained with, or resize the model's embeddings first."
        )


def fingerprint(path: str, revision: str | None = None) -> list[dict[str, Any]]:
    """Name, bytes and sha256 of every weight file under ``path`` (a Hub id: its files in the local cache)."""
    folder = snapshot(path, revision)
    files = [] if folder is None else [p for p in sorted(folder.iterdir()) if p.suffix in WEIGHT_SUFFIXES]
    return [{"path": p.name, "bytes": p.stat().st_size, "sha256": sha256(p)} for p in files]


def commit(path: str, revision: str | None = None) -> str | None:
    """The commit at which ``path`` was read from the Hub; None for a folder."""
    folder = snapshot(path, revision)
    return None if folder is None or Path(path).is_dir() else folder.name


def snapshot(path: str, revision: str | None) -> Path | None:
    """The folder with the files of ``path``: itself, or the Hub's commit in the local cache; None without either."""
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(path, "config.json", revision=revision)
    return Path(cached).parent if isinstance(cached, str) else None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
