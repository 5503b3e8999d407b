"""Options on a model and where it computes, alike in every command that has them."""

__all__ = ["budget_option", "device_option", "dtype_option", "model_argument", "seed_option"]

from collections.abc import Callable
from typing import Any, TypeVar

import click

from outgrow.cli.value_completion import complete_names

_Function = TypeVar("_Function", bound=Callable[..., Any])
# All that torch can compute a model in; `choose_dtype` says which of them a model takes.
_DTYPES = ("bfloat16", "float16", "float32", "float64")


def model_argument(command: _Function) -> _Function:
    """MODEL: a path, or a name on the Hub, which nothing here can complete."""
    return click.argument("model", type=click.Path(), metavar="MODEL")(command)


def budget_option(command: _Function) -> _Function:
    """`--budget`, which must be given."""
    return click.option(
        "--budget", required=True, metavar="SIZE", help="Most memory for weights: 27MB, 4GiB."
    )(command)


def device_option(command: _Function) -> _Function:
    """`--device`; None where it is left out."""
    return click.option(
        "--device",
        metavar="NAME",
        show_default="cpu",
        shell_complete=complete_names("cpu", "cuda", "cuda:0"),
        help="Where to compute: cpu, cuda, cuda:0.",
    )(command)


def dtype_option(command: _Function) -> _Function:
    """`--dtype`; None where it is left out."""
    return click.option(
        "--dtype",
        metavar="NAME",
        show_default="that of the checkpoint",
        shell_complete=complete_names(*_DTYPES),
        help=f"What to compute in: {', '.join(_DTYPES)}.",
    )(command)


def seed_option(command: _Function) -> _Function:
    """`--seed`."""
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="N",
        help="Seed of all that is random.",
    )(command)
