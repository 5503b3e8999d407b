"""`outgrow evolve`: training runs that change their model, and what became of them."""

__all__ = ["SUBCOMMANDS", "evolve"]

import click

from outgrow.cli import render
from outgrow.cli.command_group import CommandEntry, CommandGroup

SUBCOMMANDS = {
    "run": CommandEntry(
        attribute="outgrow.cli.evolve_run:run",
        help="Train a model that grows, or go on where it was stopped.",
    ),
    "show": CommandEntry(
        attribute="outgrow.cli.evolve_show:show",
        help="Show how the model of a run grew, and why.",
    ),
    "replay": CommandEntry(
        attribute="outgrow.cli.evolve_replay:replay",
        help="Do the edits of a finished run again, and prove the outcome.",
    ),
}
"""What follows `outgrow evolve`; each is imported only to be run."""


@click.group(cls=CommandGroup, entries=SUBCOMMANDS)
@render.quiet_option
def evolve() -> None:
    """Train networks that grow, look at their growth, and prove it."""
