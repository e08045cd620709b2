"""A measurement in a process of its own: nothing that another one left in memory is there, and all imports are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

import torch

P, T = ParamSpec("P"), TypeVar("T")
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["benchmarks.rows", "transformers.models.llama.modeling_llama"])
"""Imported once, before the processes fork; nothing here initialises a device."""


def alone(measure: Callable[P, T], *told: P.args, **named: P.kwargs) -> T:
    """``measure(*told, **named)`` with one thread, in a process that ends with it. Raises what ``measure`` raises.

    The function must be one of a module. Raises BrokenProcessPool where the process is killed.
    """
    with ProcessPoolExecutor(1, _PROCESSES, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return pool.submit(measure, *told, **named).result()
