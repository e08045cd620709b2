"""A request as a run: cheap things first, then expensive ones, and a manifest whatever happens."""

from mollm_cli.run.commands import check, evaluate, finetune, plan, unlearn

__all__ = ["check", "evaluate", "finetune", "plan", "unlearn"]
