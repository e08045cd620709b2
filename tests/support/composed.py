"""Configurations of command lines, each composed once: the tests of one choice ask for the same."""

from __future__ import annotations

import copy
import functools
from typing import Any

from mollm_cli.configuration.compose import compose_job, composing, resolved
from mollm_cli.configuration.request import Request, request
from tests.support.outlined import check_outline


@functools.cache
def composed(config: str, *overrides: str) -> dict[str, Any]:
    """The configuration of a command line, which nobody changes; the quick outline of it is held against Hydra's."""
    with composing():
        found = compose_job(config, overrides)
        check_outline(config, overrides, found)
        return resolved(found)


def configuration(*overrides: str, config: str = "config") -> dict[str, Any]:
    """The same, to be changed."""
    return copy.deepcopy(composed(config, *overrides))


@functools.cache
def requested(*overrides: str, command: str = "unlearn", config: str = "config") -> Request:
    """What is made of it."""
    return request(configuration(*overrides, config=config), command)
