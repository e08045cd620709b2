"""The console scripts. Imports neither torch nor transformers, and Hydra only when there is something to compose."""

from mollm_cli.cli.commands import EVALUATE, FINETUNE, UNLEARN
from mollm_cli.cli.main import main


def unlearn() -> int:
    """``mollm-unlearn``: returns the exit code."""
    return main(UNLEARN)


def finetune() -> int:
    """``mollm-finetune``: returns the exit code."""
    return main(FINETUNE)


def evaluate() -> int:
    """``mollm-evaluate``: returns the exit code."""
    return main(EVALUATE)


def compare() -> int:
    """``mollm-compare``: returns the exit code."""
    from mollm_cli.cli.comparison import main as compare_runs

    return compare_runs()
