"""A command made up of others, each of which is imported only to be run."""

__all__ = ["Subcommands"]

import importlib
from collections.abc import Mapping
from typing import Any

import click

from outgrow.cli.main import CommandEntry
from outgrow.errors import InputError, nearest_names


class Subcommands(click.Group):
    """A group that knows its commands from a table: `@click.group(cls=Subcommands, entries=...)`."""

    def __init__(self, *args: Any, entries: Mapping[str, CommandEntry], **options: Any) -> None:
        super().__init__(*args, **options)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of this name."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.attribute.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but with the nearest names where there is none of this name."""
        name = args[0]
        if name not in self._entries and not ctx.resilient_parsing and not name.startswith("-"):
            near = ", ".join(nearest_names(name, self._entries)) or ", ".join(self._entries)
            raise InputError(
                f"there is no command '{self.name} {name}'",
                hint=f"did you mean: {near}? `outgrow {self.name} --help` lists them",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The lines of the table, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._entries.items()])
