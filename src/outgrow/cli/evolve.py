"""`outgrow evolve`: training runs that change their model, and what became of them."""

__all__ = ["SUBCOMMANDS", "evolve"]


import click

from outgrow.cli.main import CommandEntry
from outgrow.cli.subcommands import Subcommands

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


@click.group(cls=Subcommands, entries=SUBCOMMANDS)
def evolve() -> None:
    """Networks that grow while they train: run one, look at its growth, prove it."""
