"""The console scripts. Imports neither torch nor transformers, and Hydra only when there is something to compose."""

from typing import NoReturn

from mollm_cli.cli.main import main
from mollm_cli.configuration.programs import EVALUATE, FINETUNE, UNLEARN
from mollm_cli.launch.leave import leave


def unlearn() -> NoReturn:
    """``mollm-unlearn``: ends with the exit code."""
    leave(main(UNLEARN))


def finetune() -> NoReturn:
    """``mollm-finetune``: ends with the exit code."""
    leave(main(FINETUNE))


def evaluate() -> NoReturn:
    """``mollm-evaluate``: ends with the exit code."""
    leave(main(EVALUATE))


def compare() -> NoReturn:
    """``mollm-compare``: ends with the exit code."""
    from mollm_cli.cli.compare_runs import main as compare_runs

    leave(compare_runs())


def try_out() -> NoReturn:
    """``mollm-try``: ends with the exit code."""
    from mollm_cli.cli.try_out import main as ask

    leave(ask())
