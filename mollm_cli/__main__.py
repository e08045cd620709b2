"""``python -m mollm_cli`` is ``mollm-unlearn``."""

from mollm_cli.cli import unlearn

if __name__ == "__main__":
    unlearn()
