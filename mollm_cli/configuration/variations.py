"""Many jobs of one command: what they choose is composed once, what they set is put into it in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from mollm_cli.configuration.compose import compose_job, composed_plain, parse, resolved, within_limits
from mollm_cli.configuration.programs import Command
from mollm_cli.configuration.root_values import VALUES
from mollm_cli.core.bounded import forks


class Variations:
    """The configurations of jobs of ``command``: as of ``compose_job``, in a quarter of its time for each."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def plain(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The resolved configuration of the job with these ``overrides``. Raises RequestError as ``compose_job``."""
        read = parse(overrides)
        values = [override for override in read if self._is_value(override)]
        chosen = tuple(str(override.input_line) for override in read if not self._is_value(override))
        if chosen not in self._composed:
            self._composed[chosen] = compose_job(self._command.config, chosen)
        composed = self._composed[chosen]
        if not forks():
            return self._anew(overrides)
        return within_limits(lambda: self._varied(composed, values, overrides), lambda: self._anew(overrides))

    def _is_value(self, override: Override) -> bool:
        """True if an override sets a value. One that could be a choice, or Hydra's own, counts as a choice."""
        key = override.get_key_element().lstrip("+~")
        if "@" in key or "/" in key or key.startswith("hydra."):
            return False
        return "." in key or key in VALUES[self._command.name]

    def _anew(self, overrides: Sequence[str]) -> dict[str, Any]:
        return composed_plain(compose_job(self._command.config, overrides))

    def _varied(self, composed: DictConfig, values: Sequence[Override], typed: Sequence[str]) -> dict[str, Any]:
        """``composed`` changed in place, which a copy would take as long for as composing anew: a fork is one already.

        What Hydra would refuse is composed anew, so that it is told in the words of ``compose_job``.
        """
        try:
            ConfigLoaderImpl._apply_overrides_to_config(list(values), composed)
            with read_write(composed.hydra), open_dict(composed.hydra):
                composed.hydra.overrides.task = list(typed)
                composed.hydra.job.override_dirname = ",".join(typed)
        except (HydraException, OmegaConfBaseException, ValueError):
            return self._anew(typed)
        HydraConfig.instance().set_config(composed)
        return resolved(composed)
