"""What is composed without Hydra, held against what Hydra composes."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.compose import names, without_hydra
from mollm_cli.configuration.outline import outline


def check_outline(config: str, overrides: Sequence[str], composed: DictConfig) -> None:
    """Of overrides that are all choices of groups, the outline is ``composed``: the same values, the same names."""
    pairs = [text.partition("=") for text in overrides]
    if not all((config_dir() / key.lstrip("+").partition("@")[0]).is_dir() for key, _, _ in pairs):
        return
    typed = {key: name for key, _, name in pairs if not key.startswith("+")}
    outlined = outline(config_dir(), config, typed, [(key[1:], name) for key, _, name in pairs if key not in typed])
    assert outlined.tree == OmegaConf.to_container(without_hydra(composed), resolve=False)
    found = names(composed.hydra.runtime.choices, also_empty=True)
    assert {group: str(name) for group, name in outlined.chosen.items()} == found
