"""`--json`: one object on stdout, alike in every command that has something to say to scripts."""

__all__ = ["as_json_text", "json_option", "print_json"]

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


def json_option(command: _Function) -> _Function:
    """Give a command `--json`, which it gets as `as_json`."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object on stdout, and nothing else there."
    )
    return option(command)


def print_json(version: int, report: Mapping[str, Any]) -> None:
    """Print `as_json_text`."""
    click.echo(as_json_text(version, report), nl=False)


def as_json_text(version: int, report: Mapping[str, Any]) -> str:
    """`report`, with the `version` of its format before all else.

    A version goes up when a key changes its meaning or goes away. Numbers that are not finite, which JSON
    cannot hold, become null. The text is ASCII: a file's name may hold what no encoding can write.
    """
    content = {"version": version, **report}
    return json.dumps(_finite(content), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
