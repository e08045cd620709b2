"""Tasks of the LM evaluation harness (MMLU, WMDP, GSM8K, ...), run by the harness itself."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import random
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mollm_cli.core import network
from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.models.hub_models import PASSED_ON

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

KEY = "evaluation.harness"
INSTALL = 'pip install "mollm-unlearn[lm-eval]"'


@dataclass(frozen=True)
class Harness:
    """The tasks for the harness and their settings; questions are asked without a chat template. Raises ValueError.

    tasks: names, or patterns such as mmlu_*.
    limit: the first questions of each task; null: all.
    batch_size: rows in one forward pass.
    num_fewshot: examples shown before a question; null: as many as the task says.
    include_path: a folder with the user's own task files.
    """

    tasks: tuple[str, ...]
    limit: int | None = None
    batch_size: int = 8
    num_fewshot: int | None = None
    include_path: str | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range, naming the key."""
        if not self.tasks:
            raise ValueError(f"{KEY}.tasks must name at least one task, found []; e.g. {KEY}.tasks=[mmlu]")
        for key, value, least in (
            ("limit", self.limit, 1),
            ("batch_size", self.batch_size, 1),
            ("num_fewshot", self.num_fewshot, 0),
        ):
            if value is not None and value < least:
                raise ValueError(f"{KEY}.{key} must be >= {least}, found {value}")

    def check(self) -> None:
        """Raise RequestError if lm-eval is missing, does not know a task or cannot get its rows; loads no model."""
        if "lm_eval" not in sys.modules and importlib.util.find_spec("lm_eval") is None:
            raise RequestError(f"{KEY} needs the package lm-eval, found none; {INSTALL}")
        with contextlib.redirect_stdout(sys.stderr):
            manager = _manager(self)
            for task in self.tasks:
                if not manager.match_tasks([task]):
                    raise RequestError(
                        f"{KEY}.tasks must name tasks of the harness, found '{task}'; "
                        f"{_some(nearest(task, manager.all_tasks))}"
                    )
            self._fetch(manager)

    def _fetch(self, manager: Any) -> None:
        """Fetch the rows of every task from the Hub or its cache, so that missing rows show before the run."""
        from lm_eval.tasks import get_task_dict

        try:
            get_task_dict(manager.match_tasks(list(self.tasks)), manager)
        except PASSED_ON:
            raise
        except Exception as error:  # files of others make it raise anything
            first = (str(error).strip().splitlines() or [""])[0]
            own = f"{KEY}.include_path=DIR to tasks with rows of your own"
            remedy = network.remedy(error, KEY, own) or f"Leave the task out, or set {own}."
            raise RequestError(
                f"{KEY}.tasks: the rows of {', '.join(self.tasks)} cannot be loaded "
                f"({type(error).__name__}: {first[:300]}). {remedy}"
            ) from error


def harness_results(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, chosen: Harness | None
) -> dict[str, float | None]:
    """``lm_eval_<task>_<metric>`` -> value, as the harness computes it; empty if no tasks are chosen.

    A group of tasks is there too, with its aggregate. If the harness reads answers through a filter, the filter's name
    follows the metric's: lm_eval_gsm8k_exact_match_strict_match. Standard errors are left out. A value that is not
    finite is None.
    """
    if chosen is None:
        return {}
    with _undisturbed(model):
        import lm_eval
        from lm_eval.models.huggingface import HFLM

        manager = _manager(chosen)
        found = lm_eval.simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=chosen.batch_size),
            tasks=manager.match_tasks(list(chosen.tasks)),
            num_fewshot=chosen.num_fewshot,
            limit=chosen.limit,
            bootstrap_iters=0,  # standard errors are left out below, and bootstrapping is slow
            log_samples=False,
            task_manager=manager,
        )
    return flat_results(found["results"])


def flat_results(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """The harness's table {task: {"metric,filter": value}} under flat names."""
    flat: dict[str, float | None] = {}
    for task, values in results.items():
        for key, value in values.items():
            metric, _, kept = key.partition(",")
            if not kept or metric.endswith("_stderr") or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            name = f"lm_eval_{task}_{metric}" if kept == "none" else f"lm_eval_{task}_{metric}_{kept}"
            flat[re.sub(r"\W+", "_", name)] = float(value) if math.isfinite(value) else None
    return flat


@contextlib.contextmanager
def _undisturbed(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode for the block, and the run around it protected from the harness's printing and seeding.

    stdout carries the run directory alone, and a training that follows must draw what it would have drawn.
    """
    import numpy as np
    import torch

    training, python, numpy = model.training, random.getstate(), np.random.get_state()
    model.eval()
    try:
        with contextlib.redirect_stdout(sys.stderr), torch.random.fork_rng():
            yield
    finally:
        model.train(training)
        random.setstate(python)
        np.random.set_state(numpy)


def _manager(harness: Harness) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=harness.include_path)


def _some(text: str, most: int = 300) -> str:
    """The beginning of a list of names; the harness knows thousands of tasks, and the nearest come first."""
    return text if len(text) <= most else f"{text[:most].rpartition(',')[0]}, ..."
