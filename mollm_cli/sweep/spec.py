"""``sweep=NAME``: a file of conf/sweep as overrides for ``-m``, with its budget told before the first run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mollm_cli.configuration.choices import choices, config_dir
from mollm_cli.configuration.strangers import check_override
from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.core.safe_yaml import load_yaml
from mollm_cli.core.secrets import shown_override

if TYPE_CHECKING:
    from mollm_cli.configuration.request import Request

GROUP = "sweep"
_TIMES = "times"


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """One file of conf/sweep. params: key -> values, {"times": factors} or a range. fixed: key -> value.

    search: of a sweep whose jobs are proposed one after the other: trials, at_once, seed. Ranges ({"low", "high",
    "log", "step"}) are for these.
    """

    name: str
    params: Mapping[str, Any]
    fixed: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)


def sweeping(overrides: Sequence[Override], folders: Sequence[Path]) -> tuple[SweepSpec | None, list[Override]]:
    """The sweep that ``overrides`` name, None where they name none, and the others. Raises RequestError."""
    rest = [override for override in overrides if override.key_or_group != GROUP]
    named = [override.get_value_string() for override in overrides if override.key_or_group == GROUP]
    if not named:
        return None, rest
    known = choices(GROUP, folders)
    if len(named) > 1 or named[0] not in known:
        raise RequestError(f"sweep must be one of its choices, found '{' '.join(named)}'; {nearest(named[0], known)}")
    file = next(path for folder in folders if (path := folder / GROUP / f"{named[0]}.yaml").is_file())
    sweep = _read(named[0], file)
    if not file.is_relative_to(config_dir()):
        for key, value in (*sweep.fixed.items(), *sweep.params.items()):
            check_override(f"{key}={value}", str(file))
    return sweep, rest


def _read(name: str, file: Path) -> SweepSpec:
    try:
        content = load_yaml(file.read_text(encoding="utf-8"), str(file))
        sweep = SweepSpec(name, **content)
        good = isinstance(sweep.fixed, Mapping) and bool(sweep.params) and all(map(_values, sweep.params.values()))
        good = (
            good and _is_search(sweep.search) and (bool(sweep.search) or not any(map(is_range, sweep.params.values())))
        )
    except (TypeError, AttributeError, UnicodeDecodeError):
        good = False
    if not good:
        raise RequestError(
            f"{file} must have params (KEY: [values] or {{times: [factors]}}) and fixed (KEY: value), for a search "
            "search (trials, at_once, seed) and ranges ({low:, high:, log:, step:}), and nothing else; "
            "conf/sweep/pareto-search.yaml is one that does"
        )
    return sweep


def _values(param: Any) -> list[Any]:
    """The values, the factors, or the ends of the range of a parameter; [] where there are none."""
    if is_range(param):
        return [param["low"], param["high"]]
    listed = param.get(_TIMES) if isinstance(param, Mapping) and len(param) == 1 else param
    if not isinstance(listed, list) or (listed is not param and not all(map(_is_number, listed))):
        return []
    return listed


def is_range(param: object) -> bool:
    """True if a parameter is drawn from between two numbers."""
    if not isinstance(param, Mapping) or not {"low", "high"} <= param.keys() <= {"low", "high", "log", "step"}:
        return False
    low, high, step = param["low"], param["high"], param.get("step", 1)
    return all(map(_is_number, (low, high, step))) and low < high and step > 0 and (low > 0 or not param.get("log"))


def _is_search(search: Any) -> bool:
    return (
        isinstance(search, Mapping)
        and search.keys() <= {"trials", "at_once", "seed"}
        and all(isinstance(value, int) and value >= 0 for value in search.values())
        and (not search or min(search.get("trials", 0), search.get("at_once", 1)) >= 1)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def expanded(sweep: SweepSpec, overrides: Sequence[Override], base: DictConfig) -> list[str]:
    """The overrides of the sweep as texts; ``base`` is what those with one value compose. Raises RequestError.

    What is typed wins: a value of a fixed key, or the values of a parameter; one value of a parameter that is swept by
    factors is what they are factors of.
    """
    typed = {override.get_key_element().lstrip("+~"): override for override in overrides}
    several = {key for key, override in typed.items() if override.is_sweep_override()}
    params = {key: _values(param) if is_range(param) else param for key, param in sweep.params.items()}
    scaled = {key for key, param in params.items() if isinstance(param, Mapping) and key not in several}
    texts = [str(override.input_line) for key, override in typed.items() if key not in scaled]
    texts += [f"{key}={_spelled(value)}" for key, value in sweep.fixed.items() if key not in typed]
    for key, param in params.items():
        if key in scaled:
            texts.append(f"{key}={','.join(map(_spelled, _scaled(key, _values(param), base)))}")
        elif key not in typed:
            texts.append(f"{key}={','.join(map(_spelled, param))}")
    return texts


def _scaled(key: str, factors: Sequence[float], base: DictConfig) -> list[float]:
    value = OmegaConf.select(base, key)
    if not _is_number(value):
        raise RequestError(
            f"{key} must be a number, because sweep takes factors of it, found {value}; set {key}=NUMBER"
        )
    return [float(f"{factor * value:.6g}") for factor in factors]


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def space(sweep: SweepSpec, typed: Sequence[Override], overrides: Sequence[Override]) -> dict[str, Any]:
    """The ranges, and the lists of values as typed, that a search draws from, out of ``expanded`` overrides."""
    given = {override.get_key_element().lstrip("+~") for override in typed}
    several = {o.get_key_element(): list(o.sweep_string_iterator()) for o in overrides if o.is_sweep_override()}
    return {key: sweep.params[key] if _ranges(sweep, key) and key not in given else several[key] for key in several}


def _ranges(sweep: SweepSpec, key: str) -> bool:
    return key in sweep.params and is_range(sweep.params[key])


def budget(sweep: SweepSpec, overrides: Sequence[str], requests: Sequence[Request], runs: int) -> str:
    """The number of runs, and of steps in each, that the sweep comes to at most."""
    from mollm_cli.configuration.request import TrainRequest

    steps = max(request.engine.max_steps for request in requests if isinstance(request, TrainRequest))
    params = [shown_override(text) for text in overrides if text.partition("=")[0] in sweep.params]
    runs = sweep.search.get("trials", runs)
    return (
        f"sweep={sweep.name}: {runs} runs of at most {steps} steps each (at most {runs * steps} steps); "
        f"{' '.join(params)}"
    )
