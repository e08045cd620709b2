"""The console scripts. Imports neither torch nor transformers, and Hydra only when there is something to compose.

Nothing at all is imported before somebody listens: Ctrl-C in the first tenth of a second is answered too.
"""

from collections.abc import Callable
from typing import NoReturn


def unlearn() -> NoReturn:
    """``mollm-unlearn``: ends with the exit code."""
    _end("mollm-unlearn", lambda: _configured("unlearn"))


def finetune() -> NoReturn:
    """``mollm-finetune``: ends with the exit code."""
    _end("mollm-finetune", lambda: _configured("finetune"))


def evaluate() -> NoReturn:
    """``mollm-evaluate``: ends with the exit code."""
    _end("mollm-evaluate", lambda: _configured("evaluate"))


def compare() -> NoReturn:
    """``mollm-compare``: ends with the exit code."""

    def answer() -> int:
        from mollm_cli.cli.compare_runs import main

        return main()

    _end("mollm-compare", answer)


def try_out() -> NoReturn:
    """``mollm-try``: ends with the exit code."""

    def answer() -> int:
        from mollm_cli.cli.try_out import main

        return main()

    _end("mollm-try", answer)


def _configured(name: str) -> int:
    from mollm_cli.cli.main import main
    from mollm_cli.configuration.programs import COMMANDS

    return main(COMMANDS[name])


def _end(program: str, answer: Callable[[], int]) -> NoReturn:
    try:
        code = answer()
    except KeyboardInterrupt as stopped:  # of our own imports; whatever comes later has its answer in launch/ending.py
        from mollm_cli.core.endings import tell

        code = tell(program, stopped).code
    from mollm_cli.launch.leave import leave

    leave(code)
