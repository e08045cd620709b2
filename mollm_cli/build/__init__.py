"""From a composed configuration to cheap objects; the only caller of hydra.utils.instantiate."""

from mollm_cli.build.request import Request, request

__all__ = ["Request", "request"]
