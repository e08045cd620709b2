"""Pages from the templates of templates/; every value is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def page(template: str, values: Mapping[str, Any]) -> str:
    """``template`` filled with ``values``; a name without a value is an error."""
    return _environment().get_template(template).render(values)


def policy(stylesheet: str) -> str:
    """The content security policy of a page: its own stylesheet, known by its hash, style attributes, nothing else.

    No script runs, and nothing is fetched, sent or framed. Browsers that do not know style-src-elem fall back to
    default-src and show the page unstyled.
    """
    digest = base64.b64encode(hashlib.sha256(stylesheet.encode()).digest()).decode()
    own = f"style-src-elem 'sha256-{digest}'; style-src-attr 'unsafe-inline'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _stylesheet() -> Markup:
    """templates/report.css: the only text that is not escaped, because it is ours and has no values in it."""
    from markupsafe import Markup

    return Markup(resources.files("mollm_cli.reporting").joinpath("templates", "report.css").read_text("utf-8"))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from mollm_cli.core.printable import printable
    from mollm_cli.reporting import formatting, measures, plots

    environment = Environment(
        loader=PackageLoader("mollm_cli.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": formatting.number,
        "span": formatting.span,
        "label": formatting.label,
        "printable": printable,
        "excerpt": formatting.excerpt,
        "size": formatting.size,
        "duration": formatting.duration,
        "layout": plots.layout,
        "describe": plots.describe,
    }
    stylesheet = _stylesheet()
    environment.globals |= {
        "stylesheet": stylesheet,
        "policy": policy(str(stylesheet)),
        "signs": measures.SIGN,
        "mood_signs": formatting.MOOD_SIGN,
        "column_titles": measures.COLUMNS,
        "tick": plots.tick,
        "tones": plots.TONES,
        "box": {
            "width": plots.WIDTH,
            "height": plots.HEIGHT,
            "left": plots.LEFT,
            "right": plots.WIDTH - plots.RIGHT,
            "bottom": plots.HEIGHT - plots.BOTTOM,
        },
    }
    return environment
