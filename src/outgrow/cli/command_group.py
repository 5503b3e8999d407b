"""A command made up of others: known by a table of names and lines of help, imported only to be run."""

__all__ = ["CommandEntry", "CommandGroup"]

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from outgrow.errors import InputError, nearest_names


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry:
    """Where a command lives, and what the help of its group says of it without loading it."""

    attribute: str
    """`module:name` of the click command."""
    help: str
    """One line: a verb in the imperative first, a full stop last."""
    section: str = "Commands"
    """Under which heading it stands in the help."""
    fault_code: int = 1
    """Exit code after a fault of ours: another one where 1 is an answer."""


class CommandGroup(click.Group):
    """A group that knows its commands from a table: `@click.group(cls=CommandGroup, entries=...)`."""

    def __init__(self, *args: Any, entries: Mapping[str, CommandEntry], **options: Any) -> None:
        super().__init__(*args, **{"subcommand_metavar": "COMMAND ..."} | options)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command; None where there is none of this name."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.attribute.partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.attribute} is {command!r} and not a click command")
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """As click does, but with the lines of the table, so that nothing is imported for a `<TAB>`."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=entry.help)
            for name, entry in self._entries.items()
            if name.startswith(incomplete)
        ]
        # Past the group: options alone, which are all that click.Command knows of.
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; another word is an error that lists the nearest commands."""
        name = args[0]
        if name not in self._entries and not ctx.resilient_parsing and not name.startswith("-"):
            near = ", ".join(nearest_names(name, self._entries)) or ", ".join(self._entries)
            group = ctx.command_path
            words = f"{group} {name}".removeprefix("outgrow ")
            raise InputError(
                f"there is no command {words!r}", hint=f"did you mean: {near}? `{group} --help` lists them"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table under its headings, without importing any command."""
        widest = max(map(len, self._entries))  # so that the sections stand in one column
        for section in dict.fromkeys(entry.section for entry in self._entries.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [
                        (name.ljust(widest), entry.help)
                        for name, entry in self._entries.items()
                        if entry.section == section
                    ]
                )
