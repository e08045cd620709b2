"""Hydra's refusals in our words: what must hold, what was found, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.errors import MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from mollm_cli.configuration.nodes import required
from mollm_cli.configuration.wrong_overrides import no_option, unknown_key

Known = Callable[[], tuple[Mapping[Any, Any], Sequence[str]]]
"""The configuration and the groups that names are looked for in; composed only where a message needs them."""

_UNKNOWN = re.compile(r"Could not (?:override|delete from config\.) '(?P<key>[^']+)'")
_MISSING = re.compile(r"Missing mandatory value: (?P<key>\S+)")
_MERGING = re.compile(r"Error merging override (?P<override>.*)", re.DOTALL)
_TAKEN = re.compile(r"An item is already at '(?P<key>[^']+)'|Multiple values for (?P<group>[^.]+)\.")


def explain(refused: Exception, known: Known) -> str:
    """One line for what Hydra, OmegaConf or the YAML reader refused."""
    text = str(refused)
    if isinstance(refused, MissingConfigException) and refused.missing_cfg_file:
        return no_option(str(refused.missing_cfg_file), refused.options or ())
    if unknown := _UNKNOWN.search(text):
        return unknown_key(unknown["key"], *known())
    if taken := _TAKEN.search(text):
        key = taken["key"] or taken["group"]
        return f"{key} is there already; leave out the + and write {key}=VALUE"
    if missing := _MISSING.search(text):
        return required(missing["key"])
    if merging := _MERGING.match(text):
        why = str(refused.__cause__ or "it does not fit there").splitlines()[0].rstrip(".")
        return f"{merging['override']} cannot be set: {why}; see --cfg job for what stands there"
    if isinstance(refused, OmegaConfBaseException):
        return f"{refused.full_key}: {refused.msg or refused}".splitlines()[0]
    if text.startswith("Config group override must be"):
        return f"a group must be given the name of one of its choices: {text}; see --list GROUP"
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
