"""What a shell offers for values that are no plain choice: names, names or paths, lists of names."""

__all__ = ["complete_list", "complete_names", "complete_names_or_paths"]

from collections.abc import Callable
from typing import TypeAlias

import click
from click.shell_completion import CompletionItem

# In quotes, because only newer versions of click have items that say what they hold.
_Items: TypeAlias = "list[CompletionItem[str]]"
_Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], _Items]


def complete_names(*names: str) -> _Completer:
    """Those of `names` that begin as the word does."""

    def complete(_context: click.Context, _option: click.Parameter, word: str) -> _Items:
        return [CompletionItem(name) for name in names if name.startswith(word)]

    return complete


def complete_names_or_paths(*names: str) -> _Completer:
    """The same, and paths where no name begins so."""

    def complete(_context: click.Context, _option: click.Parameter, word: str) -> _Items:
        found = [CompletionItem(name) for name in names if name.startswith(word)]
        return found or [CompletionItem(word, type="file")]

    return complete


def complete_list(*names: str) -> _Completer:
    """Names after the last comma of the word, each at most once."""

    def complete(_context: click.Context, _option: click.Parameter, word: str) -> _Items:
        before, comma, last = word.rpartition(",")
        given = before.split(",")
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in names
            if name.startswith(last) and name not in given
        ]

    return complete
