"""`outgrow evolve`: training runs that change their model, and what became of them."""

__all__ = ["SUBCOMMANDS", "evolve"]

import importlib

import click

from outgrow.cli.main import CommandEntry
from outgrow.errors import InputError, nearest_names

SUBCOMMANDS = {
    "replay": CommandEntry(
        attribute="outgrow.cli.evolve_replay:replay",
        help="Do the edits of a finished run again, and prove the outcome.",
    ),
    "run": CommandEntry(
        attribute="outgrow.cli.evolve_run:run",
        help="Train a model that grows while it trains; goes on where it was stopped.",
    ),
    "show": CommandEntry(
        attribute="outgrow.cli.evolve_show:show",
        help="Show how the model of a run grew, and why.",
    ),
}
"""What follows `outgrow evolve`; each is imported only to be run."""


class _Subcommands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = SUBCOMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.attribute.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in SUBCOMMANDS and not ctx.resilient_parsing and not name.startswith("-"):
            near = ", ".join(nearest_names(name, SUBCOMMANDS)) or ", ".join(SUBCOMMANDS)
            raise InputError(
                f"there is no command 'evolve {name}'",
                hint=f"did you mean: {near}? `outgrow evolve --help` lists them",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in SUBCOMMANDS.items()])


@click.group(cls=_Subcommands)
def evolve() -> None:
    """Networks that grow while they train: run one, look at its growth, prove it."""
