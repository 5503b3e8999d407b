"""Options on the dispatcher of a sharded program, alike in every command that speaks to one."""

__all__ = ["address_option", "token_option"]

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


def address_option(command: _Function) -> _Function:
    """`--address`; None for the only one that runs here for this user."""
    return click.option(
        "--address",
        metavar="ADDRESS",
        show_default="the one that runs here",
        help="Of a dispatcher: HOST:PORT, unix:PATH.",
    )(command)


def token_option(command: _Function) -> _Function:
    """`--token-file`; a token itself would be seen by everybody who lists processes."""
    return click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        show_default="GT_TOKEN, else what `outgrow shard serve` left here",
        help="File with the token of the dispatcher.",
    )(command)
