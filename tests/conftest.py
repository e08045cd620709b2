"""What holds for every test: no file in the user's own cache, and seldom a look through everything for garbage."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collection_finish() -> None:
    """What is imported stays: looking through it again and again was a twelfth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def hangups_are_heard() -> None:
    """As in a terminal, also where the tests were started with nohup: what a run ignores then, it goes on ignoring."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh cache folder for the whole session; models and data of the Hub stay where they are."""
    folder = tmp_path_factory.mktemp("cache")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", os.environ.get("HF_HOME") or str(home))
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder
