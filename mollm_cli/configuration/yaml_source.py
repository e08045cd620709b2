"""The user's own YAML files, looked at before Hydra reads them; ours are parsed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra._internal import defaults_list
from hydra._internal.core_plugins import file_config_source
from hydra._internal.defaults_list import Overrides
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import InputDefault
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.composed_once import compose_once
from mollm_cli.configuration.outline import numbers
from mollm_cli.configuration.strangers import check_content
from mollm_cli.core.errors import RequestError
from mollm_cli.core.safe_yaml import check_yaml, load_yaml, require_mapping

_choices_so_far = defaults_list._create_interpolation_map
_PARSED: dict[tuple[str, str], tuple[Any, dict[str, str | None]]] = {}


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's source of files, which refuses what must not be composed (core/safe_yaml.py).

    Hydra writes out each alias of a file and goes down each of its lists, however many that are. The
    name is that of the class in whose place it stands: Hydra's registry tells them apart by it.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """The file below this folder. Raises RequestError; what is missing is Hydra's to say."""
        if Path(self.path) == config_dir():
            return self._packaged(config_path)
        file = Path(self.path, self._normalize_file_name(config_path))
        if file.is_file():
            text = _text(file)
            check_yaml(text, str(file))
            require_mapping(text, str(file))
        result = super().load_config(config_path)
        said = OmegaConf.to_container(result.config, resolve=False)
        check_content({"@package": result.header.get("package"), "": said}, str(file))
        return result

    def _packaged(self, config_path: str) -> ConfigResult:
        """A file of our own: parsed once in a process, and by the quick parser, ten times as fast as OmegaConf's."""
        place = self.path, config_path
        if place not in _PARSED:
            file = Path(self.path, self._normalize_file_name(config_path))
            if not file.is_file():
                return super().load_config(config_path)
            text = file.read_text(encoding="utf-8")
            _PARSED[place] = numbers(load_yaml(text, str(file))) or {}, self._get_header_dict(text[:512])
        content, header = _PARSED[place]
        name = f"{self.scheme()}://{self.path}"
        return ConfigResult(self.provider, name, OmegaConf.create(content), dict(header))


def check_files() -> None:
    """From now on Hydra reads files through the source above. Call it before Hydra is initialised."""
    Plugins.instance()  # registers Hydra's own sources
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource
    defaults_list._create_interpolation_map = _choices_if_needed  # type: ignore[assignment]
    compose_once()
    launchers = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for file in (config_dir() / "hydra" / "launcher").glob("*.yaml"):
        launchers.pop(file.name, None)  # ours stand in place of what the plugins register, beside which Hydra warns


def _choices_if_needed(overrides: Overrides, defaults: list[InputDefault], self_added: bool) -> DictConfig:
    """The choices that ``${...}`` in a defaults list can name; to make them always takes a quarter of composing."""
    if any(default.is_interpolation() for default in defaults):
        return _choices_so_far(overrides, defaults, self_added)
    return OmegaConf.create()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise RequestError(f"{file}: must be a readable text, found: {problem}. Correct or remove it") from problem
