"""YAML of strangers: no Python objects, and no aliases, nesting or size that come to more than they look."""

from __future__ import annotations

from typing import Any

from mollm_cli.core.errors import RequestError

LARGEST = 1 << 20
"""Characters of a configuration file."""
MOST_NODES = 100_000
"""Values that a file may come to when each alias is written out."""
DEEPEST = 32
"""Mappings and lists in each other."""


def load_yaml(text: str, name: str) -> Any:
    """The value of ``text``, the content of the file ``name``. Raises RequestError as ``check_yaml`` does."""
    import yaml

    quick = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with it
    _check(text, name, quick)
    try:
        return yaml.load(text, Loader=quick)
    except (yaml.YAMLError, ValueError) as problem:  # a tag that names a Python object, a day that is none
        raise _no_yaml(name, problem) from problem


def check_yaml(text: str, name: str) -> None:
    """Raise RequestError where ``text`` is no YAML, or is YAML that would fill the memory or the stack of who reads it.

    Only the events of the parser are looked at: no value is made of them. It is the parser that Hydra then reads with.
    """
    import yaml

    _check(text, name, yaml.SafeLoader)


def require_mapping(text: str, name: str) -> None:
    """Raise RequestError where ``text``, which has passed ``check_yaml``, holds another value than a mapping."""
    import yaml

    heads = (yaml.StreamStartEvent, yaml.DocumentStartEvent)
    first = next(event for event in yaml.parse(text, Loader=yaml.SafeLoader) if not isinstance(event, heads))
    empty = isinstance(first, yaml.ScalarEvent) and not first.value
    if not (empty or isinstance(first, yaml.StreamEndEvent | yaml.MappingStartEvent)):
        found = "a list" if isinstance(first, yaml.SequenceStartEvent) else "a single value"
        raise RequestError(f"{name}: must hold keys with values, found {found}. Write lines of KEY: VALUE")


def _check(text: str, name: str, loader: Any) -> None:
    import yaml

    if len(text) > LARGEST:
        raise RequestError(
            f"{name}: a configuration must have at most {LARGEST} characters, found {len(text)}. Put data into a file "
            "of its own and name that"
        )
    try:
        _walk(yaml.parse(text, Loader=loader), name)
    except (yaml.YAMLError, UnicodeEncodeError) as problem:
        raise _no_yaml(name, problem) from problem
    except RecursionError as problem:
        raise _deep(name) from problem


def _walk(events: Any, name: str) -> None:
    """Count the nodes below each open collection; an anchor stands for as many as it has."""
    import yaml

    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = [(None, 0)]
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, 0))
            if len(open_) > DEEPEST:
                raise _deep(name)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, below = open_.pop()
            size = below + 1
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            anchor, size = None, sizes.get(str(event.anchor), MOST_NODES)  # not closed yet: it would hold itself
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        outer, counted = open_[-1]
        open_[-1] = (outer, counted + size)
        if counted + size > MOST_NODES:
            raise RequestError(
                f"{name}: must come to at most {MOST_NODES} values, found more: its aliases (*name) repeat each other. "
                "Write the values out"
            )


def _no_yaml(name: str, problem: Exception) -> RequestError:
    return RequestError(f"{name}: must be YAML, found: {' '.join(str(problem).split())[:300]}. Correct the file")


def _deep(name: str) -> RequestError:
    return RequestError(
        f"{name}: lists and mappings must stand at most {DEEPEST} deep in each other, found more. Write it plainer"
    )
