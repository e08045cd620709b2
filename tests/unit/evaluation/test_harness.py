"""What is asked of the LM evaluation harness, by a stand-in that writes down how it is called."""

import importlib.util
import random
import sys
from fnmatch import fnmatch
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.evaluation.harness import Harness, flat_results, harness_results
from mollm_cli.evaluation.suite import Suite
from mollm_cli.metrics.probability import Probability

KNOWN = ["arc_easy", "mmlu", "mmlu_anatomy", "mmlu_astronomy", "wmdp_bio"]
RESULTS = {
    "arc_easy": {"alias": "arc_easy", "acc,none": 0.5, "acc_stderr,none": 0.1, "acc_norm,none": 0.25},
    "mmlu": {" ": " ", "acc,none": np.float64(0.3), "acc_stderr,none": "N/A"},
    "gsm8k": {"exact_match,strict-match": 1, "exact_match,flexible-extract": 0.75, "sample_len": 4},
    "odd-one": {"f1,none": float("nan"), "passed,none": True, "note,none": "text"},
}
FLAT = {
    "lm_eval_arc_easy_acc": 0.5,
    "lm_eval_arc_easy_acc_norm": 0.25,
    "lm_eval_mmlu_acc": 0.3,
    "lm_eval_gsm8k_exact_match_strict_match": 1.0,
    "lm_eval_gsm8k_exact_match_flexible_extract": 0.75,
    "lm_eval_odd_one_f1": None,
}


def suite(chosen):
    return Suite({"probability": Probability()}, harness=chosen)


class Manager:
    """Task names, as the harness's manager knows them."""

    folders: ClassVar[list] = []

    def __init__(self, include_path=None):
        print("indexing tasks")
        self.folders.append(include_path)
        self.all_tasks = KNOWN

    def match_tasks(self, patterns):
        return [name for name in KNOWN if any(fnmatch(name, pattern) for pattern in patterns)]


@pytest.fixture
def lm_eval(monkeypatch):
    """A module of the harness's name; ``calls`` is what was asked of it, ``fails`` what loading rows raises."""
    module, tasks, models, hugging = (
        ModuleType(name) for name in ("lm_eval", "lm_eval.tasks", "lm_eval.models", "lm_eval.models.huggingface")
    )
    module.calls, module.fetched, module.fails, Manager.folders = [], [], None, []

    def simple_evaluate(model, **options):
        print("a table of results")
        random.seed(0)
        np.random.seed(1234)
        torch.manual_seed(1234)
        module.training = model.pretrained.training
        module.calls.append((model, options))
        if module.fails:
            raise module.fails
        return {"results": RESULTS}

    def get_task_dict(names, manager):
        print("downloading rows")
        if module.fails:
            raise module.fails
        module.fetched.append(names)

    module.simple_evaluate = simple_evaluate
    tasks.TaskManager, tasks.get_task_dict = Manager, get_task_dict
    hugging.HFLM = lambda **options: SimpleNamespace(**options)
    for each in (module, tasks, models, hugging):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    return module


def states():
    """What the three generators would draw next."""
    return random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()


def test_what_the_harness_is_asked(lm_eval):
    model, tokenizer = torch.nn.Linear(1, 1), object()
    chosen = Harness(("mmlu_*", "arc_easy"), limit=20, batch_size=4, num_fewshot=5, include_path="mine")
    assert harness_results(model, tokenizer, chosen) == FLAT
    [(asked, options)] = lm_eval.calls
    assert (asked.pretrained, asked.tokenizer, asked.batch_size) == (model, tokenizer, 4)
    assert isinstance(options.pop("task_manager"), Manager)
    assert Manager.folders == ["mine"]
    assert options == {
        "tasks": ["arc_easy", "mmlu_anatomy", "mmlu_astronomy"],
        "num_fewshot": 5,
        "limit": 20,
        "bootstrap_iters": 0,
        "log_samples": False,
    }


@pytest.mark.parametrize("fails", [None, RuntimeError("out of memory")], ids=["done", "failed"])
@pytest.mark.parametrize("training", [True, False])
def test_the_run_around_it_is_not_disturbed(lm_eval, capsys, fails, training):
    model, lm_eval.fails = torch.nn.Linear(1, 1).train(training), fails
    random.seed(7)  # not the harness's own seeds, which an earlier test may have left behind
    np.random.seed(7)
    before = states()
    if fails:
        with pytest.raises(RuntimeError, match="out of memory"):
            harness_results(model, None, Harness(("mmlu",)))
    else:
        harness_results(model, None, Harness(("mmlu",)))
    assert states() == before
    assert (lm_eval.training, model.training) == (False, training)
    told = capsys.readouterr()
    assert told.out == ""  # that is the run directory's alone
    assert "a table of results" in told.err


def test_a_suite_without_tasks_asks_nothing():
    assert harness_results(None, None, None) == {}


def test_names_are_flat_and_what_is_no_measurement_is_left_out():
    assert flat_results(RESULTS) == FLAT
    assert all(type(value) in (float, type(None)) for value in flat_results(RESULTS).values())  # JSON, not numpy


def test_what_is_known_passes_the_check(lm_eval, capsys):
    Harness(("mmlu_*", "arc_easy"), include_path="mine").check()
    assert lm_eval.fetched == [["arc_easy", "mmlu_anatomy", "mmlu_astronomy"]]
    assert Manager.folders == ["mine"]
    assert lm_eval.calls == []
    assert capsys.readouterr().out == ""


def test_without_the_package_the_remedy_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "lm_eval", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    wanted = r'evaluation\.harness needs the package lm-eval, found none; pip install "mollm-unlearn\[lm-eval\]"'
    with pytest.raises(RequestError, match=wanted):
        Harness(("mmlu",)).check()


@pytest.mark.parametrize("task", ["mmlu_anatomi", "mlu_*"])
def test_an_unknown_task_is_refused_with_the_nearest(lm_eval, task):
    wanted = r"harness\.tasks must name tasks of the harness, found '{}'; did you mean 'mmlu".format(
        task.replace("*", r"\*")
    )
    with pytest.raises(RequestError, match=wanted):
        Harness(("arc_easy", task)).check()
    assert lm_eval.fetched == []


def test_of_thousands_of_tasks_a_few_are_told(lm_eval, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "KNOWN", [f"task_{i}" for i in range(5000)])
    with pytest.raises(RequestError, match=r"the nearest of 5000: task_.*, task_\d+$") as refusal:
        Harness(("nothing",)).check()
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            ValueError("no rows\nat all"),
            r"\(ValueError: no rows\)\. Leave the task out, or set evaluation\.harness\.inc",
        ),
        (
            ConnectionError("cannot connect"),
            r"\(ConnectionError: cannot connect\)\. Set evaluation\.harness\.include_p",
        ),
    ],
)
def test_rows_that_cannot_be_had_show_before_the_run(lm_eval, error, remedy):
    lm_eval.fails = error
    with pytest.raises(RequestError, match=rf"harness\.tasks: the rows of mmlu, arc_easy cannot be loaded {remedy}"):
        Harness(("mmlu", "arc_easy")).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ()}, r"evaluation\.harness\.tasks must name at least one task, found \[\]"),
        ({"limit": 0}, r"evaluation\.harness\.limit must be >= 1, found 0"),
        ({"batch_size": 0}, r"evaluation\.harness\.batch_size must be >= 1, found 0"),
        ({"num_fewshot": -1}, r"evaluation\.harness\.num_fewshot must be >= 0, found -1"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Harness(**({"tasks": ("mmlu",)} | options))
    Harness(("mmlu",), num_fewshot=0, limit=1, batch_size=1)
