"""The part of Hydra's own node that a run heeds. Hydra composes a run; the door (launch/) starts it, not Hydra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.utils import env_override
from omegaconf import DictConfig, OmegaConf

from mollm_cli.core.errors import RequestError

RUNNERS = {"callbacks": {}, "job.chdir": False, "output_subdir": None, "verbose": False}
"""Keys that only Hydra's runner heeds, with the value that asks nothing."""


def require_no_runner(composed: DictConfig) -> None:
    """Raise RequestError where ``composed`` asks for what only Hydra's runner would do."""
    for key, nothing in RUNNERS.items():
        found = OmegaConf.select(composed.hydra, key)
        if found not in (nothing, None):
            raise RequestError(
                f"hydra.{key} is for Hydra's runner, by which no run is started, found {found}; leave it out"
            )


@contextmanager
def environment(composed: DictConfig) -> Iterator[None]:
    """Within the block the environment has the variables of hydra.job.env_set, as every process started there does."""
    with env_override({str(name): str(value) for name, value in composed.hydra.job.env_set.items()}):
        yield
